"""Achievements over HTTP: `/api/achievements`."""

from __future__ import annotations

from arena.deeds.wall import DeedWall
from core.http.endpoints import Endpoint


def deed_routes(wall: DeedWall) -> list[Endpoint]:
    """The wall."""
    return [
        Endpoint("GET", "/api/achievements", wall.view,
                 "Every achievement there is: what is earned, when and by what, and how far the others are.",
                 tag="curriculum", answer="arena.deeds.answers:Wall"),
    ]  # fmt: skip

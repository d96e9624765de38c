"""A whole realm without loops and trainer, whose tavern answers what is asked about quests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio

from arena.daemon import Daemon
from arena.reading_room.routes import quest_routes
from docs.make_reference import idle_realm
from tests.serving import Visitor, serving


@dataclass(frozen=True)
class House:
    """The daemon behind the pages, and a visitor of these."""

    daemon: Daemon
    visitor: Visitor


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    with idle_realm(folder) as (daemon, _):
        # The realm is at rest, and not about to start a trainer.
        daemon.report.state = "idle"
        room = daemon.reception.reading_room
        async with serving(quest_routes(room, daemon.reception.desk), closing=[room.close]) as visitor:
            yield House(daemon, visitor)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house

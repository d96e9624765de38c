"""What `/api/achievements` sends, as models: they describe the answer in the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer


class Count(Answer):
    """How far a count is."""

    done: int | None
    """null where it is not known."""
    goal: int


class Badge(Answer):
    """One achievement, earned or not."""

    name: str
    title: str
    condition: str | None
    """What has to be done for it; null for one of a skill that is not learned any more."""
    category: Literal["battle", "endurance", "keeping", "skill"]
    emblem: str
    """What it is of; those of one kind have the same."""
    skill: str | None
    """Id of the skill; null where it is not of one skill."""
    at: str | None
    """When it was earned; null while it is not."""
    why: str | None
    """What it was earned by."""
    number: int | None
    """The guild's quest after whose examination it was earned; null where it was none."""
    progress: Count | None
    """null where nothing is counted."""


class Wall(Answer):
    """Every achievement there is. What is earned stays earned, across restarts and rewinds."""

    earned: int
    total: int
    achievements: list[Badge]

"""The wall of achievements: every one there is, earned or not, with how far it is where that can be counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from arena.academy.register import Register
from arena.academy.school import School
from arena.deeds.catalog import COUNTED, HAPPENED
from arena.deeds.keeper import DeedKeeper
from guild.curriculum.achievements import FIRST, Listed, listed
from guild.records import NO_QUEST


class SkillShown(NamedTuple):
    """A skill that is learned."""

    short_name: str
    max_level: int
    examined: frozenset[int]
    """The levels that examinations have made mastered ones."""


class DeedWall:
    """Answers the web."""

    def __init__(self, school: School, keeper: DeedKeeper, skills: Callable[[], Mapping[str, SkillShown]]) -> None:
        """`skills` gives those that are learned, by id."""
        self._school = school
        self._keeper = keeper
        self._skills = skills

    async def view(self) -> dict[str, Any]:
        """The body of `GET /api/achievements`."""
        return await asyncio.to_thread(self._view, self._school.register)

    def _view(self, register: Register | None) -> dict[str, Any]:
        earned = {row["name"]: row for row in register.records.achievements()} if register is not None else {}
        shown = [_badge(badge, earned.pop(badge["name"], None)) for badge in self._all()]
        # Of a skill that is not learned any more, or of an older realm.
        shown += [_badge(_bare(row), row) for row in earned.values()]
        return {
            "earned": sum(badge["at"] is not None for badge in shown),
            "total": len(shown),
            "achievements": shown,
        }

    def _all(self) -> Iterator[dict[str, Any]]:
        for deed in COUNTED:
            done = self._keeper.progress(deed)
            yield {**deed._asdict(), "emblem": deed.measure, "skill": None, "progress": _progress(done, deed.goal)}
        for event in HAPPENED:
            yield {**event._asdict(), "emblem": event.name, "skill": None, "progress": None}
        yield _of_skill(FIRST, None, frozenset())
        for skill_id, skill in self._skills().items():
            for each in listed(skill_id, skill.short_name, skill.max_level):
                yield _of_skill(each, skill_id, skill.examined)


def _of_skill(each: Listed, skill: str | None, examined: frozenset[int]) -> dict[str, Any]:
    goal = each.level
    # A level that somebody has set is no achievement: neither it nor what is examined above it counts.
    done = max((level for level in examined if goal is not None and level <= goal), default=0)
    progress = _progress(done, goal) if goal is not None else None
    return {**each._asdict(), "category": "skill", "skill": skill, "progress": progress}


def _progress(done: int | None, goal: int) -> dict[str, Any]:
    return {"done": done, "goal": goal}


def _bare(row: Mapping[str, Any]) -> dict[str, Any]:
    name, title = row["name"], row["title"]
    return {"name": name, "title": title, "condition": None, "emblem": "skill", "category": "skill", "skill": None,
            "progress": None}  # fmt: skip


def _badge(badge: Mapping[str, Any], row: Mapping[str, Any] | None) -> dict[str, Any]:
    shown = {key: badge[key] for key in ("name", "title", "condition", "category", "emblem", "skill", "progress")}
    number = row["number"] if row is not None and row["number"] != NO_QUEST else None
    return {
        **shown,
        "at": row["at"] if row is not None else None,
        "why": row["why"] if row is not None else None,
        "number": number,
    }

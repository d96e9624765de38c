"""For which skill and level a quest was generated, as the lineage in its sidecar says (spec 1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from arena.quests import Quest

SKILL_NAMES = {"syllo": "sy", "binary": "bin"}
"""Older names of skills, taken wherever an id is (DESIGN section 6)."""


def quests_below(quests: Iterable[Quest], skill: str, level: int) -> list[Quest]:
    """The quests of this skill whose highest level is lower than `level`; those that name none are left out (C20)."""
    wanted = skill_id(skill)
    found = []
    for quest in quests:
        lineage = quest.record.lineage
        own_level = level_of(lineage)
        if own_level is not None and own_level < level and skill_of(lineage) == wanted:
            found.append(quest)
    return found


def skill_of(lineage: Mapping[str, Any]) -> str | None:
    """The skill's id from `skill` or `params.skill`; None when there is none."""
    for place in _places(lineage):
        if isinstance(place.get("skill"), str):
            return skill_id(place["skill"])
    return None


def level_of(lineage: Mapping[str, Any]) -> int | None:
    """The highest level from `level`, `levels`, `params.level` or `params.levels`; None when there is none."""
    for place in _places(lineage):
        for said in (place.get("level"), place.get("levels")):
            levels = [level for level in map(_number, said if isinstance(said, list) else [said]) if level is not None]
            if levels:
                return max(levels)
    return None


def skill_id(name: str) -> str:
    """The id of a skill under any of its names, in whatever case (C12, C13)."""
    small = name.strip().lower()
    return SKILL_NAMES.get(small, small)


def _places(lineage: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    params = lineage.get("params")
    return [lineage, params] if isinstance(params, Mapping) else [lineage]


def _number(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None

"""How many rows of the quests there are teach to judge answers, beside those that teach to answer (spec 1.16)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.lineage import generator_of
from guild.discrimination import GENERATOR_ID
from guild.dojo.sources import ALIASES, canonical_skill_id

TARGET = 0.20
"""Judging rows for each answering one."""
FEWEST = 50
"""Fewer missing ones are not worth a quest."""

UNNAMED_SKILL = "sy"
"""Whom the seed's `auto_gen_*` files belong to, which do not name a skill."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one quest file."""

    name: str
    lineage: Mapping[str, Any]
    rows: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Rows of one skill."""

    skill: str
    answering: int
    judging: int

    @property
    def current(self) -> float | None:
        """None where there is nothing to judge."""
        return round(self.judging / self.answering, 4) if self.answering else None

    @property
    def deficit(self) -> int:
        """Judging rows that are missing."""
        return max(0, int(self.answering * TARGET) - self.judging)

    def rows_due(self, most: int) -> int:
        """Rows to make now: what is missing, `most` at once, and none where too few are missing."""
        return min(self.deficit, most) if self.deficit >= FEWEST else 0

    def to_json(self) -> dict[str, Any]:
        """The field names of the spec; `syllo_examples` is null for a skill that is not `sy`."""
        return {
            "current": self.current,
            "target": TARGET,
            "syllo_examples": self.answering if self.skill == UNNAMED_SKILL else None,
            "skill_examples": self.answering,
            "discrimination_examples": self.judging,
            "deficit": self.deficit,
        }


def ratio_of(skill: str, files: Iterable[Told]) -> Ratio:
    """Count the rows of one skill. Sidecars tell it, or else names, whatever their case (failures C12 and C13).

    A file of judging rows that names no skill is counted for each: rather too few are made than too many.
    """
    known = canonical_skill_id(skill)
    answering = judging = 0
    for file in files:
        of = _skill_of(file)
        if generator_of(file.name, file.lineage).partition("@")[0] == GENERATOR_ID:
            judging += file.rows if of in (known, None) else 0
        elif of == known:
            answering += file.rows
    return Ratio(known, answering, judging)


def _skill_of(file: Told) -> str | None:
    params = file.lineage.get("params")
    for place in (file.lineage, params if isinstance(params, Mapping) else {}):
        if isinstance(said := place.get("skill"), str):
            return canonical_skill_id(said)
    if file.name.lower().startswith("auto_gen_"):
        return UNNAMED_SKILL
    named = _SKILL_IN_NAME.match(file.name)
    return canonical_skill_id(named[1] or named[2]) if named else None


_SKILL_IN_NAME = re.compile(rf"(?:train_([^_]+)|({'|'.join([*ALIASES, *ALIASES.values()])}))_", re.IGNORECASE)
"""`train_SYLLO_level1_…`, `syllo_…`, `train_BIN_level2_…`"""

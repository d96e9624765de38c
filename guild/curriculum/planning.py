"""What quest number n is: a function of the seed, the number and the standing it is made from, and of nothing else.

That is why a run repeats from its seed however fast the machine is, and why a quest that a kill has cut off can be made
again and is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from blake3 import blake3

from core.errors import InvalidInput
from guild.curriculum.rehearsal import rehearsed
from guild.curriculum.standing import SkillStanding
from guild.dojo.static import PER_LEVEL, STATIC_SEED

Purpose = Literal["learn", "rehearse", "level", "again", "static"]
"""Rows: of the training level, and of mastered ones. Questions: those that level, those that look for what is
forgotten, and the static ones, which are the same at each examination of a level."""

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo one, fill the unit interval evenly from the first on."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Problems of one level."""

    level: int
    count: int
    seed: int
    purpose: Purpose
    held_out: bool = False
    """Whether they come from the share that is never taught. An examination asks what is taught only where a level is
    too small to hold anything out."""


@dataclass(frozen=True, slots=True)
class QuestPlan:
    """A generated quest: what it teaches and what the hero is asked after it. Problems are made from it at any time."""

    number: int
    skill: str
    version: str
    """Of the source of problems: another one makes others from the same seeds."""
    training_level: int
    rows: tuple[Portion, ...]
    """The training level first, then rehearsal."""
    examination: tuple[Portion, ...]
    """The training level first, then a mastered one; empty when nobody examines."""
    max_new_tokens: int | None = None

    @property
    def exam_id(self) -> str:
        return f"{self.skill}-{self.number}"

    @property
    def count(self) -> int:
        """Rows."""
        return sum(portion.count for portion in self.rows)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> QuestPlan:
        """Raises `InvalidInput` for what is no plan."""
        try:
            parts = {name: tuple(Portion(**part) for part in raw[name]) for name in ("rows", "examination")}
            return QuestPlan(**{**raw, **parts})
        except (KeyError, TypeError) as error:
            raise InvalidInput(f"This is no plan of a quest: {error}.") from error


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings ask of every quest."""

    seed: int
    count: int
    rehearsal: float
    problems: int
    """Of an examination at the training level; 0 when nobody examines."""
    rehearsal_problems: int
    max_new_tokens: int | None = None


def seed_of(seed: int, number: int, what: str) -> int:
    """The seed of one use in one quest: unlike that of any other, below 2**63."""
    digest = blake3(f"{seed}\0{number}\0{what}".encode()).digest(8)
    return int.from_bytes(digest, "big") >> 1


def choose_skill(weights: Mapping[str, float], number: int) -> str:
    """The skill of quest `number`: each comes as often as its weight says, evenly mixed (failure C21)."""
    if not weights:
        raise InvalidInput("No skill is chosen to be learned.", hint="Name one in `curriculum.skills`.")
    names = sorted(weights)
    place = (number * GOLDEN) % 1.0 * sum(weights[name] for name in names)
    for name in names:
        place -= weights[name]
        if place < 0:
            return name
    return names[-1]


def plan_quest(
    *,
    number: int,
    skill: str,
    version: str,
    standing: SkillStanding,
    threshold: Callable[[int], float],
    wishes: Wishes,
    holds_out: Callable[[int], bool],
) -> QuestPlan:
    """Quest `number`, made from the `standing` after quest number - depth.

    `holds_out` tells whether a level has problems that are never taught.
    """
    level = standing.training_level
    again = rehearsed(standing.kept, threshold, count=wishes.count, share=wishes.rehearsal, training_level=level)
    learned = wishes.count - sum(again.values())
    new = Portion(level, learned, seed_of(wishes.seed, number, "rows"), "learn")
    old = [
        Portion(each, count, seed_of(wishes.seed, number, f"rehearsal {each}"), "rehearse")
        for each, count in again.items()
    ]
    return QuestPlan(
        number=number,
        skill=skill,
        version=version,
        training_level=level,
        rows=tuple(portion for portion in (new, *old) if portion.count),
        examination=tuple(_examination(number, standing, wishes, holds_out)),
        max_new_tokens=wishes.max_new_tokens,
    )


def _examination(
    number: int, standing: SkillStanding, wishes: Wishes, holds_out: Callable[[int], bool]
) -> Sequence[Portion]:
    """Fresh problems of the training level, the static ones of it, and fresh ones of a mastered level in its turn."""
    if not wishes.problems:
        return []
    level, below = standing.training_level, range(1, standing.training_level)
    fresh = seed_of(wishes.seed, number, "examination")
    asked = [Portion(level, wishes.problems, fresh, "level", holds_out(level))]
    if holds_out(level):
        asked.append(Portion(level, PER_LEVEL, STATIC_SEED, "static", held_out=True))
    if below and wishes.rehearsal_problems:
        old = below[standing.examinations % len(below)]
        seed = seed_of(wishes.seed, number, "examination again")
        asked.append(Portion(old, wishes.rehearsal_problems, seed, "again", holds_out(old)))
    return asked

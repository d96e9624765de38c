"""Where the hero stands in each skill, and what an examination makes of it. Values only: nothing here is changed.

`mastered_level` and `training_level` are two things with two names everywhere (failure E10): the highest level that is
mastered, 0 for none, and the one that is learned now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import InvalidInput

LEAST_ANSWERED = 0.5
"""Part of the problems that must have been answered for an examination to count: what nobody could ask is unknown."""

KEPT_RESULTS = 100
"""Accuracies at the training level that are remembered; `min_evals_for_progression` is no more than that."""


@dataclass(frozen=True, slots=True)
class LevelResult:
    """How the problems of one level were answered in one examination."""

    level: int
    """The level that was examined, whatever is being learned by now (failure E2)."""
    total: int
    answered: int
    correct: int

    @property
    def accuracy(self) -> float | None:
        """Right answers among those that were given; None without any: unknown is not wrong (failure E7)."""
        return self.correct / self.answered if self.answered else None

    @property
    def counts(self) -> bool:
        """Whether enough was answered to conclude anything."""
        return self.answered > 0 and self.answered >= LEAST_ANSWERED * self.total


@dataclass(frozen=True, slots=True)
class SkillStanding:
    """One skill."""

    max_level: int
    mastered_level: int = 0
    passes: tuple[float, ...] = ()
    """Accuracies of the examinations at the training level so far, the newest last."""
    kept: Mapping[int, float] = field(default_factory=dict)
    """Accuracy at each mastered level when it was examined last."""
    examinations: int = 0
    """Of this skill so far, whatever came of them."""

    @property
    def training_level(self) -> int:
        return min(self.mastered_level + 1, self.max_level)

    def to_json(self) -> dict[str, Any]:
        return {
            "max_level": self.max_level,
            "mastered_level": self.mastered_level,
            "training_level": self.training_level,
            "passes": list(self.passes),
            "kept": {str(level): accuracy for level, accuracy in self.kept.items()},
            "examinations": self.examinations,
        }

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> SkillStanding:
        """Raises `KeyError`, `TypeError` or `ValueError` for anything that `to_json` has not made."""
        return SkillStanding(
            max_level=int(raw["max_level"]),
            mastered_level=int(raw["mastered_level"]),
            passes=tuple(float(each) for each in raw["passes"]),
            kept={int(level): float(accuracy) for level, accuracy in raw["kept"].items()},
            examinations=int(raw["examinations"]),
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """All skills, after the quest of a number."""

    number: int = 0
    """The last quest whose end is part of this; 0 before the first."""
    skills: Mapping[str, SkillStanding] = field(default_factory=dict)

    def skill(self, skill_id: str, max_level: int) -> SkillStanding:
        """A skill, known or new; the skill's own file says how far it goes by now."""
        known = self.skills.get(skill_id)
        return SkillStanding(max_level) if known is None else replace(known, max_level=max_level)

    def after(self, number: int, skill_id: str | None = None, skill: SkillStanding | None = None) -> Standing:
        """This, after the quest of `number`, with what came of it for a skill."""
        skills = self.skills if skill_id is None or skill is None else {**self.skills, skill_id: skill}
        return Standing(number, skills)

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "skills": {name: skill.to_json() for name, skill in self.skills.items()}}

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Standing:
        """Raises `InvalidInput` for what is no standing."""
        try:
            skills = {str(name): SkillStanding.from_json(skill) for name, skill in raw["skills"].items()}
            return Standing(int(raw["number"]), skills)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"This is no curriculum: {error!r}.") from error


@dataclass(frozen=True, slots=True)
class Rules:
    """When a level is mastered."""

    threshold: Callable[[int], float]
    """The part of right answers that a level asks for."""
    min_evals: int
    """So many examinations at the level must reach it together."""


def examined(standing: SkillStanding, results: Iterable[LevelResult], rules: Rules) -> SkillStanding:
    """The standing after an examination: one level up at most, and never down (failures E1 and E3)."""
    at = standing.training_level
    after = replace(standing, examinations=standing.examinations + 1)
    for result in results:
        accuracy = result.accuracy
        if accuracy is None or not result.counts:
            continue
        if result.level <= standing.mastered_level:
            after = replace(after, kept={**after.kept, result.level: accuracy})
        elif result.level == at:
            after = _at_level(after, accuracy, rules)
        # A level above was examined before somebody set the hero back: it says nothing of the one learned now.
    return after


def _at_level(standing: SkillStanding, accuracy: float, rules: Rules) -> SkillStanding:
    level = standing.training_level
    passes = (*standing.passes, accuracy)[-KEPT_RESULTS:]
    mean = mean_of_last(passes, rules.min_evals)
    # Sums of twentieths miss their own mean by a bit.
    if mean is None or mean < rules.threshold(level) - 1e-9:
        return replace(standing, passes=passes)
    return replace(standing, mastered_level=level, passes=(), kept={**standing.kept, level: mean})


def mean_of_last(passes: tuple[float, ...], count: int) -> float | None:
    """Mean of the newest `count` accuracies; None while there are fewer."""
    return sum(passes[-count:]) / count if len(passes) >= count else None


def set_level(standing: SkillStanding, mastered_level: int) -> SkillStanding:
    """What a person decides; what was measured of the levels that stay mastered is kept. Raises `InvalidInput`."""
    if not 0 <= mastered_level <= standing.max_level:
        raise InvalidInput(
            f"There is no level {mastered_level} to have mastered.", hint=f"Give 0 (none) to {standing.max_level}."
        )
    kept = {level: accuracy for level, accuracy in standing.kept.items() if level <= mastered_level}
    return replace(standing, mastered_level=mastered_level, passes=(), kept=kept)

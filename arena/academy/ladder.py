"""The levels of one skill as a ladder: what is mastered, what is learned now, and what is still locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arena.academy.register import threshold_of
from guild.curriculum.standing import SkillStanding, mean_of_last
from guild.skills.types import SkillConfig


def ladder(
    skill: SkillConfig,
    standing: SkillStanding | None,
    target: float | None,
    rises: Sequence[Mapping[str, Any]],
    about: Mapping[int, Any],
) -> list[dict[str, Any]]:
    """Every level, the lowest first; `rises` tell how the mastered level came about, oldest first.

    `about` has what the skill's file says of a level, as JSON.
    """
    known = standing or SkillStanding(skill.max_level)
    threshold = threshold_of(skill, target)
    return [
        _rung(level, known, threshold(level), about.get(level), _mastered(level, known, rises))
        for level in range(1, skill.max_level + 1)
    ]


def _rung(
    level: int,
    standing: SkillStanding,
    threshold: float,
    about: Mapping[str, Any] | None,
    rise: Mapping[str, Any] | None,
) -> dict[str, Any]:
    mastered = level <= standing.mastered_level
    training = not mastered and level == standing.training_level
    passes = standing.passes if training else ()
    accuracy = standing.kept.get(level) if mastered else mean_of_last(passes, min(len(passes), 3)) if passes else None
    return {
        "level": level,
        "state": "mastered" if mastered else "training" if training else "locked",
        "threshold": threshold,
        "accuracy": accuracy,
        "forgotten": mastered and accuracy is not None and accuracy < threshold,
        "mastered_at": rise["at"] if rise is not None else None,
        "cause": rise["cause"] if rise is not None else None,
        "about": dict(about) if about is not None else None,
    }


def _mastered(level: int, standing: SkillStanding, rises: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The newest rise that took the mastered level from below this one to it or above."""
    if level > standing.mastered_level:
        return None
    upwards = (rise for rise in reversed(rises) if rise["old_mastered"] < level <= rise["new_mastered"])
    return next(upwards, None)

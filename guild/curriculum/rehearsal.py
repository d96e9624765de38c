"""Which mastered levels have rows in the next quest, and how many (failure C21: what is not rehearsed is forgotten)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

FALLEN_WEIGHT = 3.0
"""A level that is all forgotten gets so many times more rows than one that is as it was when it was mastered."""
MOST_TIMES = 2.0
"""With a level that is all forgotten, rehearsal takes so many times its share."""
MOST_OF_A_QUEST = 0.9
"""What is learned anew keeps the rest."""


def rehearsed(
    kept: Mapping[int, float], threshold: Callable[[int], float], *, count: int, share: float, training_level: int
) -> dict[int, int]:
    """Rows of each level below the training level in a quest of `count` rows; levels without any are left out.

    `kept` has the accuracy of each of them when it was examined last. What has fallen below the threshold is measured
    forgetting: such a level gets more of the rows, and rehearsal more of the quest.
    """
    levels = range(1, training_level)
    if not levels or share <= 0:
        return {}
    # A level that nobody has examined, because a person has set the hero there, counts as known.
    fallen = {level: _fallen(kept.get(level, 1.0), threshold(level)) for level in levels}
    whole = min(share * (1 + (MOST_TIMES - 1) * max(fallen.values())), MOST_OF_A_QUEST)
    weights = {level: 1 + FALLEN_WEIGHT * fallen[level] for level in levels}
    return {level: rows for level, rows in _shared(math.floor(count * whole), weights).items() if rows}


def _fallen(accuracy: float, threshold: float) -> float:
    """How much of a level is forgotten: 0 at or above its threshold, 1 when nothing is right any more."""
    return max(0.0, 1 - accuracy / threshold) if threshold > 0 else 0.0


def _shared(rows: int, weights: Mapping[int, float]) -> dict[int, int]:
    """Whole rows by weight, none lost: the largest remainders are rounded up, of equal ones those of higher levels."""
    total = sum(weights.values())
    exact = {level: rows * weight / total for level, weight in weights.items()}
    shared = {level: math.floor(part) for level, part in exact.items()}
    by_remainder = sorted(exact, key=lambda level: (shared[level] - exact[level], -level))
    for level in by_remainder[: rows - sum(shared.values())]:
        shared[level] += 1
    return shared

"""How hard the level at hand is for the hero at present: a view of the newest examinations, kept nowhere.

- `recovery`: the newest examinations reach the threshold; nothing here is hard any more.
- `productive`: at least half of that.
- `stretch`: less, but the accuracy rises, or there were too few examinations to say.
- `overload`: less, and it does not rise: the level is above the hero.
"""

from __future__ import annotations

from typing import Literal

Zone = Literal["recovery", "productive", "stretch", "overload"]

WINDOW = 3
"""Examinations that are taken together."""
EPSILON = 1e-9
"""Sums of twentieths miss their own mean by a bit."""
RISE = 0.05
"""By so much the newest ones must be better than those before to count as rising."""


def zone_of(passes: tuple[float, ...], threshold: float) -> Zone | None:
    """The zone, from the accuracies of the examinations at the training level; None before the first one."""
    if not passes:
        return None
    recent = _mean(passes[-WINDOW:]) + EPSILON
    if recent >= threshold:
        return "recovery"
    if recent >= threshold / 2:
        return "productive"
    before = passes[-2 * WINDOW : -WINDOW]
    if len(before) < WINDOW or recent > _mean(before) + RISE:
        return "stretch"
    return "overload"


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)

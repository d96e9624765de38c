"""Decides whether a death of the trainer is charged to a quest, and whether it was the third in one place.

Rule (DESIGN section 3): a strike needs a death at the same journal position ± 1 step as the one before, else the
count starts again at one; only the quest being stepped is charged, never one being replayed. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from arena.quests import Strike
from arena.supervision.position_file import Phase

STRIKES_TO_WITHDRAW = 3

POSITION_TOLERANCE = 1
"""Steps between two deaths that still count as one place."""

CHARGED_PHASES = (Phase.PREPARING, Phase.STEPPING)
"""What a quest can be blamed for; loading the model, waiting, saving and evaluating are not its doing."""


@dataclass(frozen=True)
class Verdict:
    """What a death means for the quest it happened on."""

    charged: bool
    """The death goes into the quest's record as a strike."""
    strikes: int
    """Strikes in one place, this one included when it is charged."""
    limit: int = STRIKES_TO_WITHDRAW

    @property
    def withdraw(self) -> bool:
        """This was one strike too many: the quest must not be stepped again."""
        return self.charged and self.strikes >= self.limit


def judge_death(strikes: Sequence[Strike], death: Strike, *, replaying: bool, phase: Phase = Phase.STEPPING) -> Verdict:
    """Weigh a death at the position in `death` against the strikes the quest already has, oldest first."""
    if replaying or phase not in CHARGED_PHASES:
        return Verdict(charged=False, strikes=strikes_in_a_row(strikes))
    return Verdict(charged=True, strikes=strikes_in_a_row([*strikes, death]))


def strikes_in_a_row(strikes: Sequence[Strike]) -> int:
    """How many of the last strikes lie in one place, each within a step of the one before it."""
    length = min(len(strikes), 1)
    for earlier, later in zip(reversed(strikes[:-1]), reversed(strikes), strict=False):
        if earlier.ordinal != later.ordinal or abs(earlier.quest_step - later.quest_step) > POSITION_TOLERANCE:
            break
        length += 1
    return length

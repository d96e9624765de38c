"""The closed list of deeds outside of examinations, and what each is judged by. Those of skills are the guild's.

A deed is of a count that only has to be reached once, or of something that has happened. Of the latter, an event of the
saga tells (`core.saga`), with what the saga's event says as the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

Category = Literal["battle", "endurance", "keeping"]
Measure = Literal["quests", "steps", "days", "rows", "tokens"]


class Counted(NamedTuple):
    """Earned when a count reaches its goal."""

    name: str
    title: str
    condition: str
    category: Category
    measure: Measure
    goal: int


class Happened(NamedTuple):
    """Earned when an event of this kind is told, and says what is asked for."""

    name: str
    title: str
    condition: str
    category: Category
    kinds: tuple[str, ...]
    after: tuple[str, ...] = ()
    """One of these must have been told before, and none of `kinds` since."""
    says: Callable[[Mapping[str, Any]], bool] = lambda data: True
    """Whether the event's data are such that it counts."""
    why: Callable[[Mapping[str, Any], str], str] = lambda data, message: message
    """What it was earned by, from the event's data and message."""


DEATHS = ("trainer_died", "trainer_interrupted", "realm_was_cut_off")
DISK_TROUBLES = ("disk_full", "disk_short", "disk_read_only", "disk_missing", "disk_failing")
SHARP_LOSS = 0.1


def _is_sharp(data: Mapping[str, Any]) -> bool:
    loss = data.get("loss_last")
    return isinstance(loss, int | float) and loss <= SHARP_LOSS


def _of_sharp(data: Mapping[str, Any], message: str) -> str:
    return f"{message.partition(' is sealed')[0]} ended with a loss of {data['loss_last']:.4f}."


COUNTED = (
    Counted("quests_1", "First Quest", "Learn a quest to its end.", "battle", "quests", 1),
    Counted("quests_10", "Adventurer", "Learn 10 quests.", "battle", "quests", 10),
    Counted("quests_100", "Veteran", "Learn 100 quests.", "battle", "quests", 100),
    Counted("quests_1000", "Champion", "Learn 1,000 quests.", "battle", "quests", 1_000),
    Counted("quests_10000", "Legend", "Learn 10,000 quests.", "battle", "quests", 10_000),
    Counted("steps_1000", "A Thousand Steps", "Reach step 1,000: level 1.", "battle", "steps", 1_000),
    Counted("steps_10000", "Wayfarer", "Reach step 10,000: level 10.", "battle", "steps", 10_000),
    Counted("steps_100000", "Long Road", "Reach step 100,000: level 100.", "battle", "steps", 100_000),
    Counted("steps_1000000", "World's End", "Reach step 1,000,000: level 1,000.", "battle", "steps", 1_000_000),
    Counted("rows_1000", "Siege", "Learn a quest of 1,000 rows or more.", "battle", "rows", 1_000),
    Counted("rows_10000", "Long Campaign", "Learn a quest of 10,000 rows or more.", "battle", "rows", 10_000),
    Counted("tokens_1000", "Long Breath", "Learn a row of 1,000 tokens or more.", "battle", "tokens", 1_000),
    Counted("days_7", "A Week in Service", "Keep one hero for 7 days.", "endurance", "days", 7),
    Counted("days_30", "A Moon in Service", "Keep one hero for 30 days.", "endurance", "days", 30),
    Counted("days_365", "A Year in Service", "Keep one hero for 365 days.", "endurance", "days", 365),
)

HAPPENED = (
    Happened("sharp_blade", "Sharp Blade", f"End a quest with a loss of {SHARP_LOSS} or less: ATK 10.", "battle",
             ("quest_sealed",), says=_is_sharp, why=_of_sharp),
    Happened("defeats", "Learning from Defeats", "Let the guild make a quest from wrong answers.", "battle",
             ("mistakes_corrected",)),
    Happened("first_checkpoint", "First Checkpoint", "Save a checkpoint.", "endurance", ("checkpoint_saved",)),
    Happened("risen", "Risen", "Go on from a checkpoint after the trainer was killed or cut off.", "endurance",
             ("trainer_ready",), after=DEATHS, says=lambda data: bool(data.get("checkpoint"))),
    Happened("healed", "Healed", "Go back to before steps that were not finite or spiked.", "endurance",
             ("went_back",)),
    Happened("storm", "Weathered", "See a disk in trouble, and well again.", "endurance",
             ("disk_ok",), after=DISK_TROUBLES),
    Happened("gate", "The Gate Holds", "Have a file refused by the gatekeepers, with the reason.", "keeping",
             ("quest_rejected",)),
    Happened("rewound", "Back in Time", "Rewind the hero to an earlier checkpoint.", "keeping", ("rewound",)),
    Happened("caravan", "First Caravan", "Carry an asset to another place, verified.", "keeping", ("asset_carried",)),
)  # fmt: skip

WATCHED = frozenset(kind for deed in HAPPENED for kind in (*deed.kinds, *deed.after))
"""Kinds of events that may decide something."""

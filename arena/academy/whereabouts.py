"""Where a generated quest is by now, and what follows from that where no examination has come."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, NamedTuple

from arena.academy.making import place_of
from arena.lanes.reading import CLAIMED_LANES
from arena.quest_board import QuestBoard
from arena.quests import Quest
from core.paths import PRIORITIES
from guild.quests.making import number_in
from guild.records import GeneratedQuest

Where = Literal["inbox", "waiting", "trainer", "over", "refused", "rewound", "gone"]

NEVER_LEARNED = ("rejected", "refused", "lost")
"""Outcomes of quests that never stood in the journal: nobody examines after them."""


class Place(NamedTuple):
    """Where a quest lies."""

    where: Where
    quest: Quest | None = None
    """None in the inbox, and where there is none any more."""


class Fate(NamedTuple):
    """What becomes of a quest that is not on record as examined."""

    what: Literal["open", "void", "again"]
    """`again`: a rewind has taken it back, and it is made once more."""
    reason: str = ""


def find(board: QuestBoard, generated: GeneratedQuest, history: str) -> Place:
    """Where the quest of this number lies."""
    # In the order in which quests move on, so that one which moves meanwhile is seen once at least.
    if any(os.path.lexists(place_of(board.paths, generated.name, priority)) for priority in PRIORITIES):
        return Place("inbox")
    quest = board.find(generated.name)
    if quest is None or number_in(quest.record.lineage, history) != generated.number:
        return Place("gone")
    outcome = quest.record.outcome
    if outcome == "rewound":
        return Place("rewound", quest)
    if outcome in NEVER_LEARNED:
        return Place("refused", quest)
    if outcome is None and quest.lane in PRIORITIES:
        return Place("waiting", quest)
    return Place("trainer" if outcome is None and quest.lane in CLAIMED_LANES else "over", quest)


def fate_of(generated: GeneratedQuest, places: Mapping[int, Place], later: Mapping[int, str], *, at_rest: bool) -> Fate:
    """What follows from where it is.

    `places` are those of all quests that are not over, `later` the statuses of those that are, by number. `at_rest`
    says that the trainer has had nothing to do for a while. An examination comes before the first step of the next
    quest, so that none can come once that one is over.
    """
    place = places[generated.number]
    if place.where in ("inbox", "waiting", "trainer"):
        return Fate("open")
    if place.where == "rewound":
        return Fate("again")
    if place.where == "gone":
        return Fate("again") if generated.status == "undone" else Fate("void", "its file is gone")
    assert place.quest is not None
    if place.where == "refused":
        return Fate("void", f"{place.quest.record.outcome}: {place.quest.record.reason or 'for no reason told'}")
    if not generated.plan.examination:
        return Fate("void", "nobody examines")
    gone_on = any(
        number > generated.number and (status == "examined" or (number in places and places[number].where == "over"))
        for number, status in later.items()
    )
    return Fate("void", "it was never examined") if gone_on or at_rest else Fate("open")

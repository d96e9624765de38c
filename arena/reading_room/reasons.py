"""Why a quest lies where it lies, in a code for programs and a sentence for people (PEERS F2)."""

from __future__ import annotations

from dataclasses import dataclass

from arena.quest_names import split_name
from arena.reading_room.lane_pages import Shown
from core.paths import PRIORITIES

STANDS_STILL = {
    "starting": "the trainer starts",
    "paused": "training is paused",
    "stopping": "training stops",
    "stopped": "training is stopped",
    "crashed": "the trainer has died and is started again",
}
"""States of the realm in which no quest goes on, with words for them."""


@dataclass(frozen=True)
class Why:
    """One reason."""

    code: str
    message: str

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


def why_nothing_goes_on(state: str, reason: str | None, troubles: list[str | None]) -> Why | None:
    """Why no quest at all goes on: the first of `troubles`, else a state of the realm that holds all up."""
    for trouble in troubles:
        if trouble is not None:
            return Why("held", trouble)
    if state not in STANDS_STILL:
        return None
    words = STANDS_STILL[state]
    return Why("held", f"{words}: {reason}" if reason and reason != state else words)


def why_there(shown: Shown, held: Why | None, running: str | None) -> Why | None:
    """Of one file; `running` is the name of the quest that is learned now. None for what was learned."""
    record = shown.record
    match shown.lane:
        case "processing":
            return held or Why("learning", "it is learned now")
        case "awaiting_seal":
            return Why("sealing", "it is learned; the next checkpoint will cover it")
        case "failed":
            return Why("failed", _why_failed(shown))
        case "recently_completed":
            return None
    if record is None:
        return Why("unchecked", "the gates have not looked at it yet")
    if record.outcome is not None:
        return Why("over", f"it was moved here by hand and is over ({record.outcome}): retry it")
    if held is not None:
        return held
    if shown.file.name == running:
        return Why("learning", "it is learned now")
    if shown.ahead == 0:
        return Why("next", "it is next" if running is None else "it is next, when the quest in battle is over")
    before = "one quest waits" if shown.ahead == 1 else f"{shown.ahead:,} quests wait"
    return Why("turn", f"{before} before it")


def _why_failed(shown: Shown) -> str:
    record = shown.record
    if record is None:
        packed = split_name(shown.file.name)[1] != ".jsonl"
        return "rejected as it was dropped" if packed else "it lies here without a record: retry sends it to the gates"
    return record.reason or record.outcome or "it was moved here by hand"


def is_waiting(lane: str) -> bool:
    return lane in PRIORITIES

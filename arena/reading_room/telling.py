"""One quest in one row: what boards, lists and histories show of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from arena.quests import QuestRecord
from arena.reading_room.lane_pages import Shown
from arena.reading_room.pace import Pace, Schedule, tokens_of
from arena.reading_room.reasons import Why, is_waiting, why_there
from core.lineage import GENERATOR_REGISTRY

UPLOADED = "upload"
"""The `source` in the lineage of a file that came through the page."""

LONGEST_LABEL = 60


@dataclass(frozen=True)
class Light:
    """What is known beside the lanes, and shown with the quests in them."""

    pace: Pace
    held: Why | None
    """Why nothing goes on; None while it does."""
    running: str | None
    """Name of the file that is learned now."""
    proof_of: Callable[[str], dict[str, Any] | None]
    """What the gate found in a quest that still waits."""
    rows_per_step: int | None


def quest_told(shown: Shown, light: Light, schedule: Schedule | None = None) -> dict[str, Any]:
    """See `arena.reading_room.answers.QuestShown`; of those that wait, in the order of their claims."""
    record, lane = shown.record, shown.lane
    why = why_there(shown, light.held, light.running)
    told: dict[str, Any] = {
        "file": as_text(shown.file.name),
        "lane": lane,
        "size_bytes": shown.file.size,
        "why": why.to_json() if why is not None else None,
        "ahead": shown.ahead if is_waiting(lane) else None,
        "starts_in_seconds": None,
        "takes_seconds": None,
    }
    if record is None:
        return told | _NOTHING_KNOWN
    proof = record.proof or light.proof_of(record.quest_id)
    tokens, epochs = tokens_of(proof, record.rows), record.epochs or light.pace.epochs
    if is_waiting(lane):
        told["takes_seconds"] = light.pace.seconds(shown.file.size, tokens, record.epochs)
        begins = (schedule or Schedule(light.pace)).begins_in(shown.bytes_ahead, shown.file.size, told["takes_seconds"])
        told["starts_in_seconds"] = begins if light.held is None and record.outcome is None else None
    steps = -(-record.rows // light.rows_per_step) * epochs if light.rows_per_step and epochs else None
    return told | facts_of(record) | {"tokens": tokens, "epochs": epochs, "steps": steps}


def facts_of(record: QuestRecord) -> dict[str, Any]:
    """What the sidecar alone tells."""
    return {
        "quest_id": record.quest_id,
        "original_name": as_text(record.original_name),
        "priority": record.priority,
        "rows": record.rows,
        "added_at": record.submitted_at,
        "source": source_of(record),
        "generator": _generator(record),
        "attempts": record.attempts,
        "strikes": len(record.strikes),
        "outcome": record.outcome,
        "finished_at": record.finished_at,
        "rows_learned": record.rows_learned,
        "loss_first": record.loss_first,
        "loss_last": record.loss_last,
    }


def source_of(record: QuestRecord) -> str:
    """`uploaded`, `guild`, `generated` (by somebody else's program) or `dropped`."""
    if record.lineage.get("source") == UPLOADED:
        return "uploaded"
    generator = record.lineage.get("generator_id")
    if not isinstance(generator, str) or generator == "manual":
        return "dropped"
    return "guild" if generator in GENERATOR_REGISTRY else "generated"


def as_text(name: str) -> str:
    """A file name as text that any encoder takes: it need not be Unicode."""
    try:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which a sidecar can hold and no file name
        return name.encode("utf-8", "backslashreplace").decode()


def _generator(record: QuestRecord) -> str | None:
    generator = record.lineage.get("generator_id")
    return generator[:LONGEST_LABEL] if isinstance(generator, str) else None


_NOTHING_KNOWN: dict[str, Any] = {
    **dict.fromkeys(
        ("quest_id", "original_name", "priority", "rows", "added_at", "generator", "outcome", "finished_at",
         "rows_learned", "loss_first", "loss_last", "tokens", "epochs", "steps")
    ),
    "source": "dropped", "attempts": 0, "strikes": 0,
}  # fmt: skip

"""What people and pages see of the lanes: counts, rows and `queue_metadata.json`, all made from names and sidecars."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from arena.lanes.reading import LaneReader
from arena.quests import QuestRecord
from core.paths import LANES, PRIORITIES

SHOWN_FILES = 10

KEPT_ENTRIES = 1000
"""Newest entries of each list in `queue_metadata.json`."""


def counts(lanes: LaneReader) -> dict[str, Any]:
    """`{queued: {high, normal, low, total}, total_queued, processing, awaiting_seal, completed, failed, skipped}`.

    Files that lie in a lane without a sidecar are no quests yet and are not counted. `completed` counts what still lies
    in `recently_completed/`; `skipped` and `failed` share the lane `failed/` and no quest is in both numbers.
    """
    numbers = {}
    for lane in LANES:
        names = lanes.names(lane)
        numbers[lane] = len(names.data & names.sidecars)
    queued = {lane: numbers[lane] for lane in PRIORITIES}
    total = sum(queued.values())
    skipped = lanes.outcomes("failed")["skipped"]
    return {
        "queued": {**queued, "total": total},
        "total_queued": total,
        "processing": numbers["processing"],
        "awaiting_seal": numbers["awaiting_seal"],
        "completed": numbers["recently_completed"],
        "failed": numbers["failed"] - skipped,
        "skipped": skipped,
    }


def listing(lanes: LaneReader, which: Iterable[str]) -> list[dict[str, Any]]:
    """Rows `{file, quest_id, lane, priority, rows, size_mb, added_at, outcome, reason, strikes}`, oldest first.

    `strikes` is their number, `size_mb` counts 10⁶ bytes. A file without a record has null in most fields.
    """
    rows = []
    for lane in which:
        for file in lanes.files(lane):
            record = lanes.peek(lane, file.name)
            row = {"file": file.name, "lane": lane, "size_mb": round(file.size / 1e6, 3)}
            rows.append({**row, **_told(record)})
    return rows


def queue_view(lanes: LaneReader) -> dict[str, Any]:
    """`{pending, processing, awaiting_seal, failed, queues: {priority: {count, files}}}`: numbers and next file names.

    `files` holds at most ten names per priority, in the order in which they will be claimed.
    """
    numbers = counts(lanes)
    queues = {}
    for lane in PRIORITIES:
        waiting = (quest.name for quest in lanes.quests(lane) if quest.record.outcome is None)
        queues[lane] = {"count": numbers["queued"][lane], "files": list(islice(waiting, SHOWN_FILES))}
    return {
        "pending": numbers["total_queued"],
        "processing": numbers["processing"],
        "awaiting_seal": numbers["awaiting_seal"],
        "failed": numbers["failed"],
        "queues": queues,
    }


def queue_metadata(lanes: LaneReader) -> dict[str, Any]:
    """`{processed: [{file, completed_at}], skipped: […], failed: […]}`, each the newest 1000, oldest first."""
    failed = list(lanes.records("failed"))
    processed = [
        {"file": file.name, "quest_id": record.quest_id, "completed_at": record.finished_at}
        for file, record in lanes.records("recently_completed")
    ]
    skipped = [
        {
            "file": file.name,
            "quest_id": record.quest_id,
            "skipped_at": record.finished_at,
            "reason": record.reason,
        }
        for file, record in failed
        if record.outcome == "skipped"
    ]
    fallen = [
        {
            "file": file.name,
            "quest_id": record.quest_id,
            "outcome": record.outcome,
            "attempts": record.attempts,
            "last_error": record.reason,
            "final_failure": record.finished_at,
        }
        for file, record in failed
        if record.outcome != "skipped"
    ]
    return {
        "processed": _newest(processed, "completed_at"),
        "skipped": _newest(skipped, "skipped_at"),
        "failed": _newest(fallen, "final_failure"),
    }


def _told(record: QuestRecord | None) -> dict[str, Any]:
    if record is None:
        blank = dict.fromkeys(("quest_id", "priority", "rows", "added_at", "outcome"))
        return {**blank, "reason": "not checked by the gates", "strikes": 0}
    return {
        "quest_id": record.quest_id,
        "priority": record.priority,
        "rows": record.rows,
        "added_at": record.submitted_at,
        "outcome": record.outcome,
        "reason": record.reason,
        "strikes": len(record.strikes),
    }


def _newest(entries: list[dict[str, Any]], when: str) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: entry[when] or "")[-KEPT_ENTRIES:]

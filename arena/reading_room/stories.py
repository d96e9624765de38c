"""All that is known of one quest: where it lies, its record, what happened to it, and which checkpoints hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arena.doorstep.left_alone import is_left_alone
from arena.quest_board import QuestBoard
from arena.quest_names import report_of
from arena.quests import QUEST_ID, QuestRecord
from arena.reading_room.lane_pages import Shown
from arena.reading_room.telling import as_text
from core.checkpoint_ledger import CheckpointLedger
from core.errors import NotFound
from core.files import read_json
from core.finite import finite
from core.saga import Saga

MOST_EVENTS = 200
MOST_CHECKPOINTS = 20
MOST_FINDINGS = 100
HIDDEN = ("moved_from",)
"""Keys of a sidecar that are the realm's own notes."""


def find_shown(board: QuestBoard, name: str) -> Shown | None:
    """The quest of that id or file name as it lies in its lane; also a file that has no record."""
    quest = board.find(name)
    if quest is not None:
        lane, file_name = quest.lane, quest.name
        found = board.look(lambda lanes: lanes.file(lane, file_name))
        return None if found is None else Shown(lane, found, quest.record, 0, 0)
    if QUEST_ID.fullmatch(name):
        return None
    failed = board.look(lambda lanes: lanes.file("failed", name)) if not is_left_alone(name) else None
    return None if failed is None else Shown("failed", failed, None, 0, 0)


def must_find(board: QuestBoard, name: str) -> Shown:
    """`find_shown`; raises `NotFound`."""
    shown = find_shown(board, name)
    if shown is None:
        raise NotFound(
            f"There is no quest {name}.",
            hint="It may have been removed, or forgotten when its days were over; /api/quests/history lists the rest.",
        )
    return shown


def story_of(shown: Shown, saga: Saga, ledger: CheckpointLedger) -> dict[str, Any]:
    """What stands beside the row that boards show; reads the disk."""
    record = shown.record
    return {
        "record": _record_told(record) if record is not None else None,
        "rejection": _rejection(shown.file.path),
        "events": [event.to_json() for event in saga.events_about(record.quest_id, MOST_EVENTS)] if record else [],
        "checkpoints": _checkpoints(record, ledger) if record is not None else [],
    }


def _record_told(record: QuestRecord) -> dict[str, Any]:
    lineage = {key: value for key, value in record.lineage.items() if key not in HIDDEN}
    return {
        "content_hash": record.content_hash,
        "schema_id": record.schema_id,
        "profile": record.profile,
        "system_prompt": record.system_prompt,
        "first_step": record.first_step,
        "last_step": record.last_step,
        "strikes": [dict(vars(strike)) for strike in record.strikes],
        "proof": finite(record.proof),
        "lineage": finite(lineage),
    }


def _rejection(path: Path) -> dict[str, Any] | None:
    """The gates' report beside a file in `failed/`."""
    report = read_json(report_of(path)) if path.parent.name == "failed" else None
    if not isinstance(report, dict):
        return None
    told: dict[str, Any] = {}
    for key, total in (("reasons", "total_reasons"), ("warnings", "total_warnings")):
        listed, count = report.get(key), report.get(total)
        found = listed[:MOST_FINDINGS] if isinstance(listed, list) else []
        told[key] = [finding for each in found if (finding := _finding(each)) is not None]
        told[total] = count if isinstance(count, int) else None
    return told


def _finding(told: Any) -> dict[str, Any] | None:
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return None
    line, item, field = told.get("line"), told.get("item"), told.get("field")
    return {
        "line": line if isinstance(line, int) else None,
        "item": item if isinstance(item, int) else None,
        "field": field if isinstance(field, str) else None,
        "message": told["message"],
    }


def _checkpoints(record: QuestRecord, ledger: CheckpointLedger) -> list[dict[str, Any]]:
    """Those that hold a part of the quest or all of it, the first ones."""
    first, last = record.first_step, record.last_step
    if first is None or last is None:
        return []
    after = sorted((each for each in ledger.list_all() if each.step > first), key=lambda each: each.step)
    return [
        {
            "name": as_text(each.canonical_name),
            "step": each.step,
            "saved_at": each.timestamp or None,
            "holds_all": each.step >= last,
        }
        for each in after[:MOST_CHECKPOINTS]
    ]

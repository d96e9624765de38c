"""From a plan to a file in the inbox: a job of the scribe makes the rows, and a rename lets the inbox have them.

Generated quests go the way of all others, through the inbox and its gates (failure C9).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arena.quests import sidecar_of
from core.files import DISK, Files
from core.paths import RealmPaths
from guild.curriculum.planning import QuestPlan
from guild.quests.making import lines_of

MAKE_ROWS = "arena.academy.making:make_rows"

_STAMP = "%Y%m%d_%H%M%S"
_STAMP_LENGTH = len("20261121_093000")


def make_rows(plan: dict[str, Any], path: str) -> dict[str, int]:
    """Job of the scribe: write the rows of a planned quest to `path`; `{rows, bytes}`."""
    lines = list(lines_of(QuestPlan.from_json(plan)))
    data = b"".join(lines)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    DISK.write_atomic(Path(path), data, durable=True)
    return {"rows": len(lines), "bytes": len(data)}


def place_of(paths: RealmPaths, name: str, priority: str) -> Path:
    """Where the inbox takes the quest of this name."""
    return paths.inbox / priority / name


def part_of(place: Path, number: int) -> Path:
    """Where its rows are written before: a name that the inbox leaves alone, and the sweep removes when we die."""
    return place.with_name(f".{place.stem}.{number:08x}.part")


def drop_made(part: Path, place: Path, lineage: dict[str, Any], *, files: Files = DISK) -> None:
    """Let the inbox have the rows, with their sidecar; nothing, where they lie there already. Raises `OSError`."""
    try:
        # The sidecar first: the inbox may take the data file the moment it appears.
        files.write_json(sidecar_of(place), lineage, durable=True)
        files.move_new(part, place)
    except FileExistsError:
        files.unlink(part)
    files.fsync_dir(place.parent)


def name_of(plan: QuestPlan, last_name: str, now: datetime) -> str:
    """`train_{SKILL}_level{N}_{COUNT}_{YYYYmmdd_HHMMSS}.jsonl`, local time (seed 003).

    Later than that of `last_name`, so that no two quests ever have one name and the order of the names is theirs.
    """
    stamp = now.astimezone().replace(tzinfo=None, microsecond=0)
    last = last_name.removesuffix(".jsonl")[-_STAMP_LENGTH:]
    if last and stamp.strftime(_STAMP) <= last:
        stamp = datetime.strptime(last, _STAMP).replace(tzinfo=UTC).replace(tzinfo=None) + timedelta(seconds=1)
    return f"train_{plan.skill.upper()}_level{plan.training_level}_{plan.count}_{stamp.strftime(_STAMP)}.jsonl"

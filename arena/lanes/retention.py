"""Which quests that are over must go, so that a lane keeps within its days and megabytes (law 9, failure A20)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from arena.quests import QuestRecord

BYTES_PER_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class LaneBudget:
    """How much of a lane of ended quests is kept."""

    days: float
    megabytes: float


@dataclass(frozen=True)
class Ended:
    """A quest that is over."""

    path: Path
    finished_at: datetime
    size_bytes: int


def surplus(ended: Iterable[Ended], budget: LaneBudget, *, now: datetime) -> list[Ended]:
    """What must go, oldest first: everything past its days, then what is over the size.

    The newest one stays whatever its size: a file that has just been rejected must not vanish at once.
    """
    newest_first = sorted(ended, key=lambda quest: (quest.finished_at, quest.path.name), reverse=True)
    limit = now - timedelta(days=budget.days)
    room = budget.megabytes * BYTES_PER_MEGABYTE
    going = []
    for place, quest in enumerate(newest_first):
        room -= quest.size_bytes
        if quest.finished_at < limit or (room < 0 and place > 0):
            going.append(quest)
    return going[::-1]


def finished_at(record: QuestRecord | None, data_file: Path) -> datetime:
    """When a completed quest ended; the mtime of its data is older than the quest itself."""
    try:
        said = datetime.fromisoformat(record.finished_at) if record and record.finished_at else None
    except ValueError:
        said = None
    if said is not None and said.tzinfo is not None:
        return said
    try:
        return datetime.fromtimestamp(data_file.lstat().st_ctime, UTC)
    except FileNotFoundError:
        return datetime.now(UTC)

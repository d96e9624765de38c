"""`status/scrub.json`: when each checkpoint was last read again and found as it was saved; written by the scrubber."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from core.files import DISK, Files, read_json


@dataclass
class ScrubRecord:
    """What is known of the checkpoints' health, all by directory name."""

    verified_at: dict[str, str] = field(default_factory=dict)
    """When the last file of it was read again, ISO 8601 UTC."""
    rotten: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong with those that are not set aside yet."""
    reading: str | None = None
    """The checkpoint that is being read."""
    files_read: list[str] = field(default_factory=list)
    """Files of it that were as they were saved; a restart goes on behind them."""


def read_scrub_record(path: Path) -> ScrubRecord:
    """The record in the file; an empty one when there is none, or it cannot be read."""
    raw = read_json(path)
    if not isinstance(raw, dict):
        return ScrubRecord()
    checkpoints = raw.get("checkpoints")
    known = checkpoints if isinstance(checkpoints, dict) else {}
    verified = {name: each["verified_at"] for name, each in known.items() if _is_verified(each)}
    rotten = {name: problems for name, each in known.items() if (problems := _problems(each))}
    reading, files = raw.get("reading"), raw.get("files_read")
    if not isinstance(reading, str) or not isinstance(files, list):
        return ScrubRecord(verified_at=verified, rotten=rotten)
    return ScrubRecord(verified, rotten, reading, [str(name) for name in files])


def write_scrub_record(path: Path, record: ScrubRecord, *, now: datetime, files: Files = DISK) -> None:
    """Replace the file; what is lost with it is read again."""
    names = sorted(record.verified_at.keys() | record.rotten.keys())
    checkpoints = {
        name: {"verified_at": record.verified_at.get(name), "problems": record.rotten.get(name, [])} for name in names
    }
    body = {
        "updated_at": now.isoformat(),
        "pid": os.getpid(),
        "reading": record.reading,
        "files_read": record.files_read,
        "checkpoints": checkpoints,
    }
    files.write_json(path, body, durable=False)


def _problems(entry: object) -> list[str]:
    told = entry.get("problems") if isinstance(entry, dict) else None
    return [str(each) for each in told] if isinstance(told, list) else []


def _is_verified(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("verified_at"), str):
        return False
    try:
        return datetime.fromisoformat(entry["verified_at"]).tzinfo is not None
    except ValueError:
        return False

"""`current_model/.exit.json`: the trainer child's own word on why it ended, for its parent to read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from core.files import DISK, Files, read_json

EXIT_RECORD = ".exit.json"


@dataclass(frozen=True)
class ExitRecord:
    pid: int
    at: str
    """ISO 8601 UTC."""
    clean: bool
    """True when everything was saved and the exit was asked for."""
    reason: str
    """One sentence for people."""
    traceback: str | None = None
    out_of_memory: bool = False
    """It ended because the machine or the accelerator had no more memory for it."""


def write_exit_record(
    folder: Path,
    *,
    pid: int,
    now: datetime,
    clean: bool,
    reason: str,
    traceback: str | None = None,
    out_of_memory: bool = False,
    files: Files = DISK,
) -> None:
    record = ExitRecord(
        pid=pid, at=now.isoformat(), clean=clean, reason=reason, traceback=traceback, out_of_memory=out_of_memory
    )
    files.write_json(folder / EXIT_RECORD, asdict(record), durable=True)


def forget_exit_record(folder: Path, pid: int) -> None:
    """For a child `pid` that has just been started: an earlier one, of before a reboot, may have had the same pid."""
    if read_exit_record(folder, pid) is not None:
        (folder / EXIT_RECORD).unlink(missing_ok=True)


def read_exit_record(folder: Path, pid: int) -> ExitRecord | None:
    """The record of process `pid`; None when it left none (killed, or out of memory)."""
    raw = read_json(folder / EXIT_RECORD)
    if not isinstance(raw, dict) or raw.get("pid") != pid:
        return None
    known = {field.name: raw[field.name] for field in fields(ExitRecord) if field.name in raw}
    try:
        record = ExitRecord(**known)
    except TypeError:
        return None
    return record if isinstance(record.reason, str) and isinstance(record.clean, bool) else None

"""Status files that cannot lie (law 7): each says until when it holds, and past that every reader says `unknown`.

Numbers of a stale file stay readable, so that steps and levels do not drop to zero when the writer is gone;
only `status` changes, and `stale` and `last_status` say so.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.files import DISK, Files, read_json
from core.finite import finite
from core.processes import is_alive

UNKNOWN = "unknown"


def write_status(path: Path, body: dict[str, Any], *, now: datetime, valid_for: float, files: Files = DISK) -> None:
    """Replace the status file in one step; readers trust it for `valid_for` seconds and while this process lives.

    Adds `heartbeat_at`, `valid_until` (ISO 8601 UTC) and `pid`. NaN and Infinity become null. Not fsynced: after
    a power cut the file is out of date anyway. Raises OSError when the disk refuses.
    """
    stamped = {
        **finite(body),
        "heartbeat_at": _iso(now),
        "valid_until": _iso(now + timedelta(seconds=valid_for)),
        "pid": os.getpid(),
    }
    files.write_json(path, stamped, durable=False)


def read_status(path: Path, *, now: datetime) -> dict[str, Any]:
    """The body of a status file, with `stale` added.

    Past `valid_until`, before `heartbeat_at` (a clock was set back), or when the writer's pid is gone, `status` is
    `"unknown"`, `stale` is true, `last_status` is what it said and `reason` says why. A missing or torn file is the
    same with every field null.
    """
    body = read_json(path)
    if not isinstance(body, dict):
        nothing = {"heartbeat_at": None, "valid_until": None, "pid": None, "last_status": None}
        why = "the file cannot be read" if path.exists() else "nothing has been written yet"
        return {"status": UNKNOWN, "stale": True, **nothing, "reason": why}
    reason = _why_stale(body, now)
    if reason is None:
        return {**body, "stale": False}
    return {**body, "status": UNKNOWN, "stale": True, "last_status": body.get("status"), "reason": reason}


def number(value: Any) -> float | None:
    """A number of a status file; None for whatever else may stand there, as anybody can write such a file."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _why_stale(body: dict[str, Any], now: datetime) -> str | None:
    try:
        written, valid_until = (datetime.fromisoformat(body[name]) for name in ("heartbeat_at", "valid_until"))
        expired = now > valid_until
        # As much as it is valid for: clocks of two machines that share a disk differ a little.
        early = now < written - (valid_until - written)
    except (KeyError, TypeError, ValueError):
        return "it does not say until when it holds"
    if expired:
        return f"it held until {body['valid_until']}"
    if early:
        return f"it is of {body['heartbeat_at']}, which is yet to come: a clock was set"
    if not is_alive(body.get("pid")):
        return f"its writer, process {body.get('pid')}, is gone"
    return None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()

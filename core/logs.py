"""Logs as JSON lines under `logs/`, rotated within a byte budget.

One file family per process (`{name}.jsonl`, `.1` … `.7`): size decides when a file is turned over, not its
date of birth (failure B24). What libraries and a dying interpreter print goes to `*.log` files, which no logger
turns over: `turn_over` does.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from core.finite import finite

logger = logging.getLogger(__name__)

FILES_PER_FAMILY = 8

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record carries; anything else came in through `extra=`."""


def configure_logging(logs_dir: Path, name: str, *, max_bytes_total: int) -> None:
    """Send every record from INFO up to `logs_dir/{name}.jsonl`.

    `max_bytes_total` is the size of the whole family of eight files. Calling it again replaces what the
    earlier call set up.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _FamilyHandler):
            root.removeHandler(handler)
            handler.close()
    logs_dir.mkdir(parents=True, exist_ok=True)
    family = _FamilyHandler(
        logs_dir / f"{name}.jsonl",
        maxBytes=max(1, max_bytes_total // FILES_PER_FAMILY),
        backupCount=FILES_PER_FAMILY - 1,
        encoding="utf-8",
        errors="backslashreplace",
    )
    family.setFormatter(JsonFormatter())
    root.addHandler(family)
    root.setLevel(logging.INFO)


def log_to_terminal() -> None:
    """For a process in the foreground that has no log of its own."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Of the schema of a database, which is nobody's business while it is well.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def turn_over(file: Path, *, max_bytes_total: int) -> bool:
    """Keep the plain output in `file` and `file.1` within a budget while some process goes on writing; True if it did.

    Copied and emptied in place: the writer has it open for appending and would follow a rename. What it writes
    between the two calls is lost, which raw output can bear. A disk that is full is left for the next time.
    """
    half = max_bytes_total // 2
    try:
        size = file.stat().st_size
        if size <= half:
            return False
        with file.open("rb") as present, file.with_name(f"{file.name}.1").open("wb") as kept:
            # A process that went wild wrote more than that since the last look: its last words count.
            present.seek(size - half)
            shutil.copyfileobj(present, kept)
        os.truncate(file, 0)
    except FileNotFoundError:
        return False
    except OSError as error:
        logger.warning("%s could not be turned over: %s", file, error, extra={"event": "turn_over_failed"})
        return False
    return True


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time (UTC), level, logger, message, what `extra=` brought, and `exc`."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        entry |= {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exc"] = self.formatException(record.exc_info)
        first = ("time", "level", "logger", "message")
        ordered = {key: entry[key] for key in first} | {key: entry[key] for key in entry if key not in first}
        return json.dumps(finite(ordered), ensure_ascii=False, default=str)


class _FamilyHandler(RotatingFileHandler):
    """Says once on stderr that the log cannot be written, instead of a traceback for every record."""

    _complained = False

    def handleError(self, record: logging.LogRecord) -> None:
        if not self._complained:
            self._complained = True
            sys.stderr.write(f"The log {self.baseFilename} cannot be written: {sys.exc_info()[1]}\n")

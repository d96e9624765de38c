"""Logs as JSON lines under `logs/`, rotated within a byte budget, and readable lines on the console.

One file family per process (`{name}.jsonl`, `.1` … `.7`): size decides when a file is turned over, not its
date of birth (failure B24).
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from core.finite import finite

FILES_PER_FAMILY = 8

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record carries; anything else came in through `extra=`."""


def configure_logging(logs_dir: Path, name: str, *, max_bytes_total: int, console: bool) -> None:
    """Send every record from INFO up to `logs_dir/{name}.jsonl`, and to stderr when `console`.

    `max_bytes_total` is the size of the whole family of eight files. Calling it again replaces what the
    earlier call set up.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _FamilyHandler | _ConsoleHandler):
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
    if console:
        stream = _ConsoleHandler(sys.stderr)
        stream.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S"))
        root.addHandler(stream)
    root.setLevel(logging.INFO)


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


class _ConsoleHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Marks the console handler as ours."""

"""The ledger's two files: the index `checkpoint_ledger.json` (live checkpoints) and the history (one line per event).

The index is keyed by step, as the seed has it. Where two directories carry one step, the newer name stands under
`checkpoints` and the older ones under `superseded`, keyed by name; `checkpoint_count` counts them all. The index is a
derived view and may be lost; the history is the only memory of checkpoints that are gone, so its lines are fsynced.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

from core.checkpoint_records import LEDGER_VERSION, CheckpointRecord, checkpoint_order
from core.file_lock import locked_file
from core.files import DISK, Files, read_json

logger = logging.getLogger(__name__)

HISTORY_BYTES = 32 << 20
"""The history is moved to `*.1.jsonl` at this size, so both together stay below twice as much (law 9)."""

Entries = Mapping[str, CheckpointRecord]
"""Records by directory name."""


class CheckpointIndex:
    """Reads and writes the index; safe between threads and processes."""

    def __init__(
        self, index_file: Path, history_file: Path, files: Files = DISK, *, history_bytes: int = HISTORY_BYTES
    ) -> None:
        self.index_file = index_file
        self.history_file = history_file
        self._files = files
        self._history_bytes = history_bytes
        self._lock_file = index_file.with_name(f".{index_file.name}.lock")
        self._cache: tuple[tuple[int, int, int], Entries | None] | None = None

    def read(self) -> Entries | None:
        """The entries as last written by any process (A3); None when the index is missing or damaged."""
        try:
            # Taken before the read: when the file is replaced in between, the next call reads again.
            stat = self.index_file.stat()
        except FileNotFoundError:
            return None
        signature = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        cached = self._cache
        if cached is None or cached[0] != signature:
            cached = (signature, _parse(read_json(self.index_file)))
            if cached[1] is None:
                logger.warning(
                    "%s is damaged; the sidecars are read instead",
                    self.index_file,
                    extra={"event": "ledger_index_damaged"},
                )
            self._cache = cached
        return cached[1]

    def locked(self) -> AbstractContextManager[None]:
        """Held around read, change and write, so that no process writes over another's change (A14)."""
        return locked_file(self._lock_file)

    def write(self, entries: Entries, *, now: datetime) -> None:
        """Replace the index in one step; call it under `locked`."""
        newest: dict[str, Any] = {}
        superseded: dict[str, Any] = {}
        for name in sorted(entries, key=checkpoint_order, reverse=True):
            record = entries[name]
            if str(record.step) in newest:
                superseded[name] = record.to_json()
            else:
                newest[str(record.step)] = record.to_json()
        body = {
            "version": LEDGER_VERSION,
            "updated_at": now.isoformat(),
            "pid": os.getpid(),
            "checkpoint_count": len(entries),
            "checkpoints": newest,
            "superseded": superseded,
        }
        self._files.write_json(self.index_file, body, durable=False)

    def tell(self, event: str, record: CheckpointRecord, *, now: datetime, reason: str | None = None) -> None:
        """Append one line to the history; call it under `locked`."""
        line = {"event": event, "at": now.isoformat(), "reason": reason, **record.to_json()}
        data = json.dumps(line, allow_nan=False).encode()
        size, torn = _tail(self.history_file)
        if size + len(data) > self._history_bytes and size:
            self._files.replace(self.history_file, self.history_file.with_suffix(".1.jsonl"))
            torn = False
        self._files.append_line(self.history_file, b"\n" + data if torn else data, durable=True)


def _parse(body: Any) -> Entries | None:
    if not isinstance(body, dict) or not isinstance(body.get("checkpoints"), dict):
        return None
    superseded = body.get("superseded")
    raw = [*body["checkpoints"].values(), *(superseded.values() if isinstance(superseded, dict) else [])]
    records = [record for item in raw if (record := CheckpointRecord.from_json(item)) is not None]
    return {record.canonical_name: record for record in records}


def _tail(path: Path) -> tuple[int, bool]:
    """Size of the file, and whether its last line was cut by a crash."""
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            if size == 0:
                return 0, False
            handle.seek(-1, os.SEEK_END)
            return size, handle.read(1) != b"\n"
    except FileNotFoundError:
        return 0, False

"""Reading the files below `logs/` as people want them: the last lines across rotated files, and then the new ones.

A family is `realm.jsonl` with `realm.jsonl.1` … behind it, oldest last. `*.jsonl` are records, `*.log` plain output.
"""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class LogLine:
    """One line of one family."""

    family: str
    raw: str
    record: dict[str, Any] | None
    """None for plain output, and for a line that a crash has torn."""
    time: str
    """ISO 8601 UTC; that of the next line where it has none of its own."""


def families(logs: Path) -> dict[str, Path]:
    """The newest file of each family by the family's name."""
    found = [*logs.glob("*.jsonl"), *logs.glob("*.log")]
    return {file.stem: file for file in sorted(found) if not file.name.startswith(".")}


def last_lines(files: dict[str, Path], count: int, levels: frozenset[str] | None) -> list[LogLine]:
    """The newest `count` lines of all these families, oldest first; `levels` None keeps lines of every level."""
    backwards = [_backwards(family, file, levels) for family, file in files.items()]
    newest_first = heapq.merge(*backwards, key=lambda line: line.time, reverse=True)
    return list(islice(newest_first, count))[::-1]


def parse(family: str, raw: str, time: str = "") -> LogLine:
    """A line as it stands in a file; `time` is taken when it has none."""
    try:
        record = json.loads(raw)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        return LogLine(family, raw, None, time)
    return LogLine(family, raw, record, str(record.get("time", time)))


def is_wanted(line: LogLine, levels: frozenset[str] | None) -> bool:
    """Whether the line has one of these levels."""
    return levels is None or (line.record is not None and line.record.get("level") in levels)


def _backwards(family: str, file: Path, levels: frozenset[str] | None) -> Iterator[LogLine]:
    time = "9999"
    for member in [file, *_rotated(file)]:
        for raw in _lines_from_the_end(member):
            line = parse(family, raw, time)
            time = line.time
            if is_wanted(line, levels):
                yield line


def _rotated(file: Path) -> list[Path]:
    """`.1`, `.2` … as far as there are any, newest first."""
    found: list[Path] = []
    while (older := file.with_name(f"{file.name}.{len(found) + 1}")).exists():
        found.append(older)
    return found


def _lines_from_the_end(file: Path) -> Iterator[str]:
    try:
        stream = file.open("rb")
    except FileNotFoundError:  # turned over at this moment
        return
    with stream:
        position = stream.seek(0, os.SEEK_END)
        rest = b""
        while position > 0:
            size = min(BLOCK_BYTES, position)
            position -= size
            stream.seek(position)
            first, *whole = (stream.read(size) + rest).split(b"\n")
            yield from (_text(line) for line in reversed(whole) if line)
            rest = first
        if rest:
            yield _text(rest)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace")


class Follower:
    """New lines of one family, also when its file is turned over, emptied, or made only later."""

    def __init__(self, family: str, file: Path, *, from_start: bool = False) -> None:
        """Begins at the present end of the file, or at its start; a file that does not exist yet is read whole."""
        self.family = family
        self._file = file
        self._fd: int | None = None
        self._partial = b""
        self._open()
        if self._fd is not None and not from_start:
            os.lseek(self._fd, 0, os.SEEK_END)

    def new_lines(self) -> list[LogLine]:
        """Whole lines that were written since the last call."""
        data = self._read()
        while self._was_turned_over():
            # Written to between our reading and its being turned over; then whatever was turned over after it.
            data += self._read() + self._skipped()
            self._close()
            self._open()
            data += self._read()
        *whole, self._partial = (self._partial + data).split(b"\n")
        return [parse(self.family, _text(line)) for line in whole if line]

    def _open(self) -> None:
        try:
            self._fd = os.open(self._file, os.O_RDONLY)
        except FileNotFoundError:
            self._fd = None

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _read(self) -> bytes:
        if self._fd is None:
            return b""
        if os.fstat(self._fd).st_size < os.lseek(self._fd, 0, os.SEEK_CUR):
            os.lseek(self._fd, 0, os.SEEK_SET)  # emptied in place
            self._partial = b""
        parts = []
        while part := os.read(self._fd, BLOCK_BYTES):
            parts.append(part)
        return b"".join(parts)

    def _was_turned_over(self) -> bool:
        try:
            now = self._file.stat()
        except FileNotFoundError:  # renamed, the new one is not made yet
            return False
        return self._fd is None or not os.path.samestat(os.fstat(self._fd), now)

    def _skipped(self) -> bytes:
        """Whole files between the one we read and the newest: it was turned over more than once."""
        if self._fd is None:
            return b""
        ours = os.fstat(self._fd)
        between: list[bytes] = []
        for older in _rotated(self._file):
            try:
                if os.path.samestat(older.stat(), ours):
                    return b"".join(reversed(between))
                between.append(older.read_bytes())
            except FileNotFoundError:
                break
        # Ours has gone for good, so all that are left came after it.
        return b"".join(reversed(between))

"""`data/flagged_examples/`: rows that nothing was learned from, as they stand in their data file, for people to see.

One JSON Lines file for each quest. It tells nothing that journal and data file do not, and so may be deleted; a row is
written when its step is passed, again where a kill came in between, and stands there once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from arena.gatekeepers.scrolls.json_lines import lines_of, read_blocks
from core.files import DISK, Files

logger = logging.getLogger(__name__)

FILE_BYTES = 8 << 20
"""Of one quest at most; rows beyond it are left out (law 9)."""
FOLDER_BYTES = 64 << 20
"""Of all quests together; the oldest files go first."""
ROW_BYTES = 1 << 20
"""A longer row is named, not copied."""


class FlaggedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of such a file."""

    quest_id: str
    file: str
    line: int
    """In the data file, from 1."""
    quest_step: int
    reason: str
    loss: float | None
    """Of the whole step, nats per target token; None where it was not finite or is not known any more."""
    row: msgspec.Raw = msgspec.Raw(b"null")
    """The line of the data file; null when it is too long or the file is gone."""


class FlaggedExamples:
    """Writes into one folder; never raises: training does not wait for it."""

    def __init__(self, folder: Path, files: Files = DISK) -> None:
        self._folder = folder
        self._files = files

    def add(self, rows: Iterable[FlaggedRow], data_file: Path | None) -> None:
        """Write down the rows that are not there yet; all of them are of one quest."""
        try:
            self._add(list(rows), data_file)
        except (OSError, msgspec.DecodeError) as error:
            logger.warning("rows are not flagged: %s", error, extra={"event": "flagging_failed"})

    def _add(self, rows: list[FlaggedRow], data_file: Path | None) -> None:
        if not rows:
            return
        file = self._folder / f"{rows[0].quest_id}.jsonl"
        before = file.read_bytes() if file.exists() else b""
        there = {(row.quest_step, row.line) for row in map(_decode, before.splitlines())}
        new = [row for row in rows if (row.quest_step, row.line) not in there]
        if not new:
            return
        texts: dict[int, bytes] = {}
        if data_file is not None and data_file.exists():
            texts = _lines_of_file(data_file, {row.line for row in new})
        after = bytearray(before)
        for row in new:
            text = texts.get(row.line, b"null")
            told = _encode(msgspec.structs.replace(row, row=msgspec.Raw(text if len(text) <= ROW_BYTES else b"null")))
            if len(after) + len(told) >= FILE_BYTES:
                break
            after += told + b"\n"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(file, len(after))
        # Whole, not appended to: a kill leaves no half line, and no row stands there twice.
        self._files.write_atomic(file, bytes(after), durable=False)

    def _make_room(self, keep: Path, size: int) -> None:
        others = [(path.stat(), path) for path in self._folder.glob("*.jsonl") if path != keep]
        others.sort(key=lambda other: other[0].st_mtime_ns)
        total = size + sum(stat.st_size for stat, _ in others)
        for stat, path in others:
            if total <= FOLDER_BYTES:
                return
            self._files.unlink(path)
            total -= stat.st_size


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(FlaggedRow).decode


def _lines_of_file(data_file: Path, wanted: set[int]) -> dict[int, bytes]:
    """The text of these lines, as far as the file has them."""
    found: dict[int, bytes] = {}
    last = max(wanted)
    with data_file.open("rb", buffering=0) as stream:
        for block in read_blocks(stream):
            if block.first_line > last:
                break
            found.update((number, text.strip()) for number, text in lines_of(block) if number in wanted)
    return found

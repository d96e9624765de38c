"""One quest's rows in four arrays, and the file that they lie in: `queue/.rows/{quest id}.rows`.

`MAGIC`, the numbers of `_HEAD`, then for each row, in file order, the mean cross-entropy per target token of its first
and its last lesson (float32, nats) and the global steps of both (uint32, 0 where there was none), and a BLAKE3 of all
that. Nothing is synced: what a power cut tears does not fit its hash, and is no book.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from struct import Struct

import numpy as np
from blake3 import blake3

from core.files import DISK, Files

MAGIC = b"RLMROW1\n"
HISTORY_BYTES = 16
DIGEST_BYTES = 16
ROW_BYTES = 16
_HEAD = Struct(f"=QQQ{HISTORY_BYTES}s32s")
"""Ordinal, rows, newest step, history, content hash."""


@dataclass(frozen=True)
class Claimed:
    """Whose rows: one claim of one history."""

    history: bytes
    """16 bytes that stand for the beginning of the journal: another model's steps have the same numbers."""
    ordinal: int
    rows: int
    content_hash: str
    """BLAKE3 of the quest file, hex."""


class RowBook:
    """The figures of one claim's rows; a row that was learned again has those of its last time."""

    def __init__(self, claimed: Claimed, figures: np.ndarray | None = None) -> None:
        """`figures` are the bytes of the four arrays; without them, nothing is learned yet."""
        self.claimed = claimed
        rows = claimed.rows
        whole = np.zeros(4 * rows, dtype=np.uint32) if figures is None else figures.view(np.uint32)
        self._whole = whole
        self.first_loss: np.ndarray = whole[:rows].view(np.float32)
        """Of epoch one; NaN where nobody has noted it."""
        self.last_loss: np.ndarray = whole[rows : 2 * rows].view(np.float32)
        self.first_step: np.ndarray = whole[2 * rows : 3 * rows]
        self.last_step: np.ndarray = whole[3 * rows :]
        if figures is None:
            self.first_loss[:] = self.last_loss[:] = np.nan

    def note(self, rows: np.ndarray, losses: np.ndarray, step: int, *, first: bool) -> None:
        """These rows were learned at that global step with these losses, for the first time or once more."""
        if first:
            self.first_loss[rows] = losses
            self.first_step[rows] = step
        self.last_loss[rows] = losses
        self.last_step[rows] = step

    def forget_after(self, step: int) -> None:
        """Take back what was learned after that global step; the last lesson before it is not known any more."""
        again = self.last_step > step
        self.last_loss[again] = np.nan
        self.last_step[again] = 0
        never = self.first_step > step
        self.first_loss[never] = np.nan
        self.first_step[never] = 0

    @property
    def newest_step(self) -> int:
        """The global step of the last lesson of all; 0 when there was none."""
        return int(self.last_step.max(initial=0))

    def write(self, path: Path, *, files: Files = DISK) -> None:
        """Replace the file; raises `OSError`."""
        claimed = self.claimed
        head = _HEAD.pack(
            claimed.ordinal, claimed.rows, self.newest_step, claimed.history, bytes.fromhex(claimed.content_hash)
        )
        body = MAGIC + head + self._whole.tobytes()
        files.write_atomic(path, body + blake3(body).digest(DIGEST_BYTES), durable=False)


def size_of(rows: int) -> int:
    """Bytes of the book of so many rows."""
    return len(MAGIC) + _HEAD.size + ROW_BYTES * rows + DIGEST_BYTES


def read_head(path: Path) -> tuple[Claimed, int] | None:
    """Whose book it is, and its newest step, as the head says; None where there is none. Raises `OSError`."""
    with path.open("rb", buffering=0) as file:
        head = file.read(len(MAGIC) + _HEAD.size)
    if len(head) != len(MAGIC) + _HEAD.size or head[: len(MAGIC)] != MAGIC:
        return None
    ordinal, rows, newest, history, content = _HEAD.unpack(head[len(MAGIC) :])
    return Claimed(history, ordinal, rows, content.hex()), newest


def read_book(path: Path) -> RowBook | None:
    """The book in a file; None when there is none, or it is not whole. Raises `OSError` where it cannot be read."""
    try:
        head = read_head(path)
        body = path.read_bytes()
    except FileNotFoundError:
        return None
    if head is None or len(body) != size_of(head[0].rows):
        return None
    if blake3(body[:-DIGEST_BYTES]).digest(DIGEST_BYTES) != body[-DIGEST_BYTES:]:
        return None
    figures = np.frombuffer(body, dtype=np.uint8, offset=len(MAGIC) + _HEAD.size, count=ROW_BYTES * head[0].rows)
    return RowBook(head[0], figures.copy())

"""Whether the next checkpoint fits on the disk: its size foretold, against what is free beyond the reserve."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import ceil
from pathlib import Path

from core.files import DISK, Files

BYTES_PER_WEIGHT = 4
MOMENTS_PER_WEIGHT = 2
"""Weights and AdamW's moments are fp32 (ADR 0005)."""
GUESS_MARGIN = 1.1
GUESS_REST = 16 << 20
"""Tokenizer and small files, before the first checkpoint of this model has told their size."""
GROWTH = 64 << 10
"""What journal and ledger record may have grown by since the last checkpoint."""


class Room(Enum):
    """What may be written now."""

    FULL = "a whole checkpoint"
    WEIGHTS = "the weights alone"
    NONE = "nothing"


@dataclass(frozen=True)
class Outlook:
    """One look at the disk."""

    room: Room
    needed_bytes: int
    """What must be free for a whole checkpoint, the reserve included."""
    free_bytes: int
    reason: str
    """What is missing where, for people; empty when nothing is."""


class SaveRoom:
    """Foretells the size of the next checkpoint of one model."""

    def __init__(
        self,
        folder: Path,
        *,
        parameters: int,
        reserve_bytes: int,
        last_size: int | None = None,
        files: Files = DISK,
    ) -> None:
        self._folder = folder
        self._moments = parameters * BYTES_PER_WEIGHT * MOMENTS_PER_WEIGHT
        self._reserve = reserve_bytes
        guess = int(parameters * BYTES_PER_WEIGHT * (1 + MOMENTS_PER_WEIGHT) * GUESS_MARGIN) + GUESS_REST
        self._size = guess if last_size is None else last_size + GROWTH
        self._files = files

    @property
    def size(self) -> int:
        """Bytes of the next whole checkpoint, as far as can be told."""
        return self._size

    def note_saved(self, size: int) -> None:
        """A whole checkpoint of this model takes `size` bytes."""
        self._size = size + GROWTH

    def look(self, *, into_reserve: bool = False) -> Outlook:
        """What fits now; with `into_reserve` the reserve may be used, by a save after which nothing else comes."""
        reserve = 0 if into_reserve else self._reserve
        needed = self._size + reserve
        try:
            found = self._files.statvfs(self._folder)
        except OSError as error:
            reason = f"disk: {self._folder} cannot be looked at: {error.strerror or error}"
            return Outlook(Room.NONE, needed, 0, reason)
        free = found.f_bavail * found.f_frsize
        if free >= needed:
            return Outlook(Room.FULL, needed, free, "")
        # Trainable or not, moments are at most two thirds of a checkpoint.
        weights = max(self._size - self._moments, self._size // (1 + MOMENTS_PER_WEIGHT))
        room = Room.WEIGHTS if free >= weights + reserve else Room.NONE
        reason = f"disk: a checkpoint needs {_told(needed)} free at {self._folder}; {_told(needed - free)} are missing"
        return Outlook(room, needed, free, reason)


def _told(size: int) -> str:
    # Rounded up: "0.0 MB are missing" says nothing.
    return f"{ceil(size / 1e8) / 10} GB" if size >= 1e9 else f"{ceil(size / 1e5) / 10} MB"

"""Sketches of the rows of all quests, one small file each, in `queue/.sketches/`.

They outlive their quests, and the oldest go when all together are more than the budget. Any of them may be deleted at
any time. Nothing is synced: what a power cut tears does not fit its hash, and is no sketch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np
from blake3 import blake3

from arena.gatekeepers.likeness import SKETCH_SUFFIX
from arena.gatekeepers.likeness.sketching import BANDS, Sketches
from core.files import DISK, Files

logger = logging.getLogger(__name__)

MAGIC = b"RLMSKT1\n"
DIGEST_BYTES = 16
_HEAD = Struct("=II")
"""Bytes of the name's JSON, rows."""


class Neighbour(NamedTuple):
    """The rows of another file."""

    name: str
    """As it is told to people."""
    quest_id: str | None
    """None where it is no quest."""
    sketches: Sketches


class SketchStore:
    """One folder of them; several processes read and write it at once."""

    def __init__(self, folder: Path, max_bytes: int, *, files: Files = DISK) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._files = files

    def keep(self, quest_id: str, name: str, sketches: Sketches) -> None:
        """Those of a quest that is let in; again, they replace what is there. Raises `OSError`."""
        if self._max_bytes <= 0 or not len(sketches.lines):
            return
        told = msgspec.json.encode({"quest_id": quest_id, "name": name})
        body = MAGIC + _HEAD.pack(len(told), len(sketches.lines)) + told
        body += sketches.bands.tobytes() + sketches.lines.tobytes() + sketches.numbers.tobytes()
        self._folder.mkdir(exist_ok=True)
        self._files.write_atomic(self._folder / f"{quest_id}{SKETCH_SUFFIX}", body + _digest(body), durable=False)

    def earlier_than(self, quest_id: str | None) -> Iterator[Neighbour]:
        """Those of all quests before that one, oldest first; of all, without a quest. What is damaged is left out."""
        names: list[str] = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            # An id begins with the time of its intake.
            names = sorted(entry.name for entry in entries if entry.name.endswith(SKETCH_SUFFIX))
        for name in names:
            if quest_id is None or name < f"{quest_id}{SKETCH_SUFFIX}":
                with suppress(FileNotFoundError):  # trimmed meanwhile
                    if (found := _read((self._folder / name).read_bytes())) is not None:
                        yield found
                    else:
                        logger.warning("%s is damaged and left out", name, extra={"event": "sketch_damaged"})


def _read(body: bytes) -> Neighbour | None:
    start = len(MAGIC) + _HEAD.size
    if len(body) < start + DIGEST_BYTES or _digest(body[:-DIGEST_BYTES]) != body[-DIGEST_BYTES:]:
        return None
    told_bytes, rows = _HEAD.unpack_from(body, len(MAGIC))
    if body[: len(MAGIC)] != MAGIC or len(body) != start + told_bytes + rows * (8 * BANDS + 8) + DIGEST_BYTES:
        return None
    told = msgspec.json.decode(body[start : start + told_bytes])
    at = start + told_bytes
    bands = np.frombuffer(body, dtype=np.uint64, count=rows * BANDS, offset=at).reshape(rows, BANDS)
    lines = np.frombuffer(body, dtype=np.uint32, count=rows, offset=at + 8 * BANDS * rows)
    numbers = np.frombuffer(body, dtype=np.uint32, count=rows, offset=at + (8 * BANDS + 4) * rows)
    return Neighbour(told["name"], told["quest_id"], Sketches(bands, lines, numbers))


def _digest(body: bytes) -> bytes:
    return blake3(body).digest(DIGEST_BYTES)

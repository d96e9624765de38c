"""Rows that say what an earlier row says, over a whole file of any size.

Keys of rows are put aside by their first bits and compared heap by heap, so that memory holds one heap only: 1/64 of
the keys. Up to half a megabyte a heap stays in memory, beyond that it is a temporary file.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile, gettempdir
from types import TracebackType

from arena.gatekeepers.row_identity import KEY_BYTES
from core.errors import Unavailable

HEAPS = 64
HEAP_BYTES = 1 << 19
"""What a heap may take in memory while rows are added."""
PENDING_BYTES = 1 << 14
"""Collected before they are written: a write for each row takes several times as long."""
MOST_REPEATS = 20
"""Repetitions that are returned with their place."""

_ENTRY = struct.Struct(f"={KEY_BYTES}sQQ")


@dataclass(frozen=True, slots=True, order=True)
class Repeat:
    """A row that was there before."""

    number: int
    """Of the row, from 1."""
    line: int
    first: int
    """Number of the row that said it first."""


class Duplicates:
    """Counts the rows of a file. Left as a context, its temporary files are gone. Raises `Unavailable` without room."""

    def __init__(self) -> None:
        self.rows = 0
        self._open = ExitStack()
        self._pending = [bytearray() for _ in range(HEAPS)]
        self._heaps = [
            self._open.enter_context(SpooledTemporaryFile(HEAP_BYTES, prefix="realm-rows-"))  # noqa: SIM115
            for _ in range(HEAPS)
        ]

    def __enter__(self) -> Duplicates:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # what could not be written cannot be flushed either
            self._open.close()

    def add(self, key: bytes, number: int, line: int) -> None:
        """A row with this `row_key`."""
        self.rows += 1
        heap = key[0] % HEAPS
        self._pending[heap] += _ENTRY.pack(key, number, line)
        if len(self._pending[heap]) >= PENDING_BYTES:
            self._put_aside(heap)

    def repeats(self) -> tuple[int, list[Repeat]]:
        """How many rows repeat an earlier one, and the first of them in the order of the file; after the last row."""
        counted = _Counting(self._all_repeats())
        first = heapq.nsmallest(MOST_REPEATS, counted)
        return counted.number, first

    def _put_aside(self, heap: int) -> None:
        try:
            self._heaps[heap].write(self._pending[heap])
        except OSError as error:
            raise Unavailable(
                f"Rows cannot be compared: {gettempdir()} takes no temporary file: {error.strerror}.",
                hint="Make room there, or name another directory in TMPDIR.",
            ) from error
        self._pending[heap].clear()

    def _all_repeats(self) -> Iterator[Repeat]:
        for index, heap in enumerate(self._heaps):
            self._put_aside(index)
            heap.seek(0)
            seen: dict[bytes, int] = {}
            while entries := heap.read(_ENTRY.size * 4096):
                for key, number, line in _ENTRY.iter_unpack(entries):
                    first = seen.setdefault(key, number)
                    if first != number:
                        yield Repeat(number, line, first)


class _Counting:
    """Passes on, and counts."""

    def __init__(self, repeats: Iterator[Repeat]) -> None:
        self.number = 0
        self._repeats = repeats

    def __iter__(self) -> Iterator[Repeat]:
        for repeat in self._repeats:
            self.number += 1
            yield repeat

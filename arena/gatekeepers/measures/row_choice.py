"""Which rows of a file STANDARD looks at: all of them, or of a large file a seeded sample and the longest ones.

The sample tells how long the rows are; the longest ones are where truncation bites (C15, C17), wherever they stand.
"""

from __future__ import annotations

import heapq
import random

from arena.gatekeepers.row_identity import row_size
from arena.gatekeepers.row_reader import Row

SEED = 42
DRAWN_ROWS = 100
"""Rows drawn from a large file (spec 1.2)."""
LONGEST_ROWS = 100
"""Rows of a large file that are looked at for their length."""
LONGEST_BYTES = 32 << 20
"""Text of the longest rows that is held in memory at most; the very longest row is always held."""
ALL_ROWS = 10_000
ALL_BYTES = 1 << 20
"""A file within both is looked at row by row, which also gives the trainer its tokens."""


def looks_at_every(rows: int, size_bytes: int) -> bool:
    """Whether a file is so small that all of its rows are looked at."""
    return rows <= DRAWN_ROWS + LONGEST_ROWS or (rows <= ALL_ROWS and size_bytes <= ALL_BYTES)


class RowChoice:
    """Chooses from a file of `rows` rows and `size_bytes`, in one pass."""

    def __init__(self, rows: int, size_bytes: int) -> None:
        self.every = looks_at_every(rows, size_bytes)
        self._drawn = frozenset() if self.every else frozenset(random.Random(SEED).sample(range(rows), DRAWN_ROWS))
        self._longest: list[tuple[int, int, Row]] = []
        self._held_bytes = 0

    def takes(self, index: int, row: Row) -> bool:
        """Whether the row at this index, from 0, is to be looked at now; the others are weighed for `longest`."""
        if self.every or index in self._drawn:
            return True
        size = row_size(row)
        if len(self._longest) < LONGEST_ROWS or size > self._longest[0][0]:
            heapq.heappush(self._longest, (size, -index, row))
            self._held_bytes += size
            while len(self._longest) > LONGEST_ROWS or (self._held_bytes > LONGEST_BYTES and len(self._longest) > 1):
                self._held_bytes -= heapq.heappop(self._longest)[0]
        return False

    def longest(self) -> list[Row]:
        """The longest rows that were not drawn, in file order; complete after the last row."""
        return [row for _, _, row in sorted(self._longest, key=lambda held: -held[1])]

    def describe(self, rows: int) -> str:
        """What was looked at, in words."""
        if self.every:
            return f"every row ({rows})"
        return f"of {rows} rows {DRAWN_ROWS} drawn with seed {SEED} and the {len(self._longest)} longest others"

"""In which order the rows of a quest are learned: a counter-based permutation, seekable in O(1).

`position_to_row` maps each position of an epoch to a row through a small Feistel network over the next even number
of bits, walking the cycle until the value falls inside the range. It depends on (seed, ordinal, epoch) alone, uses no
library's random stream, and so stays the same for the life of a journal.
"""

from __future__ import annotations

from arena.trainer.stream.counter_random import mix, mixed

_ROUNDS = 6


class RowOrder:
    """The permutation of `rows` rows for one epoch of one quest."""

    def __init__(self, rows: int, *, seed: int, ordinal: int, epoch: int) -> None:
        self.rows = rows
        self._half_bits = max(1, (max(rows - 1, 1).bit_length() + 1) // 2)
        self._half_mask = (1 << self._half_bits) - 1
        key = mixed(seed, ordinal, epoch)
        self._keys = [mix(key ^ number) for number in range(_ROUNDS)]

    def position_to_row(self, position: int) -> int:
        """The row learned at `position` (0-based, below `rows`)."""
        if not 0 <= position < self.rows:
            raise IndexError(position)
        value = self._feistel(position)
        while value >= self.rows:
            value = self._feistel(value)
        return value

    def _feistel(self, value: int) -> int:
        left, right = value >> self._half_bits, value & self._half_mask
        for key in self._keys:
            left, right = right, left ^ (mix(key ^ right) & self._half_mask)
        return (left << self._half_bits) | right

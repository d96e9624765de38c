"""How many rows are rendered together: many short ones, and only a few that are long."""

from __future__ import annotations

from collections.abc import Iterator

from arena.gatekeepers.row_identity import row_size
from arena.gatekeepers.row_reader import Row

BATCH_ROWS = 64
BATCH_BYTES = 256 * 1024
"""Text of one batch, but for its last row: what is made of it takes many times as much memory."""


def is_full(rows: int, text_bytes: int) -> bool:
    """Whether a batch of that much (`row_size` of its rows) is to be rendered now."""
    return rows >= BATCH_ROWS or text_bytes >= BATCH_BYTES


def batches_of(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """All rows, in batches and in order."""
    batch: list[Row] = []
    text_bytes = 0
    for row in rows:
        batch.append(row)
        text_bytes += row_size(row)
        if is_full(len(batch), text_bytes):
            yield batch
            batch, text_bytes = [], 0
    if batch:
        yield batch

"""From the rows of one step to packed micro-batches: rows behind each other, without any filling.

Positions begin anew with each row, and attention gets to know where rows end (`computing.attention`), so that no row
sees another. As with padded micro-batches, all of it is a pure function of the rows and the budget.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from arena.protocol import Arithmetic
from arena.trainer.stream.batching import MicroBatch, TokenRow

PADDED = "padded"


@dataclass(frozen=True)
class PackedBatch(MicroBatch):
    """One forward and backward pass over rows behind each other; `input_ids` is int64[1, tokens]."""

    positions: torch.Tensor
    """int64[1, tokens]: the place of each token within its row."""
    row_ends: torch.Tensor
    """int32[rows + 1]: 0, and where each row ends."""
    longest: int
    """Tokens of the longest row."""

    @property
    def layout(self) -> dict[str, Any]:
        """What the model must be told beside the tokens, under the names of transformers."""
        return {
            "position_ids": self.positions,
            "cu_seq_lens_q": self.row_ends,
            "cu_seq_lens_k": self.row_ends,
            "max_length_q": self.longest,
            "max_length_k": self.longest,
        }


def is_packed(arithmetic: Arithmetic | None) -> bool:
    """Whether rows lie behind each other under this arithmetic of a claim; claims of before have none."""
    return arithmetic is not None and arithmetic.attention != PADDED


def group_by_sum(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Split row numbers into groups of at most `token_budget` tokens together, by best fit, longest rows first.

    Ties in the given order. A row longer than the budget gets a group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    groups: list[list[int]] = []
    room: list[tuple[int, int]] = []
    """Tokens left and group number, sorted: the first that is large enough fits best."""
    for number in order:
        length = lengths[number]
        place = bisect_left(room, (length, 0))
        if place < len(room):
            left, group = room.pop(place)
            groups[group].append(number)
        else:
            left, group = token_budget, len(groups)
            groups.append([number])
        if left > length:
            insort(room, (left - length, group))
    return groups


def make_packed_batches(rows: Sequence[TokenRow], *, token_budget: int, device: torch.device) -> list[MicroBatch]:
    """The micro-batches of one step over `rows`; rows without targets add nothing and are left out."""
    useful = [row for row in rows if row.targets]
    groups = group_by_sum([len(row.token_ids) for row in useful], token_budget)
    return [pack([useful[number] for number in group], device) for group in groups]


def pack(rows: Sequence[TokenRow], device: torch.device) -> PackedBatch:
    """One micro-batch of these rows, in this order."""
    lengths = np.array([len(row.token_ids) for row in rows], dtype=np.int64)
    ends = np.concatenate([np.zeros(1, dtype=np.int64), lengths.cumsum()])
    positions = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
    targets = [np.flatnonzero(row.trained[1:]) for row in rows]

    def on_device(numbers: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(numbers).to(device, non_blocking=True)

    return PackedBatch(
        input_ids=on_device(np.concatenate([row.token_ids for row in rows]).astype(np.int64)[None]),
        predicting=on_device(np.concatenate([start + own for start, own in zip(ends[:-1], targets, strict=True)])),
        targets=on_device(
            np.concatenate([row.token_ids[1:][own] for row, own in zip(rows, targets, strict=True)]).astype(np.int64)
        ),
        positions=on_device(positions[None]),
        row_ends=on_device(ends.astype(np.int32)),
        longest=int(lengths.max()),
        lines=tuple(row.line for row in rows),
        counts=tuple(map(len, targets)),
    )

"""From the rows of one step to tensors: micro-batches grouped by length under a token budget.

Rows are padded on the right and attention is causal, so no real token ever sees padding or another row, and no
attention mask is needed. Grouping changes the order of floating-point sums, nothing else: it is a pure function of
the rows and the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class TokenRow:
    """One row as the model sees it."""

    line: int
    """Line in the quest file, 1-based."""
    token_ids: np.ndarray
    """int32[length]."""
    trained: np.ndarray
    """bool[length]; position 0 never counts, since nothing predicts it."""

    @property
    def targets(self) -> int:
        return int(self.trained[1:].sum())


@dataclass(frozen=True)
class MicroBatch:
    """One forward and backward pass."""

    input_ids: torch.Tensor
    """int64[rows, width], right-padded."""
    predicting: torch.Tensor
    """int64[targets]: flat positions (row × width + column) whose hidden state predicts a target."""
    targets: torch.Tensor
    """int64[targets]: the token ids to be predicted there."""


def group_by_length(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Split row numbers into groups whose padded size (rows × longest) stays within `token_budget`.

    Longest first, ties in the given order. A row longer than the budget gets a group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    groups: list[list[int]] = []
    width = 0
    for number in order:
        if groups and (len(groups[-1]) + 1) * width <= token_budget:
            groups[-1].append(number)
        else:
            groups.append([number])
            width = lengths[number]
    return groups


def make_micro_batches(
    rows: Sequence[TokenRow], *, token_budget: int, pad_id: int, device: torch.device
) -> list[MicroBatch]:
    """The micro-batches of one step over `rows`; rows without targets add nothing and are left out."""
    useful = [row for row in rows if row.targets]
    groups = group_by_length([len(row.token_ids) for row in useful], token_budget)
    return [_micro_batch([useful[number] for number in group], pad_id, device) for group in groups]


def _micro_batch(rows: Sequence[TokenRow], pad_id: int, device: torch.device) -> MicroBatch:
    width = max(len(row.token_ids) for row in rows)
    input_ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    predicting: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    for number, row in enumerate(rows):
        input_ids[number, : len(row.token_ids)] = row.token_ids
        columns = np.flatnonzero(row.trained[1:])
        predicting.append(number * width + columns)
        targets.append(row.token_ids[1:][columns])
    return MicroBatch(
        input_ids=torch.from_numpy(input_ids).to(device, non_blocking=True),
        predicting=torch.from_numpy(np.concatenate(predicting).astype(np.int64)).to(device, non_blocking=True),
        targets=torch.from_numpy(np.concatenate(targets).astype(np.int64)).to(device, non_blocking=True),
    )

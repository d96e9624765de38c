"""From the rows of one step to tensors: micro-batches grouped by length under a token budget.

Rows are padded on the right and attention is causal, so no real token ever sees padding or another row, and no
attention mask is needed. Grouping changes the order of floating-point sums, nothing else: it is a pure function of
the rows and the budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

FEWEST_PASSES = 1 << 40
"""A pass that costs so many tokens is worth any padding."""
UNWEIGHED = 0
"""In the place of what a pass costs: rows are grouped as claims were made before costs were weighed (law 3)."""


@dataclass(frozen=True)
class TokenRow:
    """One row as the model sees it."""

    line: int
    """Line in the quest file, 1-based."""
    token_ids: np.ndarray
    """int32[length]."""
    trained: np.ndarray
    """bool[length]; position 0 never counts, since nothing predicts it."""

    @cached_property
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
    lines: tuple[int, ...] = field(default=(), kw_only=True)
    """`TokenRow.line` of its rows, in the order of their targets."""
    counts: tuple[int, ...] = field(default=(), kw_only=True)
    """How many targets each of them has."""
    each: list[torch.Tensor] = field(init=False, default_factory=list)
    """Of a forward pass: the cross-entropy of each target, nats, float32 without gradient; in parts, in order."""

    @property
    def layout(self) -> dict[str, Any]:
        """What the model must be told beside the tokens; nothing, where each row has a line of its own."""
        return {}


def group_by_length(lengths: Sequence[int], token_budget: int, pass_tokens: int = FEWEST_PASSES) -> list[list[int]]:
    """Split row numbers into groups whose padded size (rows × longest) stays within `token_budget`, at the least cost.

    The cost of a group is its padded size and `pass_tokens`: what one more forward and backward pass takes, counted in
    tokens. Longest first, ties in the given order. A row longer than the budget gets a group of its own.
    """
    order = sorted(range(len(lengths)), key=lambda number: -lengths[number])
    if pass_tokens == UNWEIGHED:
        return _filled_in_order(order, lengths, token_budget)
    widths = np.array([lengths[number] for number in order], dtype=np.int64)
    # Of rows in this order, the best way to group the first `end`: what it costs, and where its last group begins.
    costs = np.zeros(len(order) + 1, dtype=np.int64)
    begins = np.zeros(len(order) + 1, dtype=np.int64)
    first = 0
    for end in range(1, len(order) + 1):
        # What does not fit together with the rows before does so even less with this one.
        while first < end - 1 and widths[first] * (end - first) > token_budget:
            first += 1
        sizes = widths[first:end] * np.arange(end - first, 0, -1)
        totals = costs[first:end] + sizes
        begins[end] = first + totals.argmin()
        costs[end] = totals[begins[end] - first] + pass_tokens
    groups: list[list[int]] = []
    end = len(order)
    while end:
        groups.append(order[begins[end] : end])
        end = int(begins[end])
    return groups[::-1]


def _filled_in_order(order: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
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
    rows: Sequence[TokenRow],
    *,
    token_budget: int,
    pad_id: int,
    device: torch.device,
    pass_tokens: int = FEWEST_PASSES,
) -> list[MicroBatch]:
    """The micro-batches of one step over `rows`; rows without targets add nothing and are left out."""
    useful = [row for row in rows if row.targets]
    groups = group_by_length([len(row.token_ids) for row in useful], token_budget, pass_tokens)
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
        lines=tuple(row.line for row in rows),
        counts=tuple(map(len, targets)),
    )

"""Packed micro-batches as such: which rows come together, and what the tensors say of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arena.trainer.computing.packing import group_by_sum, make_packed_batches, pack
from arena.trainer.stream.batching import TokenRow

CPU = torch.device("cpu")


def row(ids: list[int], trained: list[int]) -> TokenRow:
    """A row in which the tokens at the places `trained` are targets."""
    flags = np.zeros(len(ids), dtype=bool)
    flags[trained] = True
    return TokenRow(line=1, token_ids=np.array(ids, dtype=np.int32), trained=flags)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 100))
def test_every_row_is_in_one_group_and_no_group_with_company_is_over_the_budget(
    lengths: list[int], budget: int
) -> None:
    groups = group_by_sum(lengths, budget)
    assert sorted(number for group in groups for number in group) == list(range(len(lengths)))
    sums = [sum(lengths[number] for number in group) for group in groups]
    assert all(total <= budget or len(group) == 1 for total, group in zip(sums, groups, strict=True))
    # Two groups that could have been one would be a pass too many.
    assert all(one + other > budget for place, one in enumerate(sums) for other in sums[:place])


def test_rows_fill_what_the_longer_ones_left() -> None:
    assert group_by_sum([3, 7, 5, 5, 2, 9], 10) == [[5], [1, 0], [2, 3], [4]]
    assert group_by_sum([30, 4, 4], 10) == [[0], [1, 2]], "a row beyond the budget is alone"
    assert group_by_sum([], 10) == []


def test_positions_begin_anew_and_targets_are_predicted_within_their_own_row() -> None:
    batch = pack([row([11, 12, 13], [1, 2]), row([21, 22, 23, 24], [0, 3])], CPU)
    assert batch.input_ids.tolist() == [[11, 12, 13, 21, 22, 23, 24]]
    assert batch.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3]]
    assert batch.row_ends.tolist() == [0, 3, 7]
    assert batch.row_ends.dtype == torch.int32, "the kernel takes no other"
    assert batch.longest == 4
    # The first token of a row is never a target: what would predict it is of another row.
    assert batch.predicting.tolist() == [0, 1, 5]
    assert batch.targets.tolist() == [12, 13, 24]


def test_rows_without_targets_are_left_out() -> None:
    (batch,) = make_packed_batches([row([1, 2], [0]), row([3, 4, 5], [2])], token_budget=100, device=CPU)
    assert batch.input_ids.tolist() == [[3, 4, 5]]


@pytest.mark.parametrize("budget", [1, 6, 50])
def test_the_same_rows_and_budget_give_the_same_micro_batches(budget: int) -> None:
    """Law 3: a replay must not pack otherwise."""
    rows = [row(list(range(length)), [length - 1]) for length in (5, 3, 5, 2, 6)]
    first, second = (make_packed_batches(rows, token_budget=budget, device=CPU) for _ in range(2))
    assert [batch.input_ids.tolist() for batch in first] == [batch.input_ids.tolist() for batch in second]

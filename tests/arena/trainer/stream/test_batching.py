"""Micro-batches: every row once, within the budget, and no row sees padding or another row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from arena.trainer.stream.batching import UNWEIGHED, MicroBatch, TokenRow, group_by_length, make_micro_batches
from arena.trainer.stream.step_plan import StepPlan
from arena.trainer.target_loss import summed_loss_of
from tests.arena.trainer.tiny_hero import chat, settings, token_rows

CPU = torch.device("cpu")


@given(lengths=st.lists(st.integers(1, 300), max_size=60), budget=st.integers(1, 1000))
def test_groups_hold_each_row_once_and_stay_within_the_budget(lengths: list[int], budget: int) -> None:
    groups = group_by_length(lengths, budget)
    assert sorted(number for group in groups for number in group) == list(range(len(lengths)))
    for group in groups:
        padded = len(group) * max(lengths[number] for number in group)
        assert padded <= budget or len(group) == 1


def test_groups_are_filled_before_another_is_begun() -> None:
    assert group_by_length([1, 9, 2, 9, 2], token_budget=18) == [[1, 3], [2, 4, 0]]
    assert group_by_length([50, 3, 3], token_budget=10) == [[0], [1, 2]]
    assert group_by_length([], token_budget=10) == []


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=8), budget=st.integers(1, 200), cost=st.integers(1, 100)
)
def test_no_other_way_to_part_rows_in_order_costs_less(lengths: list[int], budget: int, cost: int) -> None:
    """Padding and passes together; compared with every way there is."""
    ordered = sorted(lengths, reverse=True)

    def price(groups: list[list[int]]) -> float:
        sizes = [max(group) * len(group) for group in groups]
        too_large = any(size > budget and len(group) > 1 for size, group in zip(sizes, groups, strict=True))
        return math.inf if too_large else sum(sizes) + cost * len(groups)

    def ways(rows: list[int]) -> Iterator[list[list[int]]]:
        if not rows:
            yield []
        for first in range(1, len(rows) + 1):
            yield from ([rows[:first], *rest] for rest in ways(rows[first:]))

    found = [[lengths[number] for number in group] for group in group_by_length(lengths, budget, cost)]
    assert price(found) == min(map(price, ways(ordered)))


def test_claims_of_before_are_grouped_as_they_were() -> None:
    """Law 3: what a replay comes to does not change with the version."""
    assert group_by_length([10, 4, 4], token_budget=20, pass_tokens=UNWEIGHED) == [[0, 1], [2]]
    assert group_by_length([10, 4, 4], token_budget=20) == [[0], [1, 2]]
    assert StepPlan(1, 0, [], settings(pass_tokens=0), 0.1, True).pass_tokens == UNWEIGHED


def test_a_long_row_is_parted_from_short_ones_unless_a_pass_costs_more_than_the_padding() -> None:
    lengths = [100, 20, 20, 20]
    assert group_by_length(lengths, token_budget=1000, pass_tokens=239) == [[0], [1, 2, 3]]
    assert group_by_length(lengths, token_budget=1000, pass_tokens=241) == [[0, 1, 2, 3]]


def test_rows_without_targets_are_left_out_and_the_first_token_is_never_one() -> None:
    ids = np.arange(4, dtype=np.int32)
    nothing = TokenRow(line=1, token_ids=ids, trained=np.zeros(4, dtype=bool))
    only_first = TokenRow(line=2, token_ids=ids, trained=np.array([True, False, False, False]))
    last = TokenRow(line=3, token_ids=ids, trained=np.array([True, False, False, True]))
    assert (nothing.targets, only_first.targets, last.targets) == (0, 0, 1)
    (batch,) = make_micro_batches([nothing, only_first, last], token_budget=100, pad_id=0, device=CPU)
    assert batch.input_ids.tolist() == [[0, 1, 2, 3]]
    assert (batch.predicting.tolist(), batch.targets.tolist()) == ([2], [3])


def test_no_row_of_a_batch_sees_padding_or_another_row(tiny_model: Path, tmp_path: Path) -> None:
    """D1: in packed sequences rows learned from each other's tokens."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    rows = token_rows(tiny_model, tmp_path, [chat(seed, turns=1 + seed % 3) for seed in range(8)])
    assert len({len(row.token_ids) for row in rows}) > 4
    loss = summed_loss_of(model)
    (together,) = make_micro_batches(rows, token_budget=10**6, pad_id=256, device=CPU)
    width = together.input_ids.shape[1]
    with torch.no_grad():
        for number, row in enumerate(sorted(rows, key=lambda row: -len(row.token_ids))):
            (alone,) = make_micro_batches([row], token_budget=10**6, pad_id=256, device=CPU)
            mine = (together.predicting // width) == number
            in_batch = MicroBatch(together.input_ids, together.predicting[mine], together.targets[mine])
            assert torch.equal(in_batch.targets, alone.targets)
            assert loss(in_batch).item() == pytest.approx(loss(alone).item(), rel=1e-5)

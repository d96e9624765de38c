"""The order of rows: a permutation that is never to change, since journals are replayed with it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.trainer.stream.counter_random import mixed
from arena.trainer.stream.row_order import RowOrder


def order(rows: int, *, seed: int = 42, ordinal: int = 1, epoch: int = 0) -> list[int]:
    found = RowOrder(rows, seed=seed, ordinal=ordinal, epoch=epoch)
    return [found.position_to_row(position) for position in range(rows)]


@given(
    rows=st.integers(1, 700), seed=st.integers(-(2**63), 2**64), ordinal=st.integers(1, 10**6), epoch=st.integers(0, 99)
)
def test_every_row_is_learned_exactly_once_per_epoch(rows: int, seed: int, ordinal: int, epoch: int) -> None:
    assert sorted(order(rows, seed=seed, ordinal=ordinal, epoch=epoch)) == list(range(rows))


def test_seed_ordinal_and_epoch_each_give_another_order() -> None:
    """D13: shuffles were correlated with each other."""
    orders = [order(64), order(64, seed=43), order(64, ordinal=2), order(64, epoch=1), order(64, ordinal=0, epoch=1)]
    assert len({tuple(found) for found in orders}) == len(orders)
    for found in orders[1:]:
        assert sum(one == other for one, other in zip(orders[0], found, strict=True)) < 8


def test_the_order_is_the_one_that_old_journals_were_written_with() -> None:
    assert order(10) == [7, 1, 3, 4, 8, 5, 2, 9, 0, 6]
    assert order(10, epoch=1) == [4, 2, 1, 8, 3, 7, 6, 9, 0, 5]
    assert order(7, seed=-3, ordinal=5, epoch=2) == [4, 1, 0, 6, 3, 2, 5]
    assert order(1000, ordinal=3)[:10] == [300, 369, 4, 863, 882, 179, 416, 210, 247, 390]
    assert mixed(42, 1, 0) == 10646091845267208524


def test_seeking_far_into_a_huge_quest_is_as_quick_as_its_beginning() -> None:
    huge = RowOrder(3 * 10**12, seed=1, ordinal=1, epoch=0)
    started = time.process_time()
    found = {huge.position_to_row(position) for position in range(2 * 10**12, 2 * 10**12 + 1000)}
    assert time.process_time() - started < 1.0
    assert len(found) == 1000


@pytest.mark.parametrize("position", [-1, 5])
def test_a_position_beyond_the_rows_is_an_error(position: int) -> None:
    with pytest.raises(IndexError):
        RowOrder(5, seed=1, ordinal=1, epoch=0).position_to_row(position)

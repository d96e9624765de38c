"""How the rows of a step are dealt out."""

from __future__ import annotations

import msgspec
import numpy as np

from arena.protocol import Arithmetic
from arena.trainer.scaling.shares import deal, shares_of
from arena.trainer.stream.batching import TokenRow
from tests.arena.trainer.tiny_hero import settings


def rows_of(lengths: list[int]) -> list[TokenRow]:
    return [
        TokenRow(line, np.arange(length, dtype=np.int32), np.ones(length, dtype=bool))
        for line, length in enumerate(lengths, start=1)
    ]


def lines(shares: list[list[TokenRow]]) -> list[list[int]]:
    return [[row.line for row in share] for share in shares]


def test_a_step_that_is_not_cut_is_left_as_it_is() -> None:
    rows = rows_of([3, 9, 5])
    assert deal(rows, 1) == [rows]


def test_shares_hold_about_the_same_number_of_tokens_and_each_row_once() -> None:
    lengths = [7, 90, 12, 33, 41, 8, 8, 60, 25, 3]
    shares = deal(rows_of(lengths), 3)
    assert sorted(line for share in lines(shares) for line in share) == list(range(1, 11))
    loads = [sum(len(row.token_ids) for row in share) for share in shares]
    assert max(loads) - min(loads) <= 8
    assert all(share == sorted(share) for share in lines(shares))


def test_ties_are_dealt_in_the_order_of_the_rows() -> None:
    assert lines(deal(rows_of([5, 5, 5, 5]), 2)) == [[1, 3], [2, 4]]


def test_a_short_step_has_fewer_shares_and_rows_without_a_target_are_in_none() -> None:
    rows = rows_of([5, 6, 1])
    assert lines(deal(rows, 4)) == [[2], [1]]
    # A row of one token predicts nothing.
    assert deal(rows[2:], 2) == [rows[2:]]


def test_claims_of_before_are_not_cut() -> None:
    before = msgspec.json.decode(b'{"precision": "bf16", "attention": "rows"}', type=Arithmetic)
    assert shares_of(settings()) == shares_of(settings(arithmetic=before)) == 1
    assert shares_of(settings(arithmetic=Arithmetic(shares=3))) == 3

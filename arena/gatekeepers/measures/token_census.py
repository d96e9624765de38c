"""Counts tokens over the rows of a quest file: how long they are, how much is learned, what the cut takes away."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from arena.gatekeepers.measures.row_measure import RowMeasure

PERCENTILES = (("median", 50), ("p95", 95), ("p99", 99))


class TokenCensus:
    """Statistics in bounded memory: two integers per row that is counted into the distribution."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.rows = 0
        self.rows_truncated = 0
        self.rows_with_no_target_left = 0
        self.tokens_lost = 0
        self.longest: int | None = None
        self._kept = 0
        self._lengths: list[int] = []
        self._trained: list[int] = []

    def count(self, row: RowMeasure, *, drawn: bool = True) -> None:
        """Count a row in. One that was not drawn, but taken for its length, stays out of the distribution."""
        self.rows += 1
        self.rows_truncated += row.is_cut
        self.rows_with_no_target_left += row.trained > 0 and row.trained_kept == 0
        self.tokens_lost += row.tokens_lost
        self.longest = max(self.longest or 0, row.length)
        if drawn:
            self._kept += row.length - row.tokens_lost
            self._lengths.append(row.length)
            self._trained.append(row.trained)

    def length_at(self, percent: int) -> int | None:
        """Percentile of the full length in tokens; None before the first row."""
        return percentile(sorted(self._lengths), percent)

    def to_json(self) -> dict[str, Any]:
        """`{max_length, rows_counted, tokens_kept, length: {min, max, median, p95, p99}, trained: {…}, …}`.

        `length` is that of whole rows, `trained` the tokens to learn in them before the cut, `tokens_kept` what the cut
        leaves of all rows counted. The last four are of all rows looked at: the longest, how many are cut, of how many
        nothing to learn is left, and tokens cut off.
        """
        return {
            "max_length": self.max_length,
            "rows_counted": len(self._lengths),
            "tokens_kept": self._kept,
            "length": _summary(self._lengths),
            "trained": _summary(self._trained),
            "longest": self.longest,
            "rows_truncated": self.rows_truncated,
            "rows_with_no_target_left": self.rows_with_no_target_left,
            "tokens_lost": self.tokens_lost,
        }


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Nearest rank: the smallest value that at least `percent` of all do not exceed."""
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)] if ordered else None


def _summary(values: list[int]) -> dict[str, int | None]:
    ordered = sorted(values)
    ends = {"min": percentile(ordered, 0), "max": percentile(ordered, 100)}
    return {**ends, **{name: percentile(ordered, percent) for name, percent in PERCENTILES}}


def describe_census(tokens: Mapping[str, Any] | None) -> list[str]:
    """The statistics in lines for people; none without statistics."""
    if tokens is None:
        return []
    limit = tokens["max_length"]
    cut, lost, emptied = (tokens[key] for key in ("rows_truncated", "tokens_lost", "rows_with_no_target_left"))
    return [
        f"tokens of a row: {_in_words(tokens['length'])}; at most {limit} are read",
        f"tokens to learn: {_in_words(tokens['trained'])}",
        f"rows that are cut: {cut}; tokens lost: {lost}; rows with nothing left to learn: {emptied}",
        f"looked at: {tokens['looked_at']}",
    ]


def _in_words(summary: Mapping[str, Any]) -> str:
    told = ", ".join(f"{name} {summary[name]}" for name, _ in PERCENTILES)
    return f"{summary['min']} to {summary['max']}, {told}"

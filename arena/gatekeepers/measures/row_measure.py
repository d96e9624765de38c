"""One rendered row in numbers: its tokens, its answers, and what is left of them after the cut at `max_length`."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from arena.rendering import RenderedRow


@dataclass(frozen=True, slots=True)
class Answer:
    """One stretch of text to learn, as tokens `start` to `end` (half open) of its row."""

    start: int
    end: int

    @property
    def tokens(self) -> int:
        return self.end - self.start

    def is_lost(self, max_length: int) -> bool:
        """Whether the cut leaves nothing of it."""
        return self.start >= max_length

    def is_cut(self, max_length: int) -> bool:
        """Whether the cut takes something of it, its stop token at least."""
        return self.end > max_length


@dataclass(frozen=True, slots=True)
class RowMeasure:
    """What the gates need to know of a row once it is rendered."""

    length: int
    """Tokens of the whole row."""
    trained: int
    """Tokens to learn, before any cut."""
    trained_kept: int
    """Tokens to learn that are left after the cut."""
    max_length: int
    answers: tuple[Answer, ...]

    @property
    def is_cut(self) -> bool:
        return self.length > self.max_length

    @property
    def tokens_lost(self) -> int:
        return max(0, self.length - self.max_length)


def measure(row: RenderedRow, max_length: int) -> RowMeasure:
    """Count what `row` holds and what the first `max_length` tokens of it hold."""
    return RowMeasure(
        length=len(row.token_ids),
        trained=row.target_tokens,
        trained_kept=sum(row.trained[:max_length]),
        max_length=max_length,
        answers=tuple(_answer(row.token_ends, start, end) for start, end in row.target_spans),
    )


def _answer(token_ends: list[int], start: int, end: int) -> Answer:
    first = bisect_right(token_ends, start)
    last = bisect_right(token_ends, end)
    if last < len(token_ends) and (last == 0 or token_ends[last - 1] < end):
        last += 1  # a token that begins in the answer and ends behind it
    return Answer(first, max(first, last))

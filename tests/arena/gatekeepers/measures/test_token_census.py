"""Counting tokens: answers and their cut, percentiles, which rows are looked at, and when two rows are the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arena.gatekeepers.measures.renderers import load_renderer
from arena.gatekeepers.measures.row_choice import ALL_ROWS, DRAWN_ROWS, LONGEST_BYTES, LONGEST_ROWS, RowChoice
from arena.gatekeepers.measures.row_measure import measure
from arena.gatekeepers.measures.token_census import TokenCensus, percentile
from arena.gatekeepers.row_identity import row_key, row_size
from arena.gatekeepers.row_reader import Row


def chat_row(line: int, question: str, answer: str, system_prompt: str | None = None) -> Row:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Row(line, turns, None, system_prompt)


@given(
    pairs=st.lists(st.tuples(st.text("ab🙂é \n", max_size=12), st.text("xy🙂ß ", max_size=12)), min_size=1, max_size=3),
    cut=st.integers(1, 200),
)
def test_the_answers_are_the_trained_tokens_and_nothing_else(pairs: list[tuple[str, str]], cut: int) -> None:
    """The seedling has several tokens in one character: an answer may be cut in the middle of one."""
    turns = [turn for question, answer in pairs for turn in chat_row(1, question, answer).messages or []]
    rendered = load_renderer("seedling", "chatml").renderer.render(messages=turns)
    measured = measure(rendered, cut)
    inside = {token for answer in measured.answers for token in range(answer.start, answer.end)}
    assert inside == {token for token, trained in enumerate(rendered.trained) if trained}
    assert [answer.tokens for answer in measured.answers] == [len(text.encode()) + 1 for _, text in pairs]
    kept = rendered.truncated(cut)
    assert measured.trained_kept == kept.target_tokens
    assert measured.tokens_lost == len(rendered.token_ids) - len(kept.token_ids)
    for answer in measured.answers:
        assert answer.is_lost(cut) == (not any(rendered.trained[answer.start : min(answer.end, cut)]))


def test_percentiles_are_values_that_occur() -> None:
    values = list(range(1, 101))
    assert [percentile(values, percent) for percent in (0, 50, 95, 99, 100)] == [1, 50, 95, 99, 100]
    assert [percentile([7], percent) for percent in (0, 50, 95, 99, 100)] == [7] * 5
    assert percentile([], 50) is None


def test_a_row_that_was_not_drawn_counts_but_does_not_shift_the_distribution() -> None:
    renderer = load_renderer("seedling", "chatml").renderer
    census = TokenCensus(64)
    for content, drawn in (("short", True), ("long" * 30, False)):
        rendered = renderer.render(messages=chat_row(1, "?", content).messages)
        census.count(measure(rendered, 64), drawn=drawn)
    told = census.to_json()
    assert told["rows_counted"] == 1
    assert told["length"]["max"] == 21 + 6
    assert told["longest"] == 21 + 1 + 120
    assert told["rows_truncated"] == 1
    assert told["tokens_lost"] == 21 + 1 + 120 - 64


def test_of_a_large_file_the_drawn_and_the_longest_rows_are_looked_at_each_once() -> None:
    """C15: the one long row is found wherever it stands."""
    rows = [chat_row(number + 1, "?", "a" * (number % 50)) for number in range(3000)]
    rows[1234] = chat_row(1235, "?", "b" * 500)
    choice = RowChoice(len(rows), 10 << 20)
    drawn = [row for index, row in enumerate(rows) if choice.takes(index, row)]
    longest = choice.longest()
    assert (len(drawn), len(longest)) == (DRAWN_ROWS, LONGEST_ROWS)
    assert rows[1234] in longest
    assert not {row.line for row in drawn} & {row.line for row in longest}
    assert [row.line for row in longest] == sorted(row.line for row in longest)
    again = RowChoice(len(rows), 10 << 20)
    assert [row for index, row in enumerate(rows) if again.takes(index, row)] == drawn


def test_the_longest_rows_are_held_in_bounded_memory() -> None:
    """A row may have 100 MB; two hundred of them must not be held at once."""
    row = Row(1, None, "x" * (LONGEST_BYTES // 4), None)
    choice = RowChoice(10_000, 10 << 30)
    for index in range(10_000):
        choice.takes(index, row)
    assert 1 <= len(choice.longest()) <= 4


@pytest.mark.parametrize(
    ("rows", "size", "every"),
    [
        (5, 100, True),
        (ALL_ROWS, 1 << 20, True),
        (ALL_ROWS + 1, 100, False),
        (500, 2 << 20, False),
        (150, 1 << 30, True),
    ],
)
def test_a_small_file_is_looked_at_row_by_row(rows: int, size: int, every: bool) -> None:
    assert RowChoice(rows, size).every is every


def test_rows_are_the_same_when_they_say_the_same(tmp_path: Path) -> None:
    """C14: held-out rows are recognised under other columns, weights and system prompts."""
    row = chat_row(3, "1+1?", "2")
    weighted = [{**turn, "weight": 0} for turn in row.messages or []]
    assert row_key(row) == row_key(chat_row(9, "1+1?", "2", "You are happy.")) == row_key(Row(1, weighted, None, None))
    others = [chat_row(3, "1+1?", "3"), chat_row(3, "1+1? ", "2"), Row(3, None, "1+1?2", None)]
    assert len({row_key(row), *map(row_key, others)}) == 4
    assert row_size(row) >= len("1+1?2")

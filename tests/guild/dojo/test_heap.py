"""What may go onto a heap of syllables so that it has one set of answers."""

from __future__ import annotations

import pytest

from guild.dojo.words.heap import SyllableHeap
from guild.dojo.words.lexicon import KINDS, Entry, Lexicon, entry

DEFINED, LENGTH = KINDS.index("defined"), KINDS.index("length")
TABLE, FABLE, FATHER, FATAL, TALLOW = (
    entry(spelling, f"definition of {spelling}") for spelling in ("ta.ble", "fa.ble", "fa.ther", "fa.tal", "tal.low")
)


@pytest.fixture
def heap() -> SyllableHeap:
    return SyllableHeap(Lexicon([TABLE, FABLE, FATHER, FATAL, TALLOW]))


def words(heap: SyllableHeap) -> list[str]:
    return [answer.word for answer in heap.answers]


@pytest.mark.parametrize(("first", "second"), [(TABLE, FATHER), (FATHER, TABLE)])
def test_a_word_that_gives_a_vague_clue_a_second_answer_is_refused(
    heap: SyllableHeap, first: Entry, second: Entry
) -> None:
    """`fable` can be made of `table` and `father`, and has five letters as well."""
    kinds = {TABLE: LENGTH, FATHER: DEFINED}
    assert heap.take_answer(first, kinds[first])
    assert not heap.take_answer(second, kinds[second])
    assert (words(heap), heap.syllables) == ([first.word], list(first.syllables))
    assert heap.clues == [first.clues[kinds[first]]]


def test_the_same_word_does_no_harm_where_no_clue_fits_it(heap: SyllableHeap) -> None:
    assert heap.take_answer(TABLE, DEFINED)
    assert heap.take_answer(FATHER, DEFINED)
    assert words(heap) == ["table", "father"]


def test_a_clue_that_comes_later_counts_for_what_is_spelled_already(heap: SyllableHeap) -> None:
    """`fable` was spelled before anybody asked for five letters; `fatal` would be the second answer then."""
    assert heap.take_answer(TABLE, DEFINED)
    assert heap.take_answer(FATHER, DEFINED)
    assert not heap.take_answer(FATAL, LENGTH)


def test_a_word_spelled_by_chance_may_become_an_answer(heap: SyllableHeap) -> None:
    for answer in (TABLE, FATHER, FABLE):
        assert heap.take_answer(answer, DEFINED)
    assert not heap.take_answer(FABLE, DEFINED)
    assert words(heap) == ["table", "father", "fable"]


def test_a_syllable_that_is_left_over_makes_no_second_answer(heap: SyllableHeap) -> None:
    assert heap.take_answer(TABLE, LENGTH)
    assert not heap.take_left_over("fa")
    assert not heap.take_left_over("ta"), "it is there already"
    assert heap.take_left_over("low")
    assert heap.syllables == ["ta", "ble", "low"]

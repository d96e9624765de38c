"""The emoji protocol: the checker agrees with a generator of answers that keep it and of answers that do not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guild.emoji_protocol import (
    FEWEST_STOPS,
    MOST_STOPS,
    STOP_EMOJIS,
    THINKING_EMOJIS,
    begins_with_thought,
    first_thoughts,
    last_stops,
    mode_of,
    stop_fault,
    without_markers,
)

SIGNS = "".join((*THINKING_EMOJIS, *STOP_EMOJIS, "\ufe0f"))
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=SIGNS), max_size=40)
PLAIN = WORDS.map(lambda text: f"x{text}y")
"""Begins and ends with a letter."""
THOUGHT, STOP = st.sampled_from(THINKING_EMOJIS), st.sampled_from(STOP_EMOJIS)
COLOURED = st.sampled_from(["", "\ufe0f"])
SPACES = st.sampled_from(["", " ", "\n", " \n\n"])


@st.composite
def begun(draw: st.DrawFn) -> str:
    """An answer that begins with thoughts and has no end yet."""
    thoughts = draw(THOUGHT) * draw(st.integers(1, 12))
    return draw(SPACES) + thoughts + draw(SPACES) + draw(PLAIN) + draw(SPACES)


@given(text=begun(), stop=STOP, count=st.integers(FEWEST_STOPS, MOST_STOPS), coloured=COLOURED, space=SPACES)
def test_thoughts_and_two_to_four_stops_of_one_kind_are_emoji_mode(
    text: str, stop: str, count: int, coloured: str, space: str
) -> None:
    assert mode_of(text + (stop + coloured) * count + space) == "emoji"


@given(text=begun(), stop=STOP, count=st.integers(0, 12), last=st.none() | STOP)
def test_thoughts_with_any_other_end_are_malformed(text: str, stop: str, count: int, last: str | None) -> None:
    """C22: `endswith(emoji * 2)` took five of them for a signal as well."""
    ending = stop * count + (last or "")
    run = count + 1 if last == stop else (count if last is None else 1)
    assume(not FEWEST_STOPS <= run <= MOST_STOPS)
    assert mode_of(text + ending) == "malformed"
    assert mode_of(text + ending + " said he") == "malformed"


@given(text=PLAIN, stop=STOP, count=st.integers(0, 6), thought=THOUGHT)
def test_without_thoughts_at_the_start_an_answer_is_direct_whatever_ends_it(
    text: str, stop: str, count: int, thought: str
) -> None:
    assert mode_of(text + stop * count) == "direct"
    assert mode_of(f"{text} {thought}{thought}") == "direct"


@given(text=PLAIN, thought=THOUGHT, stop=STOP, thoughts=st.integers(1, 9), stops=st.integers(1, 6), coloured=COLOURED)
def test_markers_are_counted_and_taken_off(
    text: str, thought: str, stop: str, thoughts: int, stops: int, coloured: str
) -> None:
    marked = f"{(thought + coloured) * thoughts}\n{text}\n{(stop + coloured) * stops}\n"
    assert (first_thoughts(marked), last_stops(marked)) == ((thought, thoughts), (stop, stops))
    assert without_markers(marked) == text


@given(text=st.text(st.sampled_from("🤔✨🛑⏹\ufe0f❤ \nab"), max_size=12))
def test_what_has_no_markers_any_more_is_left_alone(text: str) -> None:
    rest = without_markers(text)
    assert without_markers(rest) == rest
    assert not begins_with_thought(rest)
    assert rest in text


@pytest.mark.parametrize(
    ("text", "rest"), [("🤔 ❤\ufe0f 🛑🛑", "❤\ufe0f"), ("❤\ufe0f⏹\ufe0f", "❤\ufe0f"), ("🤔🛑", "")]
)
def test_other_signs_keep_their_colour(text: str, rest: str) -> None:
    assert without_markers(text) == rest


def test_a_fault_is_told_in_words() -> None:
    assert stop_fault("🤔 yes") == "no stop emoji ends it"
    assert stop_fault("🤔 yes 🛑") == "1 stop emoji ends it"
    assert stop_fault("🤔 yes 🛑🛑🛑🛑🛑") == "5 stop emoji end it"

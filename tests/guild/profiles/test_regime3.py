"""Profile regime3: answers between markers, in canonical form (spec 1.18)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guild.profiles import plain_answer
from guild.profiles.regime3 import END, START, canonical, rewrite


def marked(content: str | None, **fields: Any) -> str:
    return str(rewrite([{"role": "assistant", "content": content, **fields}])[0]["content"])


TEXTS = st.lists(
    st.one_of(st.text(max_size=8), st.sampled_from([START, END, "<think>", "</think>", "(", ")", " ", "(a  b)", "\n"])),
    max_size=8,
).map("".join)


@given(content=TEXTS, thought=st.none() | TEXTS)
def test_an_answer_that_was_marked_already_is_left_as_it_is(content: str, thought: str | None) -> None:
    """C22: what was wrapped was wrapped again."""
    once = marked(content, reasoning_content=thought)
    assert marked(once) == once
    assert START in once
    assert END in once


@pytest.mark.parametrize(
    ("content", "made"),
    [
        ("5", f"{START} 5 {END}"),
        (f"{START} 5", f"{START} 5 {END}"),
        (f"5 {END}", f"{START} 5 {END}"),
        (f"I see. {START}5{END} Done.", f"I see. {START} 5 {END} Done."),
        ("( add  1\n(mul 2   3 ) )", f"{START} (add 1 (mul 2 3)) {END}"),
        ("<think>\none and one\n</think>\n\n2", f"one and one\n\n{START} 2 {END}"),
    ],
)
def test_the_markers_that_are_missing_are_added(content: str, made: str) -> None:
    assert marked(content) == made


@given(answer=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<>"), min_size=1, max_size=20))
def test_graders_see_what_stands_between_them(answer: str) -> None:
    """D4: markers leaked into what was graded, and right answers were wrong."""
    assert plain_answer(marked(answer)) == plain_answer(canonical(answer.strip()))


@pytest.mark.parametrize(
    "answer", ["five", "(see above) or (below)", '(say "a  b")', "(a  b", "a) (b", "", "  two  words"]
)
def test_what_is_no_single_expression_is_left_as_it_is(answer: str) -> None:
    assert canonical(answer) == answer


def test_questions_and_calls_of_tools_are_left_alone() -> None:
    chat: list[dict[str, Any]] = [
        {"role": "user", "content": "(add 1  1)"},
        {"role": "assistant", "tool_calls": [{"name": "f"}]},
        {"role": "tool", "content": "2"},
    ]
    assert rewrite(chat) == chat

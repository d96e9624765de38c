"""What of a model's text is graded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guild.profiles import plain_answer
from guild.profiles.thoughts import told_apart


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("  1010\n", "1010"),
        ("<think>\n\n</think>\n\n1010", "1010"),
        ("<think>one\nand</think>1010", "1010"),
        ("the template had opened it\n</think>\n\n1010", "1010"),
        ("<think>never done", ""),
        ("1010 <think>never done", "1010"),
        ("🤔🤔🤔\n1010\n🛑🛑", "1010"),
        ("🤔 1010 🛑", "1010"),
        ("<<ANS_START>> (add 1 2) <<ANS_END>> and so on", "(add 1 2)"),
        ("hm\n\n<<ANS_START>> 5", "5"),
        ("5 <<ANS_END>>", "5"),
        ("a < b and b > c", "a < b and b > c"),
        ("", ""),
    ],
)
def test_markers_of_every_profile_are_no_part_of_the_answer(text: str, answer: str) -> None:
    """D4: 0 % accuracy although the answers were right, as no-think tokens leaked into them. E4."""
    assert plain_answer(text) == answer


@given(text=st.text(st.sampled_from("ab🤔🛑 \n<>/think"), max_size=20))
def test_an_answer_has_nothing_left_to_be_taken_off(text: str) -> None:
    assert "<think>" not in plain_answer(text)
    assert plain_answer(text) == plain_answer(text).strip()


@pytest.mark.parametrize("text", ["<think>" * 40_000, "<think>a</think>" + "<think>" * 40_000, "<th" * 40_000])
def test_thousands_of_openings_take_no_time(text: str) -> None:
    """Each of them was followed to the end of the text: a row of them held up the gates for a minute."""
    assert "</think>" not in plain_answer(text)
    told_apart({"content": text})


def test_tags_within_tags_leave_none() -> None:
    nested = "<think>"
    for _ in range(100):
        nested = f"<th{nested}ink>"
    assert "<think>" not in told_apart({"content": f"a{nested}b"})[1]

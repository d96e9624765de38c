"""Prompts and completions, as strings or messages: the completion is learned, the prompt is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.arena.gatekeepers.scroll_making import chat, judge, learned, lines, told

QUESTION, ANSWER = chat()["messages"]


@pytest.fixture
def scroll(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


def pair(prompt: Any, completion: Any, **columns: Any) -> dict[str, Any]:
    return {"prompt": prompt, "completion": completion, **columns}


def test_strings_are_the_two_turns_of_a_chat_as_they_are_written(scroll: Path) -> None:
    """D5: a system prompt that is given is used."""
    (row,) = learned(scroll, pair("3+4=\n\n###\n\n", " 7", system="Be short."))
    assert row.messages == [
        {"role": "user", "content": "3+4=\n\n###\n\n"},
        {"role": "assistant", "content": " 7"},
    ]
    assert (row.system_prompt, row.places) == ("Be short.", ["prompt", "completion"])


def test_of_message_lists_only_the_completion_is_learned(scroll: Path) -> None:
    (row,) = learned(scroll, pair([QUESTION, ANSWER, QUESTION], [ANSWER]))
    assert row.messages == [QUESTION, {**ANSWER, "weight": 0}, QUESTION, ANSWER]
    assert row.places == ["prompt[0].content", "prompt[1].content", "prompt[2].content", "completion[0].content"]
    (row,) = learned(scroll, pair("3+4?", [ANSWER]))
    assert row.messages == [QUESTION, ANSWER]


def test_a_completion_may_call_the_tools_of_the_row(scroll: Path) -> None:
    tool = {"type": "function", "function": {"name": "add"}}
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 3}}}
    calling = {"role": "assistant", "content": "", "tool_calls": [call]}
    (row,) = learned(scroll, pair([QUESTION], [calling], tools=[tool]))
    assert row.tools == [tool]
    assert row.messages == [QUESTION, calling]


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        (pair(7, "a"), "prompt", "must be a string or a list of messages, found a number"),
        (pair("a", None), "completion", "found null"),
        (pair([], "a"), "prompt", "found an empty list"),
        (pair("a", [QUESTION]), "completion", "no assistant turn"),
        (pair("a", [{**ANSWER, "weight": 0}]), "completion", "nothing to learn"),
        (pair([{"role": "bot", "content": "a"}], "a"), "prompt[0].role", "'bot' is not one of"),
        (pair("a", [{"role": "assistant"}]), "completion[0].content", "'content' is missing"),
        (pair("a", "b", tools="["), "tools", "not valid JSON"),
        ({"prompt": "a", "answer": "b"}, "completion", "the column 'completion'"),
    ],
)
def test_a_row_at_fault_is_named_with_its_column_and_reason(
    scroll: Path, row: dict[str, Any], place: str, reason: str
) -> None:
    """C19: what teaches nothing is not accepted."""
    verdict = judge(scroll, lines(pair("a", "b"), row, pair("a", "b")))
    assert told(verdict) == [(2, place)]
    assert reason in verdict["errors"][0]["message"]


def test_doubtful_rows_are_told(scroll: Path) -> None:
    """C16: blank answers are told, with their line and field."""
    verdict = judge(scroll, lines(*[pair("a", "b")] * 40, pair("", "b"), pair("a", "\n"), pair("a", "b", mood=1)))
    assert verdict["accepted"]
    assert told(verdict, "warnings") == [(41, "prompt"), (42, "completion"), (43, "mood")]

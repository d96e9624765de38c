"""Alpaca files are read as chats, and their faults are named in their own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.arena.gatekeepers.scroll_making import judge, learned, lines, told


@pytest.fixture
def scroll(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


def task(output: Any = "seven", **columns: Any) -> dict[str, Any]:
    return {"instruction": "Add them up.", "output": output, **columns}


@pytest.mark.parametrize("further", [{}, {"input": ""}, {"input": None}])
def test_an_instruction_is_a_question_and_the_output_its_answer(scroll: Path, further: dict[str, Any]) -> None:
    (row,) = learned(scroll, task(**further))
    assert row.messages == [{"role": "user", "content": "Add them up."}, {"role": "assistant", "content": "seven"}]
    assert (row.places, row.system_prompt) == (["instruction", "output"], None)


def test_the_input_follows_the_instruction_in_a_line_of_its_own(scroll: Path) -> None:
    (row,) = learned(scroll, task(input="3, 4"))
    assert row.messages is not None
    assert row.messages[0]["content"] == "Add them up.\n3, 4"
    (row,) = learned(scroll, {"instruction": "", "input": "3 + 4?", "output": "7"})
    assert row.messages is not None
    assert row.messages[0]["content"] == "3 + 4?"


def test_history_comes_first_and_its_answers_are_learned_too(scroll: Path) -> None:
    """D5: a system prompt that is given is used. The answers of the history are learned as LLaMA-Factory does."""
    (row,) = learned(scroll, task(system="Be exact.", history=[["1+1?", "two"], ["2+2?", "four"]]))
    assert row.system_prompt == "Be exact."
    assert row.messages is not None
    assert [(message["role"], message["content"]) for message in row.messages] == [
        ("user", "1+1?"), ("assistant", "two"), ("user", "2+2?"), ("assistant", "four"),
        ("user", "Add them up."), ("assistant", "seven"),
    ]  # fmt: skip
    assert all("weight" not in message for message in row.messages)
    assert row.places == ["history[0][0]", "history[0][1]", "history[1][0]", "history[1][1]", "instruction", "output"]


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        (task(7), "output", "'output' must be a string, found a number"),
        (task(["a"]), "output", "found a list"),
        ({"instruction": None, "output": "a"}, "instruction", "found null"),
        ({"output": "a"}, "instruction", "the column 'instruction' of alpaca_v1 is missing"),
        (task(input=["3", "4"]), "input", "found a list"),
        (task(system={}), "system", "found an object"),
        (task(history="1+1? two"), "history", "must be a list of pairs, found a string"),
        (task(history=[["1+1?", "two"], ["2+2?"]]), "history[1]", "found a list of 1"),
        (task(history=[{"q": "a"}]), "history[0]", "found an object"),
        (task(history=[["1+1?", 2]]), "history[0][1]", "must be strings, found a number"),
    ],
)
def test_a_row_at_fault_is_named_with_its_column_and_reason(
    scroll: Path, row: dict[str, Any], place: str, reason: str
) -> None:
    verdict = judge(scroll, lines(task(), row, task()))
    assert told(verdict) == [(2, place)]
    assert reason in verdict["errors"][0]["message"]


def test_doubtful_rows_are_told(scroll: Path) -> None:
    """C16: blank answers are told, with their line and field."""
    rows = [task(" "), {"instruction": " ", "input": "", "output": "a"}, task(history=[["1+1?", ""]]), task(mood="x")]
    verdict = judge(scroll, lines(task(), *rows, *[task()] * 40))
    assert verdict["accepted"]
    assert told(verdict, "warnings") == [(2, "output"), (3, "instruction"), (4, "history[0][1]"), (5, "mood")]


def test_a_file_of_blank_outputs_is_refused(scroll: Path) -> None:
    """C16: blank answers were learned."""
    verdict = judge(scroll, lines(*[task()] * 9, task("")))
    assert "1 of 10 answers say nothing but white space (10.0%)" in verdict["errors"][0]["message"]

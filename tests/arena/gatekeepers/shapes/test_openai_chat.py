"""Chats as OpenAI writes them: parts, tools, weights; and what is wrong with them, in their own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from arena.gatekeepers.row_reader import read_rows
from tests.arena.gatekeepers.scroll_making import chat, judge, learned, lines, told

QUESTION, ANSWER = chat()["messages"]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.fixture
def scroll(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


def call(arguments: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "arguments": arguments}, **fields}


def calling(*calls: Any, content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(content: str = "mild", **fields: Any) -> dict[str, Any]:
    return {"role": "tool", "content": content, **fields}


def test_a_plain_chat_stays_with_the_spec_of_the_seed(scroll: Path) -> None:
    """C18: what the seed's spec reads, it goes on reading. Null and weight 1 say nothing beyond it."""
    filled = {"role": "assistant", "content": "7", "tool_calls": None, "name": None, "weight": 1, "train": True}
    verdict = judge(scroll, lines({"messages": [QUESTION, filled], "tools": None}))
    assert (verdict["accepted"], verdict["schema_id"], verdict["warnings"]) == (True, "chat_sft_v1", [])


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [QUESTION, {**ANSWER, "weight": 0}, ANSWER]},
        {"messages": [QUESTION, {**ANSWER, "train": False}, ANSWER]},
        {"messages": [QUESTION, calling(call({})), result(), ANSWER]},
        {"messages": [{"role": "developer", "content": "Be short."}, QUESTION, ANSWER]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}, ANSWER]},
        {"messages": [QUESTION, {**ANSWER, "reasoning_content": "3 and 4"}]},
        {"messages": [QUESTION, ANSWER], "tools": [WEATHER]},
    ],
    ids=["weight", "train", "calls", "developer", "parts", "reasoning", "tools"],
)
@pytest.mark.parametrize("plain_rows", [0, 300])
def test_a_chat_that_has_more_to_it_follows_the_richer_spec_wherever_it_stands(
    scroll: Path, row: dict[str, Any], plain_rows: int
) -> None:
    before = [chat(question="What is three and four together?")] * plain_rows
    verdict = judge(scroll, lines(*before, row, chat()))
    assert (verdict["accepted"], verdict["schema_id"], verdict["warnings"]) == (True, "openai_chat_v1", [])
    assert verdict["format"] == "OpenAI chat"
    assert len(list(read_rows(scroll, "openai_chat_v1"))) == plain_rows + 2


def test_text_parts_are_joined(scroll: Path) -> None:
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "3+4?"}]
    (row,) = learned(scroll, {"messages": [{"role": "user", "content": parts}, ANSWER]})
    assert row.messages == [{"role": "user", "content": "What is 3+4?"}, ANSWER]
    assert row.places == ["messages[0].content", "messages[1].content"]


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "video", None])
def test_what_is_no_text_is_refused_by_its_place(scroll: Path, kind: str | None) -> None:
    parts = [{"type": "text", "text": "What is this?"}, {"type": kind, kind or "x": {}}]
    verdict = judge(scroll, lines(chat(), {"messages": [{"role": "user", "content": parts}, ANSWER]}))
    assert told(verdict) == [(2, "messages[0].content[1]")]
    assert "learns from text only" in verdict["errors"][0]["message"]


@pytest.mark.parametrize("arguments", [{"city": "Köln"}, '{"city": "Köln"}'], ids=["object", "string"])
def test_calls_results_and_tools_are_read_as_templates_expect_them(scroll: Path, arguments: Any) -> None:
    messages = [QUESTION, calling(call(arguments, id="c1")), result(tool_call_id="c1", name="weather"), ANSWER]
    for tools in ([WEATHER], json.dumps([WEATHER]), [WEATHER["function"]]):
        (row,) = learned(scroll, {"messages": messages, "tools": tools})
        assert row.tools == [WEATHER]
        assert row.messages is not None
        assert row.messages[1] == {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", **call({"city": "Köln"})}],
        }
        assert row.messages[2] == {"role": "tool", "content": "mild", "name": "weather", "tool_call_id": "c1"}


def test_the_older_names_of_functions_are_understood(scroll: Path) -> None:
    old = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    returned = {"role": "function", "name": "weather", "content": "mild"}
    (row,) = learned(scroll, {"messages": [QUESTION, old, returned, ANSWER], "functions": [WEATHER["function"]]})
    (new,) = learned(
        scroll, {"messages": [QUESTION, calling(call({})), result(name="weather"), ANSWER], "tools": [WEATHER]}
    )
    assert row == new


@pytest.mark.parametrize(
    ("hints", "learned_turns"),
    [
        ([{}, {}], [0, 1]),
        ([{"weight": 0}, {"weight": 1}], [1]),
        ([{"weight": 0.0}, {}], [1]),
        ([{"train": False}, {"train": True}], [1]),
        ([{"weight": 1, "train": False}, {"weight": None}], [1]),
    ],
)
def test_turns_are_learned_unless_their_weight_is_0(
    scroll: Path, hints: list[dict[str, Any]], learned_turns: list[int]
) -> None:
    answers = [{**ANSWER, **hint} for hint in hints]
    (row,) = learned(scroll, {"messages": [{**QUESTION, "weight": 0}, *answers]})
    assert row.messages is not None
    assert [n for n, message in enumerate(row.messages[1:]) if message.get("weight") != 0] == learned_turns


def test_a_row_of_which_nothing_is_learned_is_refused(scroll: Path) -> None:
    verdict = judge(scroll, lines(chat(), {"messages": [QUESTION, {**ANSWER, "weight": 0}]}))
    assert told(verdict) == [(2, "messages")]
    assert "no assistant turn is left whose weight is 1" in verdict["errors"][0]["message"]


def test_a_user_turn_is_never_learned_and_the_wish_is_told_once(scroll: Path) -> None:
    rows = [{"messages": [{**QUESTION, "train": True}, ANSWER]}] * 3
    verdict = judge(scroll, lines(*rows))
    assert (verdict["accepted"], told(verdict, "warnings")) == (True, [(1, "messages[].train")])
    assert "only assistant turns are learned" in verdict["warnings"][0]["message"]
    assert all(row.messages == chat()["messages"] for row in read_rows(scroll, verdict["schema_id"]))


DEEP = json.dumps({"a": json.loads("[" * 64 + "]" * 64)})


@pytest.mark.parametrize(
    ("message", "place", "reason"),
    [
        ({**ANSWER, "weight": 0.5}, "weight", "must be 0 or 1, true or false; found 0.5"),
        ({**ANSWER, "weight": "1"}, "weight", "must be 0 or 1"),
        ({**ANSWER, "train": []}, "train", "must be 0 or 1"),
        ({**ANSWER, "reasoning_content": 7}, "reasoning_content", "found a number"),
        (calling(call('{"a": }')), "tool_calls[0].function.arguments", "the string is not valid JSON"),
        (calling(call('{"a": NaN}')), "tool_calls[0].function.arguments", "the string holds NaN (column 7)"),
        (calling(call('{"a": "\\ud800"}')), "tool_calls[0].function.arguments", "lone surrogate"),
        (calling(call('{"a": 1, "a": 2}')), "tool_calls[0].function.arguments", "the key 'a' stands twice"),
        (calling(call(DEEP)), "tool_calls[0].function.arguments", "nested deeper than 64 levels"),
        (calling(call("[1]")), "tool_calls[0].function.arguments", "must be an object, or the JSON of one"),
        (calling(call(None)), "tool_calls[0].function.arguments", "found null"),
        (calling({"function": {"name": "f"}}), "tool_calls[0].function.arguments", "is missing"),
        (calling({"function": {"arguments": {}}}), "tool_calls[0].function.name", "must have a name, found null"),
        (calling({"name": " ", "arguments": {}}), "tool_calls[0].name", "found an empty one"),
        (calling({"function": "f"}), "tool_calls[0].function", "found a string"),
        (calling(call({}, type="custom")), "tool_calls[0].type", "'custom' is not known"),
        (calling("f"), "tool_calls[0]", "found a string"),
        ({**calling(), "tool_calls": {}}, "tool_calls", "must be a list, found an object"),
        ({**calling(), "tool_calls": []}, "content", "found null"),
        (calling(call({}), content=7), "content", "found a number"),
        ({**ANSWER, "content": []}, "content", "an empty list"),
        ({**ANSWER, "content": ["hi"]}, "content[0]", "must be an object with type and text"),
        ({**ANSWER, "content": [{"type": "text"}]}, "content[0].text", "'text' is missing"),
        ({"role": "tool", "content": {"a": 1}}, "content", "found an object"),
        ({"from": "gpt", "value": "a"}, "role", "name the column 'conversations'"),
    ],
)
def test_a_message_at_fault_is_named_with_its_field_and_reason(
    scroll: Path, message: dict[str, Any], place: str, reason: str
) -> None:
    """C18: what no spec knows is not accepted."""
    verdict = judge(scroll, lines(chat(), {"messages": [QUESTION, message, ANSWER]}, chat()))
    assert told(verdict) == [(2, f"messages[1].{place}")]
    assert reason in verdict["errors"][0]["message"]


@pytest.mark.parametrize(
    ("tools", "place", "reason"),
    [
        ("[", "tools", "the string is not valid JSON"),
        ({}, "tools", "found an object"),
        ([7], "tools[0]", "found a number"),
        ([{"description": "x"}], "tools[0].name", "must have a name"),
        ([WEATHER, {"type": "function", "function": {}}], "tools[1].function.name", "must have a name"),
        ([{"type": "code_interpreter", "function": {"name": "f"}}], "tools[0].type", "'code_interpreter' is not known"),
    ],
)
def test_tools_at_fault_are_named(scroll: Path, tools: Any, place: str, reason: str) -> None:
    verdict = judge(scroll, lines(chat(tools=tools)))
    assert told(verdict) == [(1, place)]
    assert reason in verdict["errors"][0]["message"]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([QUESTION, result(), ANSWER], "without a call before it"),
        ([QUESTION, calling(call({})), QUESTION, result(), ANSWER], "without a call before it"),
        ([QUESTION, calling(call({}, id="c1")), result(tool_call_id="c2"), ANSWER], "'c2' that the turn before it"),
        ([QUESTION, calling(call({}, id="c1")), result(tool_call_id="c1"), ANSWER], None),
        ([QUESTION, calling(call({})), result(tool_call_id="c1"), result(), ANSWER], None),
    ],
)
def test_a_result_that_nobody_asked_for_is_told(scroll: Path, messages: list[Any], reason: str | None) -> None:
    verdict = judge(scroll, lines({"messages": messages}))
    assert verdict["accepted"]
    assert [reason or "-" in warning["message"] for warning in verdict["warnings"]] == ([reason] if reason else [])


def test_a_call_without_a_word_is_no_blank_answer(scroll: Path) -> None:
    """C16: blank answers are counted, and a call is none."""
    assert learned(scroll, {"messages": [QUESTION, calling(call({}), content=""), result(), ANSWER]})
    verdict = judge(scroll, lines({"messages": [QUESTION, {**ANSWER, "content": [{"type": "text", "text": " "}]}]}))
    assert told(verdict, "warnings") == [(1, "messages[1].content")]
    assert "1 of 1 answers" in verdict["errors"][0]["message"]

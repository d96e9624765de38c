"""ShareGPT files are read as chats, and their faults are named in their own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.arena.gatekeepers.scroll_making import chat, judge, learned, lines, told

WEATHER = {"name": "weather", "description": "", "parameters": {"type": "object"}}
WRAPPED = {"type": "function", "function": WEATHER}
CALL = '{"name": "weather", "arguments": {"city": "Bonn"}}'
READ_CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn"}}}


@pytest.fixture
def scroll(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


def say(speaker: str, value: Any, **fields: Any) -> dict[str, Any]:
    return {"from": speaker, "value": value, **fields}


def shared(*turns: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {"conversations": list(turns), **columns}


def test_speakers_become_roles_and_columns_prompt_and_tools(scroll: Path) -> None:
    """D5: a system prompt that is given is used."""
    turns = [
        say("system", "Be kind."), say("human", "hi"), say("gpt", "ho"), say("user", "weather?"),
        say("function_call", CALL), say("observation", "mild"), say("tool", "dry"), say("assistant", "mild and dry"),
    ]  # fmt: skip
    (row,) = learned(scroll, shared(*turns, system="Be short.", tools=json.dumps([WEATHER])))
    assert row.messages == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls": [READ_CALL]},
        {"role": "tool", "content": "mild"},
        {"role": "tool", "content": "dry"},
        {"role": "assistant", "content": "mild and dry"},
    ]
    assert (row.system_prompt, row.tools) == ("Be short.", [WRAPPED])
    assert row.places[4] == "conversations[4].value"


def test_several_calls_may_stand_in_one_turn(scroll: Path) -> None:
    (row,) = learned(scroll, shared(say("human", "?"), say("function_call", f"[{CALL}, {CALL}]"), say("gpt", "!")))
    assert row.messages is not None
    assert row.messages[1]["tool_calls"] == [READ_CALL] * 2


@pytest.mark.parametrize("tools", ["", "[]", None, []])
def test_an_empty_list_of_tools_is_none(scroll: Path, tools: Any) -> None:
    (row,) = learned(scroll, shared(say("human", "hi"), say("gpt", "ho"), tools=tools, system=""))
    assert (row.tools, row.system_prompt) == (None, "")


def test_role_and_content_in_this_column_are_read_as_well(scroll: Path) -> None:
    (row,) = learned(scroll, {"conversations": chat()["messages"]})
    assert row.messages == chat()["messages"]
    assert row.places[1] == "conversations[1].content"
    mixed = {"conversations": [*chat()["messages"], say("gpt", "ho")]}
    assert told(judge(scroll, lines(mixed))) == [(1, "conversations[2].role")]


def test_weight_and_train_are_honoured(scroll: Path) -> None:
    turns = [say("human", "hi"), say("gpt", "bad", train=False), say("gpt", "worse", weight=0), say("gpt", "good")]
    (row,) = learned(scroll, shared(*turns))
    assert row.messages is not None
    assert [message.get("weight") for message in row.messages] == [None, 0, 0, None]


def test_the_tags_of_hermes_are_not_put_around_twice(scroll: Path) -> None:
    """C22: doubly wrapped tags were learned."""
    listed = say("system", f"You may call functions: <tools>{json.dumps(WEATHER)}</tools>")
    turns = [
        listed,
        say("human", "weather?"),
        say("gpt", f"<tool_call>\n{CALL}\n</tool_call>"),
        say("tool", "<tool_response>\nmild\n</tool_response>"),
        say("gpt", "mild"),
    ]
    verdict = judge(scroll, lines(shared(*turns, tools=json.dumps([WEATHER]))))
    assert (verdict["accepted"], told(verdict, "warnings")) == (True, [(1, "tools")])
    (row,) = learned(scroll, shared(*turns))
    assert row.tools is None
    assert row.messages is not None
    assert row.messages[3] == {"role": "user", "content": "<tool_response>\nmild\n</tool_response>"}


@pytest.mark.parametrize(
    ("turn", "place", "reason"),
    [
        (say("bot", "a"), "[1].from", "'bot' is not one of human, user, gpt"),
        (say("gpt", None), "[1].value", "'value' must be a string, found null"),
        ({"from": "gpt"}, "[1].value", "'value' is missing"),
        ({"value": "a"}, "[1].from", "'from' is missing"),
        (say(["gpt"], "a"), "[1].from", "is not one of"),  # type: ignore[arg-type]
        ("gpt: a", "[1]", "must be an object with from and value, found a string"),
        (say("function_call", "weather()"), "[1].value", "the string is not valid JSON"),
        (say("function_call", "[]"), "[1].value", "holds no call"),
        (say("function_call", '{"name": "f"}'), "[1].value.arguments", "'arguments' is missing"),
        (say("function_call", '{"arguments": {}}'), "[1].value.name", "must have a name"),
        (say("gpt", "a", weight=2), "[1].weight", "must be 0 or 1"),
    ],
)
def test_a_turn_at_fault_is_named_with_its_field_and_reason(scroll: Path, turn: Any, place: str, reason: str) -> None:
    good = shared(say("human", "hi"), say("gpt", "ho"))
    verdict = judge(scroll, lines(good, shared(say("human", "hi"), turn, say("gpt", "ho"))))
    assert told(verdict) == [(2, f"conversations{place}")]
    assert reason in verdict["errors"][0]["message"]


@pytest.mark.parametrize(
    ("row", "place", "reason"),
    [
        (shared(), "conversations", "found an empty list"),
        ({"conversations": "hi"}, "conversations", "found a string"),
        (shared(say("human", "hi")), "conversations", "no assistant turn"),
        (shared(say("human", "hi"), say("gpt", "ho", weight=0)), "conversations", "nothing to learn"),
        (shared(say("human", "hi"), say("gpt", "ho"), system=7), "system", "found a number"),
        (shared(say("human", "hi"), say("gpt", "ho"), tools="{"), "tools", "not valid JSON"),
    ],
)
def test_a_row_at_fault_is_named_with_its_column(scroll: Path, row: dict[str, Any], place: str, reason: str) -> None:
    """C19: what teaches nothing is not accepted."""
    verdict = judge(scroll, lines(row))
    assert told(verdict) == [(1, place)]
    assert reason in verdict["errors"][0]["message"]


def test_doubtful_turns_are_told(scroll: Path) -> None:
    """C16: blank answers are told, with their line and field."""
    rows = [
        shared(say("human", "hi"), say("gpt", " "), mood=1),
        shared(say("gpt", "ho")),
        shared(say("human", "hi", note="x"), say("tool", "mild"), say("gpt", "ho")),
    ]
    good = shared(say("human", "hi"), say("gpt", "ho"))
    verdict = judge(scroll, lines(*rows, *[good] * 30))
    assert verdict["accepted"]
    assert told(verdict, "warnings") == [
        (1, "conversations[1].value"),
        (2, "conversations"),
        (3, "conversations[].note"),
        (3, "conversations[1].value"),
        (1, "mood"),
    ]

"""Whatever the shape and however it was damaged: what the gates accept is read, rendered and has something to learn."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.gatekeepers.quest_specs import SPECS
from arena.gatekeepers.row_reader import read_rows
from arena.rendering import Renderer
from guild.profiles import get_profile
from tests.arena.gatekeepers.scroll_making import chat, judge, lines
from tests.arena.qwen_like import make_qwen_like

TOOL = {"name": "add", "description": "", "parameters": {"type": "object"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": [3, 4]}'}}
RICH = {
    "messages": [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "3"}, {"type": "text", "text": "+4?"}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL, {"name": "add", "arguments": {}}]},
        {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "7"},
        {"role": "tool", "content": "0"},
        {"role": "assistant", "content": "8", "weight": 0},
        {"role": "assistant", "content": "7", "reasoning_content": "the first one", "train": True},
    ],
    "tools": [{"type": "function", "function": TOOL}],
}
SHARED = [
    {"from": "system", "value": "Be short."},
    {"from": "human", "value": "3+4?"},
    {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 3}}'},
    {"from": "observation", "value": "7"},
    {"from": "gpt", "value": "7", "weight": 1},
]
GOOD_ROWS: list[dict[str, Any]] = [
    chat(system_prompt="Be short."),
    RICH,
    {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "function_call": TOOL | {"arguments": {}}}]},
    {"conversations": SHARED, "system": None, "tools": json.dumps([TOOL])},
    {"conversations": chat()["messages"]},
    {"instruction": "Add.", "input": "3, 4", "output": "7", "system": "", "history": [["1+1?", "2"]]},
    {"prompt": "3+4=", "completion": " 7"},
    {"prompt": chat()["messages"], "completion": [{"role": "assistant", "content": "7"}], "tools": []},
    {"text": "Three and four are seven."},
]
STRINGS = ["", " ", "a", '"', "\n<|im_end|>", "<tool_response>", "</think>", "<tools>", "é☃", "{}", "["]
NAMES = ["user", "assistant", "tool", "gpt", "human", "function_call", '{"name": "f", "arguments": {}}']
SCALARS = st.sampled_from([None, True, False, 0, 1, -1, 0.5, 10**30, *STRINGS, *NAMES])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "name", "a"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A good row in which some values were replaced, lost or written twice."""
    row: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(GOOD_ROWS)))
    for _ in range(draw(st.integers(0, 3))):
        holder: Any = row
        while holder:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], dict | list) and draw(st.booleans()):
                holder = holder[key]
                continue
            match draw(st.sampled_from(["replace", "replace", "remove", "repeat"])):
                case "replace":
                    holder[key] = draw(VALUES)
                case "remove":
                    del holder[key]
                case "repeat" if isinstance(holder, list):
                    holder.append(holder[key])
            break
    return row


@pytest.fixture(scope="module")
def scroll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scrolls") / "x.jsonl"


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer.load(make_qwen_like(tmp_path_factory.mktemp("models") / "qwen"), get_profile("chatml"))


@pytest.mark.parametrize("number", range(len(GOOD_ROWS)))
def test_each_good_row_is_let_in_under_a_spec_of_its_own_kind(scroll: Path, number: int) -> None:
    row = GOOD_ROWS[number]
    verdict = judge(scroll, lines(*[row] * 300))
    assert (verdict["accepted"], verdict["rows"]) == (True, 300)
    assert set(SPECS[verdict["schema_id"]].required_columns) <= set(row)


@settings(deadline=None, max_examples=250)
@given(rows=st.lists(damaged(), min_size=1, max_size=3), copies=st.sampled_from([1, 1, 1, 60]))
def test_what_is_accepted_is_read_rendered_and_learned(
    scroll: Path, renderer: Renderer, rows: list[dict[str, Any]], copies: int
) -> None:
    """C8: no damage raises in the gates. C19: nothing is let in that teaches nothing."""
    verdict = judge(scroll, lines(*rows * copies))
    json.dumps(verdict, allow_nan=False).encode("utf-8")
    assert verdict["accepted"] == (verdict["total_errors"] == 0)
    if verdict["accepted"]:
        read = list(read_rows(scroll, verdict["schema_id"]))
        assert len(read) == verdict["rows"] == len(rows) * copies
        assert all(len(row.places) == len(row.messages or []) for row in read)
        assert all(row.target_tokens for row in renderer.render_many([row.as_mapping() for row in read], "Be kind."))

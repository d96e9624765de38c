"""Prompt and completion, each a string or a list of messages; the completion alone is learned.

Strings are the two turns of a chat, the prompt a user's and the completion an assistant's, as they are written: so they
are rendered with the profile's template and end with its stop token, and the model answers them as it answers chats.
"""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.shapes.messages import read_messages
from arena.gatekeepers.shapes.row import FaultError, Report, Row
from arena.gatekeepers.shapes.tool_calls import read_tools
from arena.gatekeepers.shapes.turns import Turns
from arena.gatekeepers.shapes.values import describe_value, is_blank, optional_text


def read_prompt_completion(line: int, row: dict[str, Any], report: Report) -> Row | None:
    prompt = _read_side(row["prompt"], "prompt", "user", report)
    completion = _read_side(row["completion"], "completion", "assistant", report)
    system = optional_text(row, "system")
    tools = read_tools(row.get("tools"), "tools")
    if prompt is None or completion is None:
        return None
    for message in prompt.messages:
        if message["role"] == "assistant":
            message["weight"] = 0
    if type(row["prompt"]) is str and is_blank(row["prompt"]):
        report.warn("prompt", "the prompt is empty")
    turns = Turns(prompt.messages + completion.messages, prompt.places + completion.places)
    return turns.row(line, system, tools)


def _read_side(value: Any, column: str, role: str, report: Report) -> Turns | None:
    if type(value) is list:
        return read_messages(value, column, report)
    if type(value) is not str:
        raise FaultError(column, f"'{column}' must be a string or a list of messages, found {describe_value(value)}")
    turns = Turns()
    turns.add(role, value, column)
    return turns

"""ShareGPT: `conversations` of `from` and `value`, with calls and results of tools as LLaMA-Factory writes them.

A `function_call` is an assistant turn whose value is the JSON of `{"name", "arguments"}`; an `observation` is what the
tool answered. Conversations whose messages have `role` and `content` instead are read as OpenAI's.
"""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.shapes.messages import read_messages, read_weight
from arena.gatekeepers.shapes.row import FaultError, Message, Report, Row
from arena.gatekeepers.shapes.tool_calls import Tools, read_tools, read_written_calls
from arena.gatekeepers.shapes.turns import Turns, Wording, read_each
from arena.gatekeepers.shapes.values import describe_value, optional_text, required_text

COLUMN = "conversations"

_SPEAKERS = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
ROLES = {**_SPEAKERS, "function_call": "assistant", "observation": "tool", "tool": "tool"}

_PLAIN = Wording("from", "value", _SPEAKERS)
_KEYS = frozenset({"from", "value", "weight", "train"})


def read_sharegpt(line: int, row: dict[str, Any], report: Report) -> Row | None:
    value = row[COLUMN]
    if has_roles(value):
        turns = read_messages(value, COLUMN, report)
    else:
        turns = read_each(value, COLUMN, _PLAIN, lambda message, place: _read_turn(message, place, report), report)
    prompt = optional_text(row, "system")
    tools = read_tools(row.get("tools"), "tools")
    if turns is None:
        return None
    return turns.row(line, prompt, None if _lists_tools(turns, prompt, tools, report) else tools)


def has_roles(conversations: Any) -> bool:
    """Whether the messages have the field names of OpenAI, which some tools put into this column."""
    first = conversations[0] if type(conversations) is list and conversations else None
    return type(first) is dict and "from" not in first and "role" in first


def _read_turn(message: Any, place: str, report: Report) -> Message:
    if type(message) is not dict:
        raise FaultError(place, f"a message must be an object with from and value, found {describe_value(message)}")
    speaker = message.get("from")
    if type(speaker) is not str or speaker not in ROLES:
        what = f"{speaker!r:.60} is not one of" if "from" in message else "'from' is missing; it must be one of"
        raise FaultError(f"{place}.from", f"{what} {', '.join(ROLES)}")
    value = required_text(message, "value", f"{place}.value")
    read: Message = {"role": ROLES[speaker], "content": value}
    if speaker == "function_call":
        read["content"] = ""
        read["tool_calls"] = read_written_calls(value, f"{place}.value")
    elif read["role"] == "tool" and value.lstrip().startswith("<tool_response>"):
        # Hermes writes the tags itself, which belong to a user turn; a template would put them around once more.
        read["role"] = "user"
    for key in message.keys() - _KEYS:
        if message[key] is not None:
            report.ignored(f"{COLUMN}[].{key}", f"the message key {key!r:.60} is ignored")
    read_weight(message, place, COLUMN, read, report)
    return read


def _lists_tools(turns: Turns, prompt: str | None, tools: Tools | None, report: Report) -> bool:
    """Whether the system text lists the tools itself, as in the Hermes sets, so that the column would repeat them."""
    if tools is None:
        return False
    systems = [message["content"] for message in turns.messages if message["role"] == "system"] or [prompt or ""]
    if not any("<tools>" in text for text in systems):
        return False
    report.ignored("tools", "the column 'tools' is ignored where the system text lists the tools itself (<tools>)")
    return True

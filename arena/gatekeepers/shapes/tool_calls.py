"""Functions and their calls, as OpenAI writes them and as others do, read into the form that chat templates expect."""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.shapes.row import FaultError
from arena.gatekeepers.shapes.values import decode_text, describe_value, is_blank

Tools = list[dict[str, Any]]


def read_tools(value: Any, place: str) -> Tools | None:
    """The column of functions that may be called: a list of JSON schemas, or the JSON of one in a string.

    Bare functions (`{"name", "description", "parameters"}`) are wrapped as OpenAI does. None when there are none.
    """
    if type(value) is str:
        value = None if is_blank(value) else decode_text(value, place)
    if value is None:
        return None
    if type(value) is not list:
        raise FaultError(place, f"the tools must be a list of functions, found {describe_value(value)}")
    return [_read_tool(tool, f"{place}[{index}]") for index, tool in enumerate(value)] or None


def _read_tool(tool: Any, place: str) -> dict[str, Any]:
    if type(tool) is not dict:
        raise FaultError(place, f"a tool must be an object with a function, found {describe_value(tool)}")
    if "function" not in tool:
        _check_name(tool, place)
        return {"type": "function", "function": tool}
    _check_type(tool, place)
    _check_name(tool["function"], f"{place}.function")
    return {**tool, "type": "function"}


def read_calls(value: Any, place: str) -> list[dict[str, Any]]:
    """The calls of one assistant turn, their arguments as objects."""
    if type(value) is not list:
        raise FaultError(place, f"the tool calls must be a list, found {describe_value(value)}")
    return [read_call(call, f"{place}[{index}]") for index, call in enumerate(value)]


def read_call(call: Any, place: str) -> dict[str, Any]:
    """One call: `{"function": {"name", "arguments"}}`, or name and arguments without the wrapper."""
    if type(call) is not dict:
        raise FaultError(place, f"a tool call must be an object with name and arguments, found {describe_value(call)}")
    _check_type(call, place)
    wrapped = call.get("function") is not None
    function, inner = (call["function"], f"{place}.function") if wrapped else (call, place)
    name = _check_name(function, inner)
    arguments = _read_arguments(function, f"{inner}.arguments")
    canonical = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"id": call["id"], **canonical} if type(call.get("id")) is str else canonical


def read_written_calls(text: str, place: str) -> list[dict[str, Any]]:
    """One call, or a list of them, written as JSON into a string (ShareGPT's `function_call`)."""
    value = decode_text(text, place)
    calls = value if type(value) is list else [value]
    if not calls:
        raise FaultError(place, "the string holds no call")
    return [read_call(call, place) for call in calls]


def _read_arguments(function: dict[str, Any], place: str) -> dict[str, Any]:
    if "arguments" not in function:
        raise FaultError(place, "'arguments' is missing; a call without any writes {}")
    arguments = function["arguments"]
    if type(arguments) is str:
        arguments = decode_text(arguments, place)
    if type(arguments) is not dict:
        raise FaultError(place, f"'arguments' must be an object, or the JSON of one, found {describe_value(arguments)}")
    return arguments


def _check_type(holder: dict[str, Any], place: str) -> None:
    kind = holder.get("type")
    if kind is not None and kind != "function":
        raise FaultError(f"{place}.type", f"type {kind!r:.60} is not known; only functions can be called")


def _check_name(function: Any, place: str) -> str:
    if type(function) is not dict:
        raise FaultError(place, f"a function must be an object with a name, found {describe_value(function)}")
    name = function.get("name")
    if type(name) is not str or is_blank(name):
        found = "an empty one" if type(name) is str else describe_value(name)
        raise FaultError(f"{place}.name", f"a function must have a name, found {found}")
    return name

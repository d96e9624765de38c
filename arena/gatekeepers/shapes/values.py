"""Checks of single values, and their words, that all shapes share."""

from __future__ import annotations

from typing import Any

from arena.gatekeepers.scrolls.json_faults import explain_fault
from arena.gatekeepers.scrolls.json_keys import structure_fault
from arena.gatekeepers.scrolls.json_lines import UNDECODABLE, decode
from arena.gatekeepers.shapes.row import FaultError

JSON_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}


def describe_value(value: Any) -> str:
    """The JSON type of a decoded value, for an error message."""
    return JSON_NAMES.get(type(value), "a number")


def is_blank(text: str) -> bool:
    return not text or text.isspace()


def required_text(holder: dict[str, Any], key: str, place: str) -> str:
    """The string under `key`, which stands at `place` of the row."""
    value = holder.get(key)
    if type(value) is str:
        return value
    what = f"must be a string, found {describe_value(value)}" if key in holder else "is missing"
    raise FaultError(place, f"'{key}' {what}")


def optional_text(holder: dict[str, Any], key: str) -> str | None:
    """The string in the column `key`; None when it is null or not there."""
    return None if holder.get(key) is None else required_text(holder, key, key)


def decode_text(text: str, place: str) -> Any:
    """JSON that stands inside a string of the row: as strict as the lines of the file."""
    raw = text.encode("utf-8")
    try:
        value = decode(raw)
    except UNDECODABLE:
        raise FaultError(place, f"the string {explain_fault(raw)}") from None
    if fault := structure_fault(raw, value):
        raise FaultError(place, f"the JSON in the string: {fault[1]}")
    return value

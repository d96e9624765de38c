"""Finding duplicate keys without a second parser: compare how many keys a text writes with how many arrived.

Of two equal keys in one object the decoder keeps the last, so a decoded object holds fewer keys than its text
writes colons, and has fewer quotes when it is written out again. Only where the numbers differ is a line parsed
again, to name the key.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

MAX_DEPTH = 64
"""Levels of objects and lists in one row, the row itself being the first."""
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

_encode = msgspec.json.Encoder().encode


class TooDeepError(ValueError):
    """A value is nested deeper than `MAX_DEPTH`."""


def keys_held(value: Any, depth: int = 1) -> int:
    """Keys of all objects in a decoded value; raises `TooDeepError`."""
    if type(value) is not dict and type(value) is not list:
        return 0
    if depth > MAX_DEPTH:
        raise TooDeepError
    if type(value) is dict:
        return len(value) + sum([keys_held(child, depth + 1) for child in value.values()])
    return sum([keys_held(child, depth + 1) for child in value])


def keys_written(text: bytes) -> int:
    """Keys that valid JSON text writes: its colons outside of strings."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(text.split(b'"')[::2]).count(b":")


class _Pairs(list[tuple[str, Any]]):
    """An object with all of its keys."""


def duplicate_key(line: bytes) -> tuple[str, str] | None:
    """Place (such as `messages[2].role`) and name of the first key that stands twice in one object of valid JSON."""
    return _search(json.loads(line, object_pairs_hook=_Pairs), "")


def _search(value: Any, place: str) -> tuple[str, str] | None:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, child in value:
            inner = f"{place}.{key}" if place else key
            if key in seen:
                return inner, key
            seen.add(key)
            if found := _search(child, inner):
                return found
    elif isinstance(value, list):
        for index, child in enumerate(value):
            if found := _search(child, f"{place}[{index}]"):
                return found
    return None


def structure_fault(text: bytes, value: Any) -> tuple[str | None, str] | None:
    """Why `value`, decoded from `text`, is refused although its JSON is valid: the place in it and what is wrong.

    None when no key stands twice in one object and the nesting is not too deep.
    """
    if _is_surely_sound(text, value):
        return None
    try:
        held = keys_held(value)
    except TooDeepError:
        return None, f"is {TOO_DEEP}"
    if keys_written(text) == held or (found := duplicate_key(text)) is None:
        return None
    place, key = found
    return place, f"the key {key!r:.60} stands twice in one object"


def _is_surely_sound(text: bytes, value: Any) -> bool:
    """The quick answer, in C: written out again, a value has the quotes of its text unless keys were dropped."""
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH or b"\\u0022" in text:
        return False  # may be too deep; a quote written as \u0022 could make up for one that was dropped
    return _encode(value).count(b'"') == text.count(b'"')

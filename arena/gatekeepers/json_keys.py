"""Finding duplicate keys without a second parser: compare how many keys a text writes with how many arrived.

Of two equal keys in one object the decoder keeps the last, so a decoded object holds fewer keys than its text
writes colons. Only where the numbers differ is a line parsed again, to name the key.
"""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 64
"""Levels of objects and lists in one row, the row itself being the first."""


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


def duplicate_key(line: bytes) -> str | None:
    """The first key that stands twice in one object of a valid JSON line; None when there is none."""
    found: list[str] = []

    def remember(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found.append(key)
            seen.add(key)

    json.loads(line, object_pairs_hook=remember)
    return found[0] if found else None

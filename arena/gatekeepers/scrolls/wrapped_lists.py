"""A JSON object around one list, as many exports are: `{"version": "1", "data": [ … ]}`. The list holds the rows.

It is found by the beginning of the file, and what follows it is checked once it was read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from arena.gatekeepers.scrolls.json_lines import JSON_SPACE, UNDECODABLE, decode, is_value

WRAPPERS = frozenset(
    {"data", "rows", "items", "examples", "records", "samples", "instances", "entries", "dataset", "train"}
)
"""Keys whose list is taken for the rows. Other ones may be a part of a single row, such as `messages` or `tools`."""

MOST_AFTER = 64 * 1024
"""Bytes that may follow the list."""

_KEY = re.compile(r'[\s,]*"((?:[^"\\]|\\.)*+)"\s*:\s*')
_OBJECTS = re.compile(r"\[\s*\{")
_scan = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode


@dataclass(frozen=True)
class Wrapping:
    """What stands around a list."""

    key: str
    before: bytes
    """The text up to the bracket that opens the list."""

    def fault(self, after: bytes) -> str | None:
        """Why the object is refused, where `after` follows its list to the end of the file; None when it is sound."""
        if len(after) > MOST_AFTER:
            return f"more than {MOST_AFTER // 1024} KB follow the list under {self.key!r}: {unwrap_hint(self.key)}"
        if not after:
            return f"no brace closes the object around the list under {self.key!r}: the file was cut off"
        try:
            value = decode(self.before + b"[]" + after)
        except UNDECODABLE:
            return f"what stands before or after the list under {self.key!r} is not valid JSON"
        if other := list_column(value):
            return (
                f"there is a second list of objects, under {other!r:.60}; one file holds one: {unwrap_hint(self.key)}"
            )
        return None


def wrapping_of(head: bytes) -> Wrapping | None:
    """What stands around the list of a file that begins with `head`; None when it holds no such list.

    Lines of objects are none, whatever they hold.
    """
    text = head.decode("latin-1")  # one sign for one byte
    first, _, rest = text.partition("\n")
    if rest.strip() and is_value(first.encode("latin-1")):
        return None
    found = _first_list(text)
    if found is None or found[0] not in WRAPPERS:
        return None
    return Wrapping(found[0], head[: found[1]])


def first_list_key(head: bytes) -> str | None:
    """The first key of the object at the start of `head` that holds a list of objects, as far as `head` goes."""
    found = _first_list(head.decode("latin-1"))
    return found[0].encode("latin-1").decode("utf-8", "replace") if found else None


def list_column(row: object) -> str | None:
    """The first column of a row that holds a list of objects: perhaps the rows that somebody meant."""
    columns = row.items() if isinstance(row, dict) else ()
    return next(
        (str(key) for key, value in columns if isinstance(value, list) and value and isinstance(value[0], dict)), None
    )


def unwrap_hint(key: str) -> str:
    """What to do with an object whose list under `key` holds the rows."""
    path = f".{key}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) else f".[{json.dumps(key)}]"
    return f"if the rows are what {key!r:.60} holds, drop that list alone: jq '{path:.60}' FILE > rows.json"


def _first_list(text: str) -> tuple[str, int] | None:
    """Key and place of the first list of objects in the object at the start of `text`."""
    start = len(text) - len(text.lstrip(JSON_SPACE.decode()))
    if not text.startswith("{", start):
        return None
    at = start + 1
    while key := _KEY.match(text, at):
        at = key.end()
        if _OBJECTS.match(text, at):
            return key[1], at
        try:
            _, at = _scan(text, at)
        except (json.JSONDecodeError, RecursionError):
            return None
    return None

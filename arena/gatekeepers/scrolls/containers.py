"""What a dropped file is, by its first bytes: JSON lines, a JSON list, or either of them compressed.

The name decides nothing: `x.jsonl` may hold gzip data, and `x.jsonl.gz` may have been unpacked by a browser on its
way. Whatever it is, the gates read JSON lines (`Container.lines`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from arena.gatekeepers.scrolls.compressed_streams import ContainerFault, compression_of, decompressed
from arena.gatekeepers.scrolls.json_arrays import JsonArray
from arena.gatekeepers.scrolls.json_lines import JSON_SPACE, ByteSource, is_value
from arena.gatekeepers.scrolls.wrapped_lists import Wrapping, first_list_key, unwrap_hint, wrapping_of
from arena.quest_names import split_name

HEAD_BYTES = 16 * 1024
"""Text by which a file is recognised."""

LIST_SUFFIXES = (".json", ".json.gz", ".json.zst")
BOM = b"\xef\xbb\xbf"

_scan = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode
_scan_strictly = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_INDENTED = re.compile(r'\{[ \t\r]*\n[ \t]+"')
"""How programs begin an object that they spread over lines."""

KIND_NAMES = {"gzip": "gzip data", "zstd": "zstd data", "json_array": "a JSON list"}


@dataclass(frozen=True)
class Container:
    """A file that was recognised and is not read yet."""

    kind: str | None
    """`gzip`, `zstd`, `json_array`, `gzip+json_array` or `zstd+json_array`; None for plain JSON lines."""
    head: bytes
    """The beginning of its text."""
    lines: ByteSource
    """Its JSON lines. Reading them raises `ContainerFault`."""
    array: JsonArray | None
    """The list whose items the lines are, if it is one."""


def open_container(source: ByteSource, name: str) -> Container:
    """Recognise what `source` holds; the `name` only tells what its owner meant, for better words.

    Raises `ContainerFault` for compressed data that are broken at once, and for JSON that is neither lines nor a list.
    """
    packed = _Peekable(source)
    compression = compression_of(packed.peek(4))
    try:
        return _open_text(_Peekable(decompressed(packed, compression)) if compression else packed, compression, name)
    except ContainerFault as fault:
        fault.kind = compression
        raise


def _open_text(text: _Peekable, compression: str | None, name: str) -> Container:
    head = text.peek(HEAD_BYTES)
    array = None
    is_list_file = split_name(name)[1] in LIST_SUFFIXES
    if _begins_array(head):
        if head.startswith(BOM):
            raise ContainerFault("starts with a byte-order mark (BOM): save the file as UTF-8 without BOM", line=1)
        array = JsonArray(text)
    elif is_list_file and (wrapping := wrapping_of(head)):
        array = _unwrapped(text, wrapping)
    elif why := _why_not_lines(head, is_list_file=is_list_file):
        raise ContainerFault(why, line=1)
    kinds = [kind for kind in (compression, "json_array" if array else None) if kind]
    return Container("+".join(kinds) or None, head, array or text, array)


def _unwrapped(text: _Peekable, wrapping: Wrapping) -> JsonArray:
    text.read(len(wrapping.before))
    return JsonArray(text, wrapping)


def describe_kind(kind: str) -> str:
    """The kind of a container in words: `a JSON list in gzip data`."""
    return " in ".join(KIND_NAMES[part] for part in reversed(kind.split("+")))


class _Peekable:
    """A source whose beginning can be looked at before it is read."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._start = b""

    def peek(self, size: int) -> bytes:
        """The first `size` bytes, fewer when there are no more."""
        while len(self._start) < size and (more := self._source.read(size - len(self._start))):
            self._start += more
        return self._start[:size]

    def read(self, size: int, /) -> bytes:
        if not self._start:
            return self._source.read(size)
        data, self._start = self._start[:size], self._start[size:]
        return data


def _begins_array(head: bytes) -> bool:
    """True for a list of rows; False for JSON lines, even if wrong ones that hold a list each."""
    text = head.removeprefix(BOM).lstrip(JSON_SPACE)
    first, _, rest = text.partition(b"\n")
    return text.startswith(b"[") and not (rest.lstrip(JSON_SPACE).startswith(b"[") and is_value(first))


def _why_not_lines(head: bytes, *, is_list_file: bool) -> str | None:
    """Why a file that begins with an object is not one object per line; None when it is, or is broken otherwise.

    Unless its name lets expect it (`is_list_file`), that must be certain: a line may be cut off in the middle.
    """
    text = head.lstrip(JSON_SPACE).decode("utf-8", "replace")
    first, newline, _ = text.partition("\n")
    if not text.startswith("{") or not newline or is_value(first.encode()):
        return None
    cut = False
    try:
        # A line break within a string is another fault, which jq does not mend.
        _, end = (_scan if is_list_file else _scan_strictly)(text)
        if end <= len(first):
            return None  # on one line, and no strict JSON, such as NaN
    except RecursionError:
        return None
    except json.JSONDecodeError as error:
        if error.pos < len(first):
            return None  # the first line is broken in itself, which the gates tell better
        cut = len(head) == HEAD_BYTES
        if not is_list_file and not (cut and _INDENTED.match(text)):
            return None
        end = len(text)
    key = first_list_key(head)
    hint = "jq -c . FILE > rows.jsonl writes each on a line of its own"
    if text[end:].strip():
        return f"JSON objects that are spread over several lines, and no list: {hint}"
    if key is not None and key not in _ROW_COLUMNS:
        hint = unwrap_hint(key)
    elif cut:
        return f"JSON that is spread over several lines, and no list: {hint}"
    return f"a single JSON object, spread over several lines, and neither a list nor one row per line: {hint}"


_ROW_COLUMNS = ("messages", "conversations", "conversation")
"""Columns that hold a list in a single row."""

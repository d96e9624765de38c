"""Says in words why a line is not the strict JSON that the realm reads, and where in it, as far as that is known."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from arena.gatekeepers.scrolls.json_keys import TOO_DEEP
from arena.gatekeepers.scrolls.json_lines import JSON_SPACE, UNDECODABLE, decode

_STRING_OR_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<constant>NaN|-?Infinity)')
_ESCAPE = re.compile(r"\\(?:u(?P<unit>[0-9a-fA-F]{4})|.)")


class _ConstantFoundError(Exception):
    """NaN or Infinity stands in the text."""


def explain_fault(line: bytes) -> str:
    """Why `decode` refuses this line, or this item of a list, which may have several lines.

    Columns count characters from 1; bytes where it is not text.
    """
    if (at := line.find(b"\0")) >= 0:
        return f"holds a NUL byte at byte {at + 1}: this is binary, not text"
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"is not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1}"
    if text.startswith("\ufeff"):
        return "starts with a byte-order mark (BOM): save the file as UTF-8 without BOM"
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except _ConstantFoundError:
        return _explain_constant(text)
    except json.JSONDecodeError as error:
        return f"is not valid JSON: {error.msg} ({_place(text, error.pos)}){_spread_hint(line)}"
    except RecursionError:
        return f"is {TOO_DEEP}"
    except ValueError as error:  # an integer of thousands of digits
        return f"is not valid JSON: {error}"
    return _explain_surrogate(text) or _explain_refusal(line)


def _refuse_constant(name: str) -> NoReturn:
    raise _ConstantFoundError(name)


def _explain_constant(text: str) -> str:
    for match in _STRING_OR_CONSTANT.finditer(text):
        if name := match["constant"]:
            return f"holds {name} ({_place(text, match.start())}), which is no JSON value; write null or a number"
    return "holds NaN or Infinity, which are no JSON values; write null or a number"


def _explain_surrogate(text: str) -> str | None:
    high: re.Match[str] | None = None
    for match in _ESCAPE.finditer(text):
        unit = int(match["unit"] or "0", 16)
        follows = high is not None and match.start() == high.end()
        if 0xDC00 <= unit <= 0xDFFF and follows:
            high = None
            continue
        if high is not None:
            break
        if 0xD800 <= unit <= 0xDBFF:
            high = match
        elif 0xDC00 <= unit <= 0xDFFF:
            return _lone(match)
    return _lone(high) if high else None


def _lone(match: re.Match[str]) -> str:
    place = _place(match.string, match.start())
    return f"holds a lone surrogate {match[0]} ({place}): half a character, which no text can hold"


def _place(text: str, at: int) -> str:
    column = at - text.rfind("\n", 0, at)
    return f"line {text.count(chr(10), 0, at) + 1} of it, column {column}" if "\n" in text else f"column {column}"


def _explain_refusal(line: bytes) -> str:
    try:
        decode(line)
    except UNDECODABLE as error:
        return f"is not valid JSON: {error}"
    return "is not valid JSON"


def _spread_hint(line: bytes) -> str:
    if line.strip(JSON_SPACE) in (b"{", b"[", b"[{"):
        return "; each row must be one JSON object on one line, not spread over several"
    return ""

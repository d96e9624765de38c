"""Where a value in JSON text ends, also where the text is cut off or the value is no valid JSON."""

from __future__ import annotations

import json
import re

RESYNC_BYTES = 1 << 20
"""Text in which the end of a broken value is looked for."""

LONGEST_WORD = 16
"""An error this close to the end of a text may come from the cut: `-Infinity` has 9 signs, an escaped pair 12."""

_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_NESTING = re.compile(rb'"' + _INSIDE + rb'"|[\[\]{}"]', re.DOTALL)
_BRACKET_OR_QUOTE = re.compile(rb'[\[\]{}"]')
_REST_OF_STRING = re.compile(_INSIDE, re.DOTALL)
TO_SPACES = bytes.maketrans(b"\r\n", b"  ")
"""Puts on one line what lies outside of strings."""
TO_RETURNS = bytes.maketrans(b"\n", b"\r")
"""The same inside of strings, where line ends are forbidden: the gates must still find something that is."""

_CLOSING = {b"{": b"}", b"[": b"]"}
_WORD = re.compile(rb"[^,\]\r\n]*")

_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
"""Lets through NaN and numbers of any length, which are for the gates to judge."""


class Incomplete(Exception):
    """The text ends before the value does, and more of it may come."""


class Endless(Exception):
    """The value has no end, or none that can be told; the message says why."""

    def __init__(self, message: str, at: int | None = None, *, cut_off: bool = False) -> None:
        super().__init__(message)
        self.at = at
        """Where in the text the fault lies, if known."""
        self.cut_off = cut_off


def end_of_value(text: bytes, signs: str, start: int, *, whole: bool) -> tuple[int, bool]:
    """Where the value ends that starts at `start`, and whether it is valid JSON; if not, its brackets tell the end.

    `signs` is `text` with one sign for each byte. Raises `Incomplete` while the text is not `whole`, and `Endless`.
    """
    at: int | None = None
    try:
        return _scan(signs, start)[1], True
    except json.JSONDecodeError as error:
        is_cut = error.msg.startswith("Unterminated string") or error.pos > len(text) - LONGEST_WORD
        why, at = f"is not valid JSON ({error.msg})", error.pos
    except RecursionError:
        is_cut = False
        why = "is nested too deep"
    if is_cut and not whole:
        raise Incomplete
    end = _matching_end(text, start)
    if end is not None:
        return end, False
    if not whole and len(text) - start < RESYNC_BYTES:
        raise Incomplete
    if is_cut:
        raise Endless("has no end: the file was cut off, or a bracket or quote is missing", cut_off=True)
    raise Endless(why, at)


def _matching_end(text: bytes, start: int) -> int | None:
    """Where something that does not parse ends, by its brackets or as a bare word; None when that cannot be told."""
    if text[start : start + 1] not in (b"{", b"[", b'"'):
        word = _WORD.match(text, start)
        return word.end() if word else None
    awaited: list[bytes] = []
    for token in _NESTING.finditer(text, start, start + RESYNC_BYTES):
        sign = token[0]
        if sign in _CLOSING:
            awaited.append(_CLOSING[sign])
        elif sign == b'"' or (sign in (b"}", b"]") and awaited.pop() != sign):
            return None
        if not awaited:
            return token.end()
    return None


class LargeItem:
    """An object, list or string that comes in pieces, as it is too large to be held: put on one line as it passes."""

    def __init__(self) -> None:
        self._awaited: list[bytes] = []
        self._in_string = False
        self._is_escaped = False
        """The last piece ended with a backslash inside of a string."""

    def take(self, piece: bytes) -> tuple[bytes, int | None]:
        """The next piece without line ends, and where in it the item ends, if it does; raises `Endless`."""
        at, parts = 0, []
        while at < len(piece):
            start, inside = at, self._in_string
            at = self._pass_string(piece, at) if inside else self._pass_structure(piece, at)
            parts.append(piece[start:at].translate(TO_RETURNS if inside else TO_SPACES))
            if not self._awaited and not self._in_string:
                return b"".join(parts), at
        return b"".join(parts), None

    def _pass_structure(self, piece: bytes, at: int) -> int:
        """Behind the next bracket or quote."""
        found = _BRACKET_OR_QUOTE.search(piece, at)
        if found is None:
            return len(piece)
        sign = found[0]
        if sign == b'"':
            self._in_string = True
        elif sign in _CLOSING:
            self._awaited.append(_CLOSING[sign])
        elif self._awaited.pop() != sign:
            raise Endless("is not valid JSON (its brackets do not match)", found.start())
        return found.end()

    def _pass_string(self, piece: bytes, at: int) -> int:
        """Behind the end of the string."""
        if self._is_escaped:
            self._is_escaped = False
            return at + 1
        found = _REST_OF_STRING.match(piece, at)
        assert found is not None
        if piece[found.end() : found.end() + 1] == b'"':
            self._in_string = False
            return found.end() + 1
        # What is left is nothing, or a backslash that lost its sign.
        self._is_escaped = found.end() < len(piece)
        return len(piece)

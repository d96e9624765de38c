"""The items of a JSON list, each as one line of text, in bounded memory.

The text of an item stays as it was written, so that the gates find in it what they would find in a line of JSONL.
Only its line ends change: outside of strings they become spaces. Inside of strings they are forbidden, and so is the
`\\r` that they become there.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from arena.gatekeepers.scrolls.compressed_streams import ContainerFault
from arena.gatekeepers.scrolls.json_items import (
    LONGEST_WORD,
    TO_RETURNS,
    TO_SPACES,
    Endless,
    Incomplete,
    LargeItem,
    end_of_value,
)
from arena.gatekeepers.scrolls.json_lines import JSON_SPACE, ByteSource
from arena.gatekeepers.scrolls.wrapped_lists import MOST_AFTER, Wrapping

WINDOW_BYTES = 256 * 1024
"""Text that is looked at at once; up to `LARGE_BYTES` where an item is larger."""

LARGE_BYTES = 2 << 20
"""An item that is not over by then is passed on as it comes, and is never held whole."""

GUESSES = 3
"""Places that are tried for the gap between two items before all items are looked at one by one."""

_AFTER_ITEM = re.compile(rb"[ \t\r\n]*([,\]])?[ \t\r\n]*")
_SIGNATURE = re.compile(rb'[}\]][ \t\r\n]*,[ \t\r\n]*(?:\{[ \t\r\n]*"[^"\\]{0,40}"|\[)')

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Ten times as fast as looking for the end of each item. Never lets through a line end inside of a string."""


@dataclass(frozen=True)
class _Batch:
    """Items in a row and the text that they stand in."""

    first: int
    """Number of the first item, from 1."""
    line: int
    """Line of the file in which it starts."""
    items: Sequence[bytes | msgspec.Raw]
    text: bytes

    def place_of(self, item: int) -> tuple[int, int, int]:
        """Line of an item, and where in `text` it starts and ends."""
        start = 0
        for before in self.items[: item - self.first]:
            start = _match(_AFTER_ITEM, self.text, start + len(memoryview(before))).end()
        end = start + len(memoryview(self.items[item - self.first]))
        return self.line + self.text.count(b"\n", 0, start), start, end


class JsonArray:
    """The lines that the items of one list make. Reading raises `ContainerFault` where the list itself is broken."""

    def __init__(self, source: ByteSource, wrapping: Wrapping | None = None) -> None:
        """`source` starts with `[`, or with white space before it; `wrapping` is the object around the list."""
        self._source = source
        self._wrapping = wrapping
        self._ended = False
        """Nothing more comes from the source."""
        self._text = b""
        """What was read and not cut yet; begins with an item once the list has begun."""
        self._line = 1 + (wrapping.before.count(b"\n") if wrapping else 0)
        """Line of the file in which `_text` begins."""
        self._item = 0
        """Number of the item that `_text` begins with; 0 before the list has begun."""
        self._stuck = False
        """The window did not hold a whole item."""
        self._large: LargeItem | None = None
        """The item that is being passed on."""
        self._signature = b""
        """What stood between two items: where it stands again, two items probably meet."""
        self._closed = False
        self._fault: ContainerFault | None = None
        """To be raised after what was found before it."""
        self._ready = memoryview(b"")
        self._batches: deque[_Batch] = deque()

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes of lines; none after the last item."""
        while not self._ready:
            if self._fault is not None:
                raise self._fault
            if self._closed:
                return b""
            self._cut_some()
        data, self._ready = bytes(self._ready[:size]), self._ready[size:]
        return data

    def line_of(self, item: int) -> int | None:
        """Line of the file in which an item starts; None for an item that was forgotten."""
        batch = self._batch_of(item)
        return batch.place_of(item)[0] if batch else None

    def text_of(self, item: int) -> bytes | None:
        """An item as it stands in the file, over several lines perhaps; None for one that is large or forgotten."""
        batch = self._batch_of(item)
        if batch is None:
            return None
        _, start, end = batch.place_of(item)
        return batch.text[start:end] or None

    def forget_before(self, item: int) -> None:
        """Nobody will ask for earlier items any more."""
        while self._batches and self._batches[0].first + len(self._batches[0].items) <= item:
            self._batches.popleft()

    def _batch_of(self, item: int) -> _Batch | None:
        return next((batch for batch in self._batches if 0 <= item - batch.first < len(batch.items)), None)

    # --- cutting ----------------------------------------------------------------------------------------------

    def _cut_some(self) -> None:
        """Make some lines ready, or read more, or note a fault or the end."""
        self._fill(WINDOW_BYTES + (min(2 * len(self._text), LARGE_BYTES) if self._stuck else 0))
        if self._item == 0:
            self._open()
        elif self._large is not None:
            self._pass_on(self._large)
        elif not self._cut_at_signature():
            self._cut_one_by_one()

    def _open(self) -> None:
        """Get to the first item; an empty list ends here."""
        self._skip_space()
        self._drop(len(b"["))
        self._skip_space()
        self._item = 1
        if self._text.startswith(b"]"):
            self._drop(len(b"]"))
            self._close()

    def _fill(self, wanted: int) -> None:
        pieces, have = [self._text], len(self._text)
        while have < wanted and not self._ended:
            piece = self._source.read(min(wanted - have, WINDOW_BYTES))
            self._ended = not piece
            pieces.append(piece)
            have += len(piece)
        self._text = b"".join(pieces)

    def _drop(self, size: int) -> None:
        self._line += self._text.count(b"\n", 0, size)
        self._text = self._text[size:]

    def _skip_space(self) -> None:
        """Get to the next sign that is no white space, if there is one."""
        self._drop(len(self._text) - len(self._text.lstrip(JSON_SPACE)))
        while not self._text and not self._ended:
            self._fill(WINDOW_BYTES)
            self._drop(len(self._text) - len(self._text.lstrip(JSON_SPACE)))

    def _emit(self, items: Sequence[bytes | msgspec.Raw], lines: bytes, end: int, next_item: int) -> None:
        """Hand out `lines`, made of `items`, which lie in `_text` before `end`."""
        self._batches.append(_Batch(self._item, self._line, items, self._text[:end]))
        self._ready = memoryview(lines)
        self._item += len(items)
        self._stuck = False
        self._drop(next_item)

    def _cut_at_signature(self) -> bool:
        """Cut off all items before the last place that looks like the gap between two items; False without one."""
        cut = len(self._text)
        for _ in range(GUESSES if self._signature else 0):
            cut = self._text.rfind(self._signature, 0, cut)
            if cut < 0:
                return False
            end = cut + 1
            try:
                items = _split(b"[%b]" % self._text[:end].replace(b"\n", b"\r"))
            except (ValueError, RecursionError):
                continue
            # What makes a whole list between brackets was cut between two items, not within one.
            lines = b"\n".join([*items, b""]).replace(b"\r", b" ")
            self._emit(items, lines, end, _match(_AFTER_ITEM, self._text, end).end())
            return True
        return False

    def _cut_one_by_one(self) -> None:
        """Cut off whole items as far as the window reaches."""
        window = self._text.decode("latin-1")  # one sign for one byte, whatever the bytes mean
        items: list[bytes] = []
        end = at = 0
        try:
            while not self._closed:
                ends, is_valid = self._end_of_item(window, at, self._item + len(items))
                after = _match(_AFTER_ITEM, self._text, ends)
                unknown = LONGEST_WORD if after[1] is None else 1  # a number that is cut may end in `1.` or `1e+`
                if len(window) - after.end() < unknown and not self._ended:
                    break
                if items and (gap := _SIGNATURE.match(self._text, end - 1)):
                    self._signature = gap[0]
                items.append(self._text[at:ends].translate(TO_SPACES if is_valid else TO_RETURNS))
                end, at = ends, after.end()
                self._closed = after[1] == b"]"
                if after[1] is None:
                    raise self._missed_comma(at, self._item + len(items))
        except Incomplete:
            pass
        except ContainerFault as fault:
            self._fault = fault
        if items:
            self._emit(items, b"\n".join([*items, b""]), end, at)
        elif self._fault is None:
            self._wait_for_more()
        if self._closed:
            self._close()

    def _wait_for_more(self) -> None:
        self._stuck = len(self._text) < LARGE_BYTES
        if self._stuck:
            return
        if self._text[:1] not in (b"{", b"[", b'"'):
            self._fault = self._broken("is not valid JSON, and has no end that could be told", 0, self._item)
            return
        self._large = LargeItem()
        self._batches.append(_Batch(self._item, self._line, (b"",), b""))
        self._item += 1

    def _pass_on(self, item: LargeItem) -> None:
        """Hand out the next piece of a large item."""
        try:
            line, end = item.take(self._text)
        except Endless as endless:
            self._fault = self._endless(endless, 0, self._item - 1)
            return
        self._ready = memoryview(line)
        self._drop(len(self._text) if end is None else end)
        if end is not None:
            self._large = None
            self._ready = memoryview(line + b"\n")
            self._go_on()
        elif self._ended:
            self._fault = self._broken(
                "has no end: the file was cut off, or a bracket or quote is missing", 0, self._item - 1, incomplete=True
            )

    def _go_on(self) -> None:
        """Get from the end of a large item to the next one."""
        self._skip_space()
        if self._text.startswith(b"]"):
            self._drop(len(b"]"))
            self._close()
        elif self._text.startswith(b","):
            self._drop(len(b","))
            self._skip_space()
        else:
            self._fault = self._missed_comma(0, self._item)

    def _close(self) -> None:
        """The list has ended; nothing may follow, but the rest of an object around it."""
        self._closed = True
        self._skip_space()
        if self._wrapping is not None:
            self._fill(MOST_AFTER + 1)
            if fault := self._wrapping.fault(self._text):
                self._fault = self._broken(fault, 0, None, incomplete=not self._text)
        elif self._text:
            self._fault = self._broken("more text follows the end of the list; one file holds one list", 0, None)

    # --- what is no item --------------------------------------------------------------------------------------

    def _end_of_item(self, window: str, at: int, item: int) -> tuple[int, bool]:
        """Where the item ends that starts `at`, and whether it is valid; raises `Incomplete` and `ContainerFault`."""
        if at == len(window):
            if self._ended:
                raise self._broken("is missing: the file was cut off before it", at, item, incomplete=True)
            raise Incomplete
        if window[at] in ",]":
            found = "a comma" if window[at] == "," else "the closing bracket"
            raise self._broken(f"is missing: {found} follows the comma before it", at, item)
        try:
            return end_of_value(self._text, window, at, whole=self._ended)
        except Endless as endless:
            raise self._endless(endless, at, item) from endless

    def _endless(self, endless: Endless, at: int, item: int) -> ContainerFault:
        what = str(endless)
        if not endless.cut_off:
            place = f" in line {self._line_at(endless.at)}" if endless.at is not None else ""
            what += f"{place}, and where it ends cannot be told; what follows it was not read"
        return self._broken(what, at, item, incomplete=endless.cut_off)

    def _missed_comma(self, at: int, item: int) -> ContainerFault:
        if at == len(self._text):
            return self._broken("no bracket closes the list: the file was cut off", at, None, incomplete=True)
        return self._broken("follows the item before it without a comma between them", at, item)

    def _broken(self, message: str, at: int, item: int | None, *, incomplete: bool = False) -> ContainerFault:
        return ContainerFault(message, line=self._line_at(at), item=item, incomplete=incomplete)

    def _line_at(self, at: int) -> int:
        return self._line + self._text.count(b"\n", 0, at)


def _match(pattern: re.Pattern[bytes], text: bytes, at: int) -> re.Match[bytes]:
    """For patterns that match anywhere."""
    found = pattern.match(text, at)
    assert found is not None
    return found

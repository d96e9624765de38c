"""JSON lists cut into their items: the same items whatever the pieces, each with the line that it starts in."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.scrolls import json_arrays
from arena.gatekeepers.scrolls.compressed_streams import ContainerFault
from arena.gatekeepers.scrolls.json_arrays import JsonArray

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


class Dribble:
    """A source that gives pieces of odd sizes, as sockets and decompressors do."""

    def __init__(self, data: bytes, seed: int) -> None:
        self._stream = io.BytesIO(data)
        self._random = random.Random(seed)

    def read(self, size: int, /) -> bytes:
        return self._stream.read(self._random.randint(1, size))


def lines_of(data: bytes, *, size: int = 1000, seed: int = 0) -> list[bytes]:
    array = JsonArray(Dribble(data, seed))
    text = b""
    while piece := array.read(size):
        assert len(piece) <= size
        text += piece
    assert not text or text.endswith(b"\n")
    return text.split(b"\n")[:-1]


def fault_of(data: bytes) -> tuple[int, ContainerFault]:
    """How many items come before the fault, and the fault."""
    array, found = JsonArray(io.BytesIO(data)), 0
    try:
        while piece := array.read(1000):
            found += piece.count(b"\n")
    except ContainerFault as fault:
        return found, fault
    raise AssertionError("no fault was found")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_arrays, "WINDOW_BYTES", 50)


@settings(deadline=None, max_examples=100)
@given(
    values=st.lists(VALUES, max_size=12),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
    window=st.integers(1, 300),
    large=st.integers(100, 2000),
    seed=st.integers(0, 1000),
)
@example(values=[{"a": [{"a": 1}, {"a": 2}]}] * 12, indent=None, ascii_only=True, window=100, large=900, seed=1)
@example(values=['}, {"a"', {"a": '}, {"a"'}] * 6, indent=2, ascii_only=True, window=64, large=100, seed=1)
def test_every_window_and_every_piece_give_the_same_items(
    values: list[Any], indent: int | None, ascii_only: bool, window: int, large: int, seed: int
) -> None:
    data = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "WINDOW_BYTES", window)
        patch.setattr(json_arrays, "LARGE_BYTES", large)
        found = lines_of(data, size=window + 7, seed=seed)

    def written(value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    assert [written(json.loads(line)) for line in found] == list(map(written, values))
    if indent is None:
        assert found == list(map(written, values))


FAULTY_ITEMS = (
    b'{"a": 1, "a": 2}',
    b'{"a": NaN}',
    b"-Infinity",
    b'"\\ud83d"',
    b'"\xff\xfe"',
    b'{"n": 1' + b"0" * 5000 + b"}",
    b'{"a":\n\t[1,\r\n 2]}',
    b"1E400",
    b'{"\\u0061": "\\"}, {"}',
    b"[" * 200 + b"]" * 200,
    b'{"a" 1}',
    b"{'a': 1}",
    b"{,}",
    b"tru",
    b'"\x00"',
    b'"tab\there"',
    b'{"a": [1 2 {}], }',
)


@settings(deadline=None, max_examples=100)
@given(
    items=st.lists(st.sampled_from(FAULTY_ITEMS)),
    gaps=st.sampled_from([b",", b", ", b"\n,\n\n", b",\r\n    "]),
    window=st.integers(1, 300),
    large=st.integers(100, 2000),
)
def test_the_text_of_an_item_stays_whatever_is_wrong_with_it(
    items: list[bytes], gaps: bytes, window: int, large: int
) -> None:
    """Duplicate keys, NaN, lone surrogates, broken UTF-8: the gates must find them as they find them in JSON lines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "WINDOW_BYTES", window)
        patch.setattr(json_arrays, "LARGE_BYTES", large)
        found = lines_of(b"[" + gaps.join(items) + b"]")
    blank = bytes.maketrans(b"\r\n", b"  ")
    assert [line.translate(blank) for line in found] == [item.translate(blank) for item in items]


def test_line_ends_become_spaces_but_never_inside_of_strings(narrow: None) -> None:
    """A line end inside of a string makes it invalid, and must not be mended in passing."""
    good = b'[{"a":\n  "x y",\r\n "b": [\n]}, {"a": "x\ny"}, {"a": "x\ry"},\n{"a": "x"}]'
    assert lines_of(good) == [b'{"a":   "x y",   "b": [ ]}', b'{"a": "x\ry"}', b'{"a": "x\ry"}', b'{"a": "x"}']


@pytest.mark.parametrize("window", [20, 200, 100_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_items_are_found_again_by_their_lines(monkeypatch: pytest.MonkeyPatch, window: int, indent: int | None) -> None:
    monkeypatch.setattr(json_arrays, "WINDOW_BYTES", window)
    rows = [{"messages": [{"number": number, "text": "x" * (number % 70)}]} for number in range(100)]
    data = b"\n\n [\n" + json.dumps(rows, indent=indent).encode()[1:]
    array = JsonArray(io.BytesIO(data))
    found = 0
    while piece := array.read(97):
        first, found = found + 1, found + piece.count(b"\n")
        for item in range(max(first, 1), found + 1):
            line, text = array.line_of(item), array.text_of(item)
            assert line is not None
            assert text is not None
            assert json.loads(text) == rows[item - 1]
            assert text.split(b"\n")[0] in data.split(b"\n")[line - 1]
    assert found == 100
    array.forget_before(100)
    assert (array.line_of(99) is None) == (window < 100_000)
    assert array.line_of(100) is not None
    assert array.line_of(101) is None


def test_the_lines_of_a_pretty_printed_list_are_exact(narrow: None) -> None:
    rows = [{"n": list(range(number % 4))} for number in range(50)]
    data = json.dumps(rows, indent=1)
    array, starts, line = JsonArray(io.BytesIO(data.encode())), [], 2
    for row in rows:
        starts.append(line)
        line += len(json.dumps(row, indent=1).splitlines())
    lines, read = [], b""
    while piece := array.read(1):
        read += piece
        if piece == b"\n":
            lines.append(array.line_of(len(lines) + 1))
    assert lines == starts


@pytest.mark.parametrize(
    ("data", "items", "line", "item", "reason"),
    [
        (b"[", 0, 1, 1, "cut off before it"),
        (b'[{"a": 1},\n{"a": 2},', 2, 2, 3, "cut off before it"),
        (b'[{"a": 1},\n{"a": 2}\n', 2, 3, None, "no bracket closes the list: the file was cut off"),
        (b'[{"a": 1},\n\n{"a": [1,\n 2', 1, 3, 2, "has no end: the file was cut off, or a bracket or quote is missing"),
        (b'[{"a": 1},\n"abc', 1, 2, 2, "has no end: the file was cut off, or a bracket or quote is missing"),
    ],
)
def test_a_list_that_was_cut_off_is_incomplete(data: bytes, items: int, line: int, item: int, reason: str) -> None:
    found, fault = fault_of(data)
    assert (found, fault.line, fault.item, fault.incomplete) == (items, line, item, True)
    assert reason in str(fault)


@pytest.mark.parametrize(
    ("data", "items", "line", "item", "reason"),
    [
        (b"[1,\n2,\n]", 2, 3, 3, "is missing: the closing bracket follows the comma"),
        (b"[1,\n,2]", 1, 2, 2, "is missing: a comma follows the comma"),
        (b'[{"a": 1}\n{"a": 2}]', 1, 2, 2, "follows the item before it without a comma"),
        (b"[1]\n\n[2]", 1, 3, None, "more text follows the end of the list"),
        (b"[]\n}", 0, 2, None, "more text follows the end of the list"),
        (b'[{"a": 1},\n{"a": [1, 2},\n{"a": 3}]' + b" " * 100, 1, 2, 2, "',' delimiter) in line 2, and where it ends"),
    ],
)
def test_a_list_that_is_broken_is_told_with_item_and_line(
    narrow: None, data: bytes, items: int, line: int, item: int | None, reason: str
) -> None:
    found, fault = fault_of(data)
    assert (found, fault.line, fault.item, fault.incomplete) == (items, line, item, False)
    assert reason in str(fault)


def test_a_large_item_is_passed_on_as_it_comes_and_never_held() -> None:
    """The limit on lines is held by the one who reads them, so that what follows a monster is read as well."""
    story = b'{"a":\n "' + rb"x \" ]}, {\"a\" " * 1_000_000 + b'"}'
    array = JsonArray(io.BytesIO(b'[{"a": 1},\n\n' + story + b'\n, {"a": 3}]'))
    assert array.read(11) == b'{"a": 1}\n'
    size, ends = 0, 0
    tracemalloc.start()
    try:
        while piece := array.read(16_384):
            size, ends = size + len(piece), ends + piece.count(b"\n")
            if ends == 0:
                assert (array.line_of(2), array.text_of(2)) == (3, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (size, ends) == (len(story) + 1 + len(b'{"a": 3}\n'), 2)
    assert peak < 9_000_000
    assert array.line_of(3) == 5


@pytest.mark.parametrize(
    ("end", "reason", "incomplete"),
    [
        (b"", "has no end: the file was cut off, or a bracket or quote is missing", True),
        (b'"}', "no bracket closes the list: the file was cut off", True),
        (b'"]', "its brackets do not match) in line 2, and where it ends cannot be told", False),
        (b'"}\n,', "is missing: the file was cut off before it", True),
        (b'"} {', "follows the item before it without a comma", False),
        (b'"}] {', "more text follows the end of the list", False),
    ],
)
def test_what_is_wrong_behind_a_large_item_is_told(
    monkeypatch: pytest.MonkeyPatch, narrow: None, end: bytes, reason: str, incomplete: bool
) -> None:
    monkeypatch.setattr(json_arrays, "LARGE_BYTES", 200)
    found, fault = fault_of(b'[{"a": 1},\n{"a": "' + b"x" * 1000 + end)
    assert found == (2 if end.startswith(b'"}') else 1)
    assert reason in str(fault)
    assert fault.incomplete == incomplete


def test_an_empty_list_has_no_lines(narrow: None) -> None:
    assert lines_of(b"[]") == lines_of(b"\n [ \n ]" + b"\n" * 200) == []

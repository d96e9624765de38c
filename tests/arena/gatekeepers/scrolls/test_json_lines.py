"""How files fall into lines: the same lines whatever the size of the blocks."""

from __future__ import annotations

import io

from hypothesis import example, given, settings
from hypothesis import strategies as st

from arena.gatekeepers.scrolls.json_lines import Block, lines_of, read_blocks

FILES = st.lists(st.binary(max_size=40)).map(b"\n".join)


def numbered_lines(data: bytes, *, block_bytes: int, max_line_bytes: int) -> list[tuple[int, bytes | int]]:
    found: list[tuple[int, bytes | int]] = []
    for block in read_blocks(io.BytesIO(data), block_bytes=block_bytes, max_line_bytes=max_line_bytes):
        if block.too_long:
            found.append((block.first_line, block.too_long))
        else:
            found += lines_of(block)
    return found


@settings(deadline=None)
@given(data=FILES, block_bytes=st.integers(1, 20), max_line_bytes=st.integers(20, 30))
@example(data=b"a" * 10 + b"\nb", block_bytes=3, max_line_bytes=10)
@example(data=b"a" * 11 + b"\nb", block_bytes=3, max_line_bytes=10)
@example(data=b"b\n" + b"a" * 11, block_bytes=3, max_line_bytes=10)
def test_every_block_size_gives_the_same_lines(data: bytes, block_bytes: int, max_line_bytes: int) -> None:
    """A block is never larger than the longest line allowed, as in the realm."""
    expected: list[tuple[int, bytes | int]] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > max_line_bytes:
            expected.append((number, len(line)))
        elif line.strip(b" \t\r\n"):
            expected.append((number, line))
    assert numbered_lines(data, block_bytes=block_bytes, max_line_bytes=max_line_bytes) == sorted(expected)


def test_blocks_end_at_line_ends() -> None:
    blocks = list(read_blocks(io.BytesIO(b"one\ntwo\nthree"), block_bytes=9))
    assert blocks == [Block(1, b"one\ntwo\n"), Block(3, b"three")]

"""Every kind of line that is no strict JSON has a reason that people understand."""

from __future__ import annotations

import pytest

from arena.gatekeepers.scrolls.json_faults import explain_fault
from arena.gatekeepers.scrolls.json_lines import UNDECODABLE, decode


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": tru}', "column 7"),
        (b'{"a": 1', "column 8"),
        (b'{"a": 1,}', "column 9"),
        (b"{'a': 1}", "column 2"),
        (b'{"a": 1} {"a": 2}', "Extra data (column 10)"),
        (b'{"a": "x\ty"}', "control character"),
        (b'{"a": "\\x41"}', "escape"),
        (b"{", "on one line, not spread"),
        (b'{"a": "NaN", "b": NaN}', "holds NaN (column 19)"),
        (b'{"a": -Infinity}', "holds -Infinity (column 7)"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not valid JSON"),
        (b'{"a": "\\ud83d"}', "lone surrogate \\ud83d (column 8)"),
        (b'{"a": "\\ude00\\ud83d"}', "lone surrogate \\ude00 (column 8)"),
        (b'{"a": "\\ud83d\\ud83d\\ude00"}', "lone surrogate \\ud83d (column 8)"),
        (b'{"a": "\\\\ud83d \\ud83dx"}', "lone surrogate \\ud83d (column 16)"),
        (b'{"a": "\xed\xa0\xbd"}', "not UTF-8: byte 0xed at byte 8"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff at byte 8"),
        (b'{"a": "\xc3', "not UTF-8"),
        (b'{"a": "\x00"}', "NUL byte at byte 8"),
        (b"\xef\xbb\xbf{}", "byte-order mark"),
        (b"[" * 5000 + b"]" * 5000, "nested deeper"),
        (b"{}\x0c", "column 3"),
    ],
)
def test_a_line_that_is_no_json_is_explained(line: bytes, reason: str) -> None:
    with pytest.raises(UNDECODABLE):
        decode(line)
    assert reason in explain_fault(line)


@pytest.mark.parametrize("line", [b'"\\ud83d\\ude00"', b'"\\\\ud83d"', b'"\xf0\x9f\x98\x80"', b'"\\u0000"', b"[]"])
def test_a_line_that_is_json_is_decoded(line: bytes) -> None:
    decode(line)

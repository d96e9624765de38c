"""Compressed files and JSON lists at the gates: read as the JSON lines inside, or turned away in words that help."""

from __future__ import annotations

import gzip
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.rejection import describe_verdict
from arena.gatekeepers.scrolls import measured_source, unpacked_file
from core.errors import Unavailable
from tests.arena.gatekeepers.scroll_making import chat, lines, told

ROWS = [chat(f"answer {number}") for number in range(40)]
LINES = lines(*ROWS)
LIST = json.dumps(ROWS).encode()
PRETTY = json.dumps(ROWS, indent=2).encode()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def judge(folder: Path, name: str, data: bytes) -> dict[str, Any]:
    """The verdict on a file of that name; what is unpacked lies in `folder/unpacked/rows.jsonl`."""
    (folder / name).write_bytes(data)
    return inspect_file(str(folder / name), str(folder / "unpacked" / "rows.jsonl"))


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("x.jsonl.gz", gzip.compress(LINES), "gzip"),
        ("x.jsonl.gz", gzip.compress(LINES[:2000]) + gzip.compress(LINES[2000:]), "gzip"),
        ("x.jsonl.zst", zstd(LINES), "zstd"),
        ("x.json", LIST, "json_array"),
        ("x.json", PRETTY, "json_array"),
        ("x.json", PRETTY.replace(b"\n", b"\r\n"), "json_array"),
        ("x.json.gz", gzip.compress(PRETTY), "gzip+json_array"),
        ("x.json.zst", zstd(LIST), "zstd+json_array"),
        ("x.jsonl", gzip.compress(LINES), "gzip"),
        ("x.jsonl", b"\n" + PRETTY + b"\n", "json_array"),
        ("x.jsonl.gz", zstd(LINES), "zstd"),
        ("x.json", json.dumps({"version": "1", "meta": [1], "data": ROWS, "n": 2}).encode(), "json_array"),
        ("x.json", json.dumps({"Größe": 40, "rows": ROWS}, indent=2, ensure_ascii=False).encode(), "json_array"),
        ("x.json.zst", zstd(json.dumps({"train": ROWS}, indent=2).encode()), "zstd+json_array"),
    ],
)
def test_what_is_inside_is_judged_and_written_out(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    """The first bytes tell what a file is, whatever its name says."""
    verdict = judge(tmp_path, name, data)
    assert (verdict["accepted"], verdict["rows"], verdict["errors"]) == (True, 40, [])
    assert verdict["container"] == {"kind": kind, "content_hash": blake3(data).hexdigest(), "size_bytes": len(data)}
    unpacked = tmp_path / "unpacked" / "rows.jsonl"
    text = unpacked.read_bytes()
    assert [json.loads(line) for line in text.splitlines()] == ROWS
    assert (verdict["content_hash"], verdict["size_bytes"]) == (blake3(text).hexdigest(), len(text))
    assert inspect_file(str(unpacked)) == {**verdict, "container": None}
    assert unpacked.stat().st_mtime_ns == (tmp_path / name).stat().st_mtime_ns
    assert stat.S_IMODE(unpacked.stat().st_mode) == stat.S_IMODE((tmp_path / name).stat().st_mode)
    assert describe_verdict(verdict)[0].startswith("accepted: 40 rows of chat_sft_v1, 0 warnings, read from ")


@pytest.mark.parametrize("name", ["x.json", "x.jsonl.gz", "x.jsonl.zst", "x.jsonl"])
def test_plain_lines_under_any_name_are_read_where_they_lie(tmp_path: Path, name: str) -> None:
    """Browsers unpack `.gz` files on their way and keep the name. No copy is made of lines."""
    verdict = judge(tmp_path, name, LINES)
    assert (verdict["accepted"], verdict["container"], verdict["content_hash"]) == (
        True,
        None,
        blake3(LINES).hexdigest(),
    )
    assert not (tmp_path / "unpacked").exists()


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json"])
def test_without_a_place_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(LIST))
    verdict = inspect_file(str(tmp_path / name))
    assert verdict == judge(tmp_path, name, gzip.compress(LIST))
    (tmp_path / "unpacked" / "rows.jsonl").unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["unpacked", name]


NESTED = {"version": "1", "meta": {"n": 2}, "data": ROWS[:3]}
SPLIT = {"train": ROWS[:3], "test": ROWS[3:]}
INDENTED = json.dumps(ROWS[0], indent=1).encode()
LONG = json.dumps(chat("a" * 20_000), indent=1).encode()

BROKEN: list[tuple[str, bytes, int | None, int | None, str]] = [
    ("x.jsonl.gz", gzip.compress(LINES)[:-30], None, None, "the gzip data end in the middle: the file was cut off"),
    ("x.jsonl.zst", zstd(LINES)[:-30], None, None, "the zstd data end in the middle: the file was cut off"),
    ("x.jsonl.gz", gzip.compress(LINES)[:-8] + bytes(8), None, None, "checksum inside the gzip data does not match"),
    ("x.jsonl.gz", gzip.compress(LINES) + LINES, None, None, "bytes that are no gzip data follow the gzip data"),
    ("x.jsonl.gz", gzip.compress(gzip.compress(LINES)), 1, None, "unpacked, this is gzip data"),
    ("x.jsonl.gz", gzip.compress(bytes(100_000)), 1, None, "unpacked, this is binary"),
    ("x.jsonl.gz", gzip.compress(LINES + b"{\n"), 41, None, "is not valid JSON"),
    ("x.jsonl.gz", gzip.compress(b"", mtime=0), 1, None, "the file is empty"),
    ("x.json", b"", 1, None, "the file is empty"),
    ("x.json", b"[]", 1, None, "the file holds an empty list"),
    ("x.json", PRETTY[:-2], 1 + PRETTY.count(b"\n") - 1, None, "no bracket closes the list: the file was cut off"),
    ("x.json", b"\xef\xbb\xbf" + PRETTY, 1, None, "byte-order mark (BOM)"),
    ("x.json", PRETTY.decode().encode("utf-16"), 1, None, "UTF-16 text"),
    ("x.json", PRETTY + b"\n[]", PRETTY.count(b"\n") + 2, None, "more text follows the end of the list"),
    ("x.json", b"[1, 2]", 1, 1, "a row must be a JSON object, found a number"),
    ("x.json", json.dumps(ROWS[0], indent=1).encode(), 1, None, "a single JSON object, spread over several lines"),
    ("x.json", json.dumps({"tales": ROWS[:3]}, indent=1).encode(), 1, None, "jq '.tales' FILE > rows.json"),
    ("x.json", json.dumps(SPLIT, indent=1).encode(), 39, None, "a second list of objects, under 'test'"),
    ("x.json", json.dumps(NESTED).encode()[:-1], 1, None, "under 'data': the file was cut off"),
    ("x.json", json.dumps(NESTED).encode() + b"{", 1, None, "before or after the list under 'data' is not valid JSON"),
    ("x.json", json.dumps({"data": ROWS[:3], "x": "y" * 70_000}).encode(), 1, None, "more than 64 KB follow"),
    ("x.jsonl", INDENTED * 3, 1, None, "JSON objects that are spread over several lines, and no list: jq -c . FILE"),
    ("x.jsonl.gz", gzip.compress(INDENTED), 1, None, "jq -c . FILE > rows.jsonl"),
    ("x.jsonl", LONG + LONG, 1, None, "JSON that is spread over several lines, and no list: jq -c . FILE"),
    ("x.jsonl", b'{"text": NaN}\n', 1, None, "holds NaN"),
    ("x.jsonl", b'{"text": "a\nb"}\n', 1, None, "is not valid JSON"),
    ("x.json", b'{\n "my rows": [' + b",".join([PRETTY[1:-1]] * 900) + b"]}", 1, None, """jq '.["my rows"]' FILE"""),
    ("x.json", json.dumps(ROWS[0], indent=1).encode() * 2, 1, None, "jq -c . FILE > rows.jsonl"),
    ("x.json", b'{"messages": [}\n' + LINES, 1, None, "is not valid JSON: Expecting value (column 15)"),
    ("x.json", LINES + b"[]\n", 41, None, "a row must be a JSON object, found a list"),
    ("x.jsonl", b"[1]\n[2]\n", 1, None, "a row must be a JSON object, found a list"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "line", "item", "reason"), BROKEN)
def test_a_broken_container_is_named_with_its_place(
    tmp_path: Path, name: str, data: bytes, line: int | None, item: int | None, reason: str
) -> None:
    verdict = judge(tmp_path, name, data)
    assert not verdict["accepted"]
    first = verdict["errors"][0]
    assert (first["line"], first.get("item")) == (line, item)
    assert reason in first["message"]
    assert verdict["incomplete"] == ("cut off" in reason)
    assert not (tmp_path / "unpacked" / "rows.jsonl").exists()
    if verdict["container"]:
        assert verdict["container"]["content_hash"] == blake3(data).hexdigest()


def test_an_object_around_the_rows_on_one_line_gets_advice_too(tmp_path: Path) -> None:
    verdict = judge(tmp_path, "x.jsonl", json.dumps({"train": ROWS}).encode())
    assert "no quest spec fits" in verdict["errors"][0]["message"]
    assert "jq '.train' FILE > rows.json" in verdict["errors"][1]["message"]


def test_every_fault_in_a_list_is_told_with_item_line_and_column(tmp_path: Path) -> None:
    """Duplicate keys, NaN and lone surrogates in a list are what they are in JSON lines."""
    good = json.dumps(ROWS[0], indent=2).encode()
    bad = [
        b'{"messages": [\n  {"role": NaN}]}',
        b'{"messages": 1,\n "messages": 2}',
        b'{"messages":\n  "\\ud83d"}',
        b'{"messages": [],\n\n "tags" []}',
        b'{"messages": "two\nlines"}',
        b'{"messages": []}',
        b"[" * 80 + b"]" * 80,
    ]
    items = [item for fault in bad for item in (good, fault)]
    starts = [2 + sum(before.count(b"\n") + 1 for before in items[:number]) for number in range(len(items))]
    verdict = judge(tmp_path, "x.json", b"[\n" + b",\n".join(items) + b"]")
    expected = [
        "holds NaN (line 2 of it, column 12)",
        "the key 'messages' stands twice",
        "lone surrogate \\ud83d (line 2 of it, column 4)",
        "Expecting ':' delimiter (line 3 of it, column 9)",
        "Invalid control character at (line 1 of it, column 18)",
        "found an empty list",
        "nested deeper than 64 levels",
    ]
    for number, reason in enumerate(expected):
        found = [error for error in verdict["errors"] if error["item"] == 2 * number + 2]
        assert {error["line"] for error in found} == {starts[2 * number + 1]}
        assert any(reason in error["message"] for error in found), found
    assert {error["item"] for error in verdict["errors"]} == {2, 4, 6, 8, 10, 12, 14}
    assert verdict["rows"] == len(items)
    assert f"line {starts[1]}, item 2: holds NaN" in describe_verdict(verdict)[1]


def test_a_header_and_warnings_of_a_list_have_their_places(tmp_path: Path) -> None:
    rows = [{"schema_id": "syllo_v1"}, *ROWS, chat(" ")]
    verdict = judge(tmp_path, "x.json", json.dumps(rows, indent=1).encode())
    assert (verdict["schema_id"], verdict["rows"], verdict["header"]) == ("syllo_v1", 41, rows[0])
    assert [warning["item"] for warning in verdict["warnings"]] == [42]
    assert told(verdict, "warnings") == [(5 + 40 * 12, "messages[1].content")]


def test_only_so_much_is_unpacked_as_a_file_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decompression bomb is given up at the limit for files, and leaves nothing on the disk."""
    monkeypatch.setattr(measured_source, "MAX_FILE_BYTES", 1 << 20)
    bomb = gzip.compress(LINES + b" " * (1 << 24))
    assert len(bomb) < 50_000
    verdict = judge(tmp_path, "x.jsonl.gz", bomb)
    assert "unpacked it has more than" in verdict["errors"][0]["message"]
    assert verdict["container"]["content_hash"] == blake3(bomb).hexdigest()
    assert not (tmp_path / "unpacked" / "rows.jsonl").exists()


def test_no_room_to_unpack_is_no_fault_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk waits for room; it rejects nothing (DESIGN section 5, disk)."""
    monkeypatch.setattr(unpacked_file, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(Unavailable, match="there is no room"):
        judge(tmp_path, "x.jsonl.gz", gzip.compress(LINES))
    assert list((tmp_path / "unpacked").iterdir()) == []
    assert judge(tmp_path, "x.jsonl", LINES)["accepted"]


def test_room_that_runs_out_on_the_way_is_told_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([10**12, 10**12, 0])
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([1, 1, 1, 1, next(free), 0, 0, 0, 0, 255]))
    monkeypatch.setattr(unpacked_file, "CHECK_BYTES", 1)
    monkeypatch.setattr(unpacked_file, "WRITE_BYTES", 1)
    with pytest.raises(Unavailable, match="there is no room"):
        judge(tmp_path, "x.json", json.dumps(ROWS * 100).encode())
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_what_a_killed_worker_left_is_written_anew(tmp_path: Path) -> None:
    """The scribe tries a job twice, with the same place to unpack to."""
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "rows.jsonl").write_text("half")
    assert judge(tmp_path, "x.json", LIST)["accepted"]
    assert (tmp_path / "unpacked" / "rows.jsonl").read_bytes() == LINES


def test_a_file_that_is_found_wrong_takes_no_more_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []

    def write(_: object, fd: int, data: bytes) -> None:
        written.append(os.write(fd, data))

    monkeypatch.setattr(unpacked_file, "WRITE_BYTES", 1)
    monkeypatch.setattr(unpacked_file.Files, "write", write)
    assert not judge(tmp_path, "x.jsonl.gz", gzip.compress(b"{\n" + LINES * 100))["accepted"]
    assert sum(written) < 20_000


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json"])
@pytest.mark.parametrize("sidecar", ["{name}.meta.json", "x.jsonl.meta.json"])
def test_a_sidecar_under_either_name_declares_the_spec(tmp_path: Path, name: str, sidecar: str) -> None:
    (tmp_path / sidecar.format(name=name)).write_text('{"schema_id": "syllo_v1"}')
    pack: Callable[[bytes], bytes] = gzip.compress if name.endswith("gz") else bytes
    assert judge(tmp_path, name, pack(LIST))["schema_id"] == "syllo_v1"


def test_a_sidecar_belongs_to_the_plain_file_beside_the_packed_one(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(LINES)
    (tmp_path / "x.jsonl.meta.json").write_text('{"schema_id": "completion_v1"}')
    assert judge(tmp_path, "x.json", LIST)["schema_id"] == "chat_sft_v1"

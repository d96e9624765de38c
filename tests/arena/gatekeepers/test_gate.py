"""The gates over whole files: what is let in, what is turned away, and with which line and reason."""

from __future__ import annotations

import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from arena.gatekeepers import gate
from arena.gatekeepers.gate import VALIDATORS, inspect_file
from arena.gatekeepers.scrolls import measured_source
from arena.gatekeepers.scrolls.containers import Container, open_container
from arena.gatekeepers.scrolls.json_lines import BLOCK_BYTES, ByteSource
from tests.arena.gatekeepers.scroll_making import chat, judge, lines, told


@pytest.fixture
def scroll(tmp_path: Path) -> Path:
    return tmp_path / "x.jsonl"


def test_a_good_chat_file_is_accepted_with_its_rows_hash_and_size(scroll: Path) -> None:
    data = lines(chat("7"), chat("8", system_prompt="Be short."), chat("9", system_prompt=None, tags=["a"]))
    verdict = judge(scroll, data)
    assert verdict == {
        "accepted": True,
        "schema_id": "chat_sft_v1",
        "format": "OpenAI chat",
        "recognised_by": "its `messages` of role/content",
        "rows": 3,
        "content_hash": blake3(data).hexdigest(),
        "size_bytes": len(data),
        "errors": [],
        "total_errors": 0,
        "warnings": [],
        "total_warnings": 0,
        "header": None,
        "container": None,
        "incomplete": False,
        "validators": {"spec_validator": "1.1.0", "data_validator": "1.1.0"},
    }


def test_a_file_of_texts_is_accepted_as_completion(scroll: Path) -> None:
    """C10: completion_v1 can be accepted although it has no messages."""
    verdict = judge(scroll, lines({"text": "Once upon a time"}, {"text": "The end"}))
    assert (verdict["accepted"], verdict["schema_id"], verdict["rows"]) == (True, "completion_v1", 2)


def test_windows_line_ends_blank_lines_and_a_missing_last_newline_are_fine(scroll: Path) -> None:
    data = b"\r\n".join([json.dumps(chat()).encode()] * 3 + [b"", b"  \t", json.dumps(chat()).encode()])
    verdict = judge(scroll, b"\n\n" + data)
    assert (verdict["accepted"], verdict["rows"]) == (True, 4)


def test_bad_json_in_line_seven_rejects_the_file_and_names_line_and_column(scroll: Path) -> None:
    verdict = judge(scroll, lines(*[chat()] * 6, b'{"messages": [}', *[chat()] * 3))
    assert not verdict["accepted"]
    assert told(verdict) == [(7, None)]
    assert "column 15" in verdict["errors"][0]["message"]
    assert verdict["rows"] == 10


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"\n \n\r\n", "blank lines"), (lines({"schema_id": "chat_sft_v1"}), "header row and no rows")],
)
def test_a_file_without_rows_is_rejected(scroll: Path, data: bytes, reason: str) -> None:
    """C19: an empty file is not accepted."""
    verdict = judge(scroll, data)
    assert not verdict["accepted"]
    assert verdict["errors"][0]["line"] == 1
    assert reason in verdict["errors"][0]["message"]


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages", "no assistant turn"),
        ({"messages": []}, "messages", "empty list"),
        ({"messages": "hi"}, "messages", "found a string"),
        ({"messages": None}, "messages", "found null"),
        ({"difficulty": "easy"}, "messages", "'messages' of chat_sft_v1 is missing"),
        ({"messages": [*chat()["messages"], "bye"]}, "messages[2]", "found a string"),
        (
            {"messages": [*chat()["messages"], {"role": "bot", "content": ""}]},
            "messages[2].role",
            "'bot' is not one of",
        ),
        ({"messages": [*chat()["messages"], {"role": [], "content": ""}]}, "messages[2].role", "not one of"),
        ({"messages": [*chat()["messages"], {"content": "x"}]}, "messages[2].role", "'role' is missing"),
        ({"messages": [*chat()["messages"], {"role": "user"}]}, "messages[2].content", "'content' is missing"),
        ({"messages": [*chat()["messages"], {"role": "user", "content": None}]}, "messages[2].content", "found null"),
        ({"messages": [*chat()["messages"], {"role": "user", "content": 7}]}, "messages[2].content", "found a number"),
        (chat(system_prompt=["x"]), "system_prompt", "must be a string, found a list"),
        ([chat()], None, "must be a JSON object, found a list"),
        (7, None, "must be a JSON object, found a number"),
        (None, None, "must be a JSON object, found null"),
        (chat(tags=json.loads("[" * 63 + "]" * 63)), None, None),
        (chat(tags=json.loads("[" * 64 + "]" * 64)), None, "nested deeper than 64 levels"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, None, "nested deeper than 64 levels"),
        (b'{"messages": [], "messages": []}', "messages", "the key 'messages' stands twice"),
        (
            b'{"messages": [{"role": "user", "content": "a", "content": "b"}, {"role": "assistant", "content": "c"}]}',
            "messages[0].content",
            "the key 'content' stands twice",
        ),
        (b'{"messages": [{"content": "\\ud83d"}]}', None, "lone surrogate"),
        (b'{"messages": NaN}', None, "holds NaN (column 14)"),
        (b'{"messages": [-Infinity]}', None, "holds -Infinity"),
        (b"\xef\xbb\xbf" + json.dumps(chat()).encode(), None, "byte-order mark"),
    ],
)
@pytest.mark.parametrize("rows_before", [1, 400], ids=["first block", "later block"])
def test_a_bad_row_is_named_with_line_field_and_reason(
    scroll: Path, row: Any, field: str | None, reason: str | None, rows_before: int
) -> None:
    """The blocks after the first one take the fast way: it must let the same rows through as the thorough one."""
    before = lines(*[chat(question="What is three and four together?")] * rows_before)
    assert rows_before == 1 or len(before) > 2 * BLOCK_BYTES
    verdict = judge(scroll, before + lines(row, chat()))
    if reason is None:
        assert verdict["accepted"], verdict
        return
    assert not verdict["accepted"]
    assert (rows_before + 1, field) in told(verdict)
    assert any(reason in error["message"] for error in verdict["errors"]), verdict["errors"]
    assert {line for line, _ in told(verdict)} == {rows_before + 1}
    assert verdict["rows"] == rows_before + 2


@pytest.mark.parametrize(
    ("text", "reason"), [("", "nothing to learn"), (None, "found null"), (True, "found true or false")]
)
def test_a_completion_without_text_is_rejected(scroll: Path, text: Any, reason: str) -> None:
    verdict = judge(scroll, lines({"text": "a"}, {"text": text}))
    assert told(verdict) == [(2, "text")]
    assert reason in verdict["errors"][0]["message"]


def test_doubtful_rows_are_accepted_with_a_warning(scroll: Path) -> None:
    """C16: blank assistant messages are told."""
    no_user = {"messages": [{"role": "assistant", "content": "hello"}]}
    verdict = judge(scroll, lines(chat(" \n"), chat(""), no_user, *[chat()] * 40))
    assert verdict["accepted"]
    assert told(verdict, "warnings") == [(1, "messages[1].content"), (2, "messages[1].content"), (3, "messages")]
    assert told(judge(scroll, lines({"text": " "})), "warnings") == [(1, "text")]


@pytest.mark.parametrize("others", [94, 95], ids=["above 5 %", "5 %"])
@pytest.mark.parametrize("turns", [1, 40], ids=["one block", "many blocks"])
def test_a_file_with_too_many_blank_answers_is_refused(scroll: Path, others: int, turns: int) -> None:
    """C16: 15 % of the assistant messages were blank, and were learned."""
    whole = {"messages": chat("so it is", "is it so?")["messages"] * turns}
    verdict = judge(scroll, lines(*[chat(" ")] * 5 * turns, *[whole] * others))
    assert verdict["total_warnings"] == 5 * turns
    assert verdict["accepted"] == (others == 95)
    if not verdict["accepted"]:
        answers = 99 * turns
        assert told(verdict) == [(None, None)]
        assert f"{5 * turns} of {answers} answers say nothing but white space (5.1%)" in verdict["errors"][0]["message"]


def test_what_is_ignored_is_told_once_per_name(scroll: Path) -> None:
    named = {"role": "user", "content": "hi", "name": "Ann"}
    row = {"messages": [named, *chat()["messages"]], "mood": 5}
    verdict = judge(scroll, lines(chat(), *[row] * 9))
    assert (verdict["accepted"], verdict["schema_id"]) == (True, "chat_sft_v1")
    assert told(verdict, "warnings") == [(2, "messages[].name"), (2, "mood")]


def test_unknown_columns_are_told_in_one_warning_and_bookkeeping_in_none(scroll: Path) -> None:
    books = {"id": 5, "source": "x", "dataset": "y", "idx": 1, "conversation_id": "z", "Language": "en"}
    silent = judge(scroll, lines(chat(), *[chat(**books)] * 3))
    assert (silent["accepted"], silent["warnings"]) == (True, [])
    verdict = judge(scroll, lines(chat(), chat(mood=1, **books), *[chat(mood=2, context="c")] * 3))
    message = "the columns 'mood', 'context' are ignored: chat_sft_v1 reads no column of that name"
    assert verdict["warnings"] == [{"line": 2, "field": None, "message": message}]
    many = judge(scroll, lines(chat(**{f"strange{number}": 1 for number in range(50)})))
    assert (many["total_warnings"], many["warnings"][0]["message"].count("strange")) == (1, 20)


def test_columns_of_a_list_are_told_with_the_item_that_had_them_first(scroll: Path) -> None:
    """The place of an item is only known while it is read."""
    verdict = judge(scroll, json.dumps([chat(), chat(mood=1), *[chat(), chat(context=1)] * 5000], indent=1).encode())
    assert verdict["accepted"]
    assert [(told["line"], told["item"]) for told in verdict["warnings"]] == [(14, 2)]


def test_only_the_first_hundred_errors_are_kept_but_all_are_counted(scroll: Path) -> None:
    verdict = judge(scroll, lines(*[b"{"] * 150, *[{"messages": []}] * 150, chat()))
    assert len(verdict["errors"]) == 100
    assert verdict["total_errors"] == 300
    assert verdict["rows"] == 301


def test_the_sidecar_names_the_spec_and_wins_over_the_header(scroll: Path) -> None:
    sidecar = scroll.with_name("x.jsonl.meta.json")
    sidecar.write_text(json.dumps({"schema_id": "syllo_v1", "generator_id": "syllo_local"}))
    verdict = judge(scroll, lines({"schema_id": "completion_v1"}, chat(variant="a")))
    assert (verdict["accepted"], verdict["schema_id"], verdict["warnings"]) == (True, "syllo_v1", [])


@pytest.mark.parametrize(
    "header",
    [{"schema_id": "syllo_v1"}, {"metadata": {"schema_id": "syllo_v1", "seed": 7}}, {"metadata": {}}],
)
def test_a_header_row_is_kept_apart_from_the_rows(scroll: Path, header: dict[str, Any]) -> None:
    verdict = judge(scroll, lines(header, chat(), chat()))
    assert (verdict["accepted"], verdict["rows"], verdict["header"]) == (True, 2, header)
    assert verdict["schema_id"] == ("chat_sft_v1" if header == {"metadata": {}} else "syllo_v1")


@pytest.mark.parametrize("row", [chat(metadata={"source": "hub"}), {"text": "a", "metadata": {}}])
def test_a_first_row_with_data_is_never_taken_for_a_header(scroll: Path, row: dict[str, Any]) -> None:
    verdict = judge(scroll, lines(row, row))
    assert (verdict["accepted"], verdict["rows"], verdict["header"]) == (True, 2, None)


@pytest.mark.parametrize("where", ["header", "sidecar"])
def test_an_unknown_schema_is_refused_naming_the_known_ones(scroll: Path, where: str) -> None:
    """C18: an unknown schema is not accepted."""
    declared = {"schema_id": "chat_sft_v9"}
    if where == "sidecar":
        scroll.with_name("x.jsonl.meta.json").write_text(json.dumps(declared))
    verdict = judge(scroll, lines(declared, chat()))
    assert not verdict["accepted"]
    assert verdict["schema_id"] is None
    assert told(verdict) == [(1 if where == "header" else None, "schema_id")]
    for known in ("chat_sft_v9", "chat_sft_v1", "syllo_v1", "completion_v1"):
        assert known in verdict["errors"][0]["message"]


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"chosen": "a", "rejected": "b"}, "preference pairs"),
        ({"foo": 1}, "'foo'"),
        ({}, "no columns"),
    ],
)
def test_an_unknown_shape_is_refused_once_and_by_its_name(scroll: Path, row: dict[str, Any], shape: str) -> None:
    verdict = judge(scroll, lines(*[row] * 5))
    assert told(verdict) == [(1, None)]
    assert shape in verdict["errors"][0]["message"]
    assert verdict["rows"] == 5


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04" + bytes(100), "zip archive"),
        ("[1]\n".encode("utf-16"), "UTF-16"),
        (bytes(range(128, 192)) + b"\0" + lines(chat()), "binary"),
        (lines(chat(), b"\xff\xfe\x00"), "binary"),
    ],
)
def test_binary_data_is_named_in_one_line(scroll: Path, data: bytes, what: str) -> None:
    verdict = judge(scroll, data)
    assert told(verdict) == [(1, None)]
    assert what in verdict["errors"][0]["message"]
    assert verdict["content_hash"] == blake3(data).hexdigest()


def test_bytes_that_are_not_utf_8_are_named_with_their_line(scroll: Path) -> None:
    verdict = judge(scroll, lines(chat(), '{"messages": "é"}'.encode("latin-1")))
    assert told(verdict) == [(2, None)]
    assert "0xe9 at byte 15" in verdict["errors"][0]["message"]


def test_a_line_over_a_hundred_megabytes_is_refused_without_being_held(scroll: Path) -> None:
    with scroll.open("wb") as stream:
        stream.write(lines(chat()) + b'{"messages": "')
        stream.truncate(101 * 1024**2)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\n" + lines(chat()))
    verdict = inspect_file(str(scroll))
    assert told(verdict) == [(2, None)]
    assert "the line has 101 MB" in verdict["errors"][0]["message"]
    assert verdict["rows"] == 3


def test_a_file_over_ten_gigabytes_is_refused_unread(scroll: Path) -> None:
    scroll.touch()
    os.truncate(scroll, 10 * 1024**3 + 1)
    verdict = inspect_file(str(scroll))
    assert "at most 10 GiB" in verdict["errors"][0]["message"]
    assert verdict["content_hash"] is None


def test_memory_does_not_grow_with_the_file(scroll: Path) -> None:
    scroll.write_bytes(lines(*[chat(f"answer {number}") for number in range(40_000)]))
    assert scroll.stat().st_size > 3_000_000
    tracemalloc.start()
    try:
        assert inspect_file(str(scroll))["rows"] == 40_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_what_is_no_file_is_rejected_and_never_followed(tmp_path: Path) -> None:
    """C8: no verdict, no entry; a fifo does not hang the gate and a link leads nowhere."""
    target = tmp_path / "secret"
    target.write_bytes(lines(chat()))
    (tmp_path / "link.jsonl").symlink_to(target)
    (tmp_path / "folder.jsonl").mkdir()
    os.mkfifo(tmp_path / "fifo.jsonl")
    for name, reason in {
        "link.jsonl": "symbolic link",
        "folder.jsonl": "not a regular file",
        "fifo.jsonl": "not a regular file",
        "missing.jsonl": "No such file",
    }.items():
        verdict = inspect_file(str(tmp_path / name))
        assert not verdict["accepted"]
        assert reason in verdict["errors"][0]["message"]


def test_an_unexpected_failure_of_the_gate_is_a_rejection(caplog: pytest.LogCaptureFixture) -> None:
    """C8: the validator does not fail open on exceptions. A NUL in the path raises what nobody expects."""
    verdict = inspect_file("no\0such.jsonl")
    assert not verdict["accepted"]
    assert "did not let it in" in verdict["errors"][0]["message"]
    assert verdict["validators"] == VALIDATORS
    assert caplog.records[0].event == "gate_failed"  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [b"{", b"[]", b""])
def test_a_sidecar_that_cannot_be_read_rejects_the_file(scroll: Path, content: bytes) -> None:
    scroll.with_name("x.jsonl.meta.json").write_bytes(content)
    verdict = judge(scroll, lines(chat()))
    assert not verdict["accepted"]
    assert "x.jsonl.meta.json" in verdict["errors"][0]["message"]


def test_a_corrected_file_of_a_rejected_name_is_accepted(scroll: Path) -> None:
    """C5: no verdict depends on what a file of that name was before."""
    for _ in range(4):
        assert not judge(scroll, b"{\n")["accepted"]
    assert judge(scroll, lines(chat()))["accepted"]


def test_a_file_that_grows_beyond_the_limit_while_it_is_read_changed_meanwhile(
    scroll: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was called a decompression bomb, and then the gates failed on it."""

    def grow_and_open(source: ByteSource, name: str) -> Container:
        with scroll.open("ab") as stream:
            stream.write(lines(chat()) * 20)
        return open_container(source, name)

    scroll.write_bytes(lines(chat()))
    monkeypatch.setattr(measured_source, "MAX_FILE_BYTES", 2 * scroll.stat().st_size)
    monkeypatch.setattr(gate, "open_container", grow_and_open)
    verdict = inspect_file(str(scroll))
    assert [error["message"] for error in verdict["errors"]] == [
        "the file changed while it was being read; drop it again once it is whole"
    ]

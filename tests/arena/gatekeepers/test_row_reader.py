"""The trainer reads exactly the rows that the gates let in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.row_reader import Row, read_rows
from core.errors import InvalidInput
from tests.arena.gatekeepers.scroll_making import chat, judge, lines


def test_rows_come_with_their_line_and_without_header_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    weighted = {"messages": [{"role": "user", "content": "hi", "weight": 0}, {"role": "assistant", "content": "ho"}]}
    file.write_bytes(lines({"metadata": {}}, b"", chat("7", system_prompt="Be short."), b" \r", weighted))
    assert list(read_rows(file, "chat_sft_v1")) == [
        Row(3, chat("7")["messages"], None, "Be short."),
        Row(5, [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}], None, None),
    ]


def test_a_spec_reads_for_ever_what_it_read_when_the_journal_was_written(tmp_path: Path) -> None:
    """DESIGN law 3: quests are replayed by their schema_id; what chat_sft_v1 ignored then, it ignores now."""
    file = tmp_path / "x.jsonl"
    question, answer = chat()["messages"]
    more = {"weight": 0, "train": False, "tool_calls": [{"name": "f", "arguments": {}}], "reasoning_content": "hm"}
    file.write_bytes(lines({"messages": [{**question, "name": "Ann"}, {**answer, **more}], "tools": [{"name": "f"}]}))
    assert list(read_rows(file, "chat_sft_v1")) == [Row(1, chat()["messages"], None, None)]
    assert list(read_rows(file, "syllo_v1")) == [Row(1, chat()["messages"], None, None)]


def test_only_specs_with_a_system_prompt_column_have_one(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines(chat(system_prompt="Be short.")))
    assert next(read_rows(file, "syllo_v1")).system_prompt is None


def test_texts_are_read_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines({"text": " a\n"}, {"text": "b"}))
    assert list(read_rows(file, "completion_v1")) == [Row(1, None, " a\n", None), Row(2, None, "b", None)]


def test_an_unknown_schema_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    """C18: an unknown schema is not accepted."""
    with pytest.raises(InvalidInput, match="known are chat_sft_v1, syllo_v1, completion_v1"):
        read_rows(tmp_path / "missing.jsonl", "nope")


@pytest.mark.parametrize("row", [b"{", [], {"messages": []}, {"messages": [1]}, {"text": "a"}, chat(system_prompt=1)])
def test_a_row_that_is_none_is_named_with_its_line(tmp_path: Path, row: Any) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines(chat(), row))
    with pytest.raises(InvalidInput, match="line 2"):
        list(read_rows(file, "chat_sft_v1"))


GOOD_ROWS = st.one_of(
    st.sampled_from([chat(), chat('a\n"b" ☃', tags=["x"]), chat(system_prompt=None), {"text": "once"}]),
    st.just({"schema_id": "syllo_v1"}),
    st.just({"metadata": {"schema_id": "completion_v1"}}),
)
WORDS = rb"""{ } " [ ] , : \ \u \ud800 NaN null 1 true user assistant "messages": "text": "role":"user",""".split()
BYTES = [b"", b" ", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf"]
PIECES = st.binary(max_size=3) | st.sampled_from(WORDS + BYTES)
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), PIECES), max_size=4)


@pytest.fixture(scope="module")
def scroll(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scrolls") / "x.jsonl"


@settings(deadline=None)
@given(rows=st.lists(GOOD_ROWS, min_size=1, max_size=4), copies=st.sampled_from([1, 1, 300]), changes=CHANGES)
def test_whatever_is_accepted_can_be_read_row_for_row(
    scroll: Path, rows: list[dict[str, Any]], copies: int, changes: list[tuple[int, int, bytes]]
) -> None:
    """C8: mutated files never raise, and are never accepted with a row that the trainer then chokes on."""
    data = bytearray(lines(*rows * copies))
    for place, length, piece in changes:
        start = len(data) - min(place, len(data))
        data[start : start + length] = piece
    verdict = judge(scroll, bytes(data))
    json.dumps(verdict, allow_nan=False).encode("utf-8")
    assert verdict["accepted"] == (verdict["total_errors"] == 0)
    if verdict["accepted"]:
        read = list(read_rows(scroll, verdict["schema_id"]))
        assert len(read) == verdict["rows"]
        assert all(row.text or any(m["role"] == "assistant" for m in row.messages or []) for row in read)


def test_the_gate_and_the_reader_agree_on_a_file_of_many_blocks(scroll: Path) -> None:
    rows = [chat(f"answer {number}" * (number % 7), tags=[str(number)]) for number in range(2000)]
    scroll.write_bytes(lines(*rows))
    assert inspect_file(str(scroll))["rows"] == 2000
    assert [row.messages for row in read_rows(scroll, "chat_sft_v1")] == [row["messages"] for row in rows]

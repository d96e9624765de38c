"""People are told why a file was turned away: beside the file and in the terminal."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arena.gatekeepers.rejection import describe_verdict, write_rejection
from core.files import Files
from tests.arena.gatekeepers.scroll_making import chat, judge, lines

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def test_the_report_beside_the_file_says_what_where_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    verdict = judge(file, lines(chat(), b"{", {"messages": []}))
    target = write_rejection(file, verdict, now=NOW)
    assert target == tmp_path / "x.jsonl.rejection.json"
    report = json.loads(target.read_text())
    assert report["file"] == "x.jsonl"
    assert report["rejected_at"] == "2026-11-21T09:30:00+00:00"
    assert [(reason["line"], reason["field"]) for reason in report["reasons"]] == [(2, None), (3, "messages")]
    assert report["total_reasons"] == 2
    assert report["validators"] == {"spec_validator": "1.1.0", "data_validator": "1.1.0"}
    assert "inbox/" in report["hint"]
    assert report["content_hash"] == verdict["content_hash"]
    assert (report["format"], report["recognised_by"]) == ("OpenAI chat", "its `messages` of role/content")


def test_a_refusal_without_facts_about_the_file_is_reported_too(tmp_path: Path) -> None:
    """The trainer refuses quests by their rows alone."""
    error = {"line": 3, "field": None, "message": "no target token"}
    verdict = {"errors": [error], "total_errors": 1, "warnings": [], "total_warnings": 0, "validators": {}}
    report = json.loads(write_rejection(tmp_path / "x.jsonl", verdict, now=NOW).read_text())
    assert report["reasons"] == [error]


def test_a_full_disk_leaves_no_half_report(tmp_path: Path) -> None:
    class FullDisk(Files):
        def write(self, fd: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    file = tmp_path / "x.jsonl"
    verdict = judge(file, b"")
    with pytest.raises(OSError, match="No space"):
        write_rejection(file, verdict, now=NOW, files=FullDisk())
    assert list(tmp_path.iterdir()) == [file]


def test_a_verdict_reads_as_lines_for_people(tmp_path: Path) -> None:
    verdict = judge(tmp_path / "x.jsonl", lines(*[{"messages": []}] * 102, b"{", chat(" "), *[chat()] * 19))
    told = describe_verdict(verdict)
    assert told[0] == "rejected: 103 errors and 1 warning in 123 rows"
    assert told[1] == "line 1, messages: 'messages' must be a list with at least one message, found an empty list"
    assert told[101] == "… and 3 more"
    assert told[102].startswith("warning: line 104, messages[1].content: ")
    assert describe_verdict(judge(tmp_path / "x.jsonl", lines(chat()))) == [
        "accepted: 1 row of chat_sft_v1, 0 warnings",
        "recognised as OpenAI chat by its `messages` of role/content",
    ]

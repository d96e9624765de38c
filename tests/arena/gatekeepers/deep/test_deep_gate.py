"""DEEP, the gate that only advises: what rows say, and which of them stand in a file twice."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from arena.gatekeepers.deep import deep_warden, duplicates
from arena.gatekeepers.deep.deep_warden import SAMPLE_ROWS, DeepWarden, describe_deep
from arena.gatekeepers.deep.duplicates import Duplicates
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.measures.standard_gate import DEEP_VALIDATORS
from arena.gatekeepers.row_identity import row_key
from arena.gatekeepers.row_reader import read_rows
from tests.arena.gatekeepers.proving import messages_of, prove
from tests.arena.gatekeepers.scroll_making import chat, lines, told

SPEC_KEYS = {
    "unique_examples", "duplicates", "leakage_samples_checked", "leakage_found", "protocol_stats", "repetition_stats",
    "degenerate_stats", "json_stats", "encoding_stats", "flow_stats", "ratio_stats", "overlap_stats",
    "near_duplicate_stats",
}  # fmt: skip
GOOD = [chat(f"It is {number + 1}.", f"What follows {number}?") for number in range(300)]


def deep(path: Path, *rows: Any, **changes: Any) -> dict[str, Any]:
    """The verdict at level DEEP; whatever it finds, the file is let in."""
    verdict = prove(path / "x.jsonl", lines(*rows), max_length=4096, deep=True, **changes)
    assert verdict["accepted"], verdict["errors"]
    return verdict


def test_a_good_file_gets_the_statistics_of_the_spec_and_no_warning(tmp_path: Path) -> None:
    verdict = deep(tmp_path, *GOOD)
    assert verdict["warnings"] == []
    assert verdict["validators"] == DEEP_VALIDATORS
    content = verdict["content"]
    assert content.keys() == SPEC_KEYS | {"sample_size"}
    assert (content["sample_size"], content["unique_examples"], content["duplicates"]) == (SAMPLE_ROWS, 300, 0)
    assert (content["leakage_samples_checked"], content["json_stats"]["checked"]) == (SAMPLE_ROWS, 0)
    assert content["protocol_stats"]["direct_mode_pct"] == 100.0
    assert describe_deep(content)[0] == "rows that repeat an earlier one: 0; different rows: 300"


def test_without_deep_there_is_no_content(tmp_path: Path) -> None:
    verdict = prove(tmp_path / "x.jsonl", lines(chat("Yes!", "Yes!")))
    assert (verdict["content"], verdict["warnings"], describe_deep(verdict["content"])) == (None, [], [])


def test_only_the_first_rows_are_looked_at_but_duplicates_are_found_in_all(tmp_path: Path) -> None:
    rows = [*GOOD, chat("...!", "Say nothing."), GOOD[7], b"", {**GOOD[7], "tags": ["x"]}]
    verdict = deep(tmp_path, *rows)
    assert told(verdict, "warnings") == [(302, None), (304, None)]
    assert messages_of(verdict, "warnings")[1].startswith("the row says the same as row 8;")
    assert (verdict["content"]["unique_examples"], verdict["content"]["duplicates"]) == (301, 2)


def test_one_check_does_not_crowd_out_the_others(tmp_path: Path) -> None:
    """Three findings of a kind are told, the others named by their number."""
    verdict = deep(tmp_path, *[chat("no", f"{number}?") for number in range(90)], chat("A {} is here now", "\ufffd"))
    assert verdict["content"]["degenerate_stats"]["too_short"] == 90
    short, damaged = messages_of(verdict, "warnings")[-1], messages_of(verdict, "warnings")[3]
    assert damaged.startswith("a U+FFFD")
    assert short.startswith("the answer hardly says anything: 87 more, in rows 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, …;")
    assert verdict["total_warnings"] == 5


@pytest.mark.parametrize("heap_bytes", [duplicates.HEAP_BYTES, 1], ids=["in memory", "on disk"])
def test_duplicates_are_counted_heap_by_heap(monkeypatch: pytest.MonkeyPatch, heap_bytes: int) -> None:
    monkeypatch.setattr(duplicates, "HEAP_BYTES", heap_bytes)
    monkeypatch.setattr(duplicates, "PENDING_BYTES", 200)
    with Duplicates() as found:
        for number in range(1, 2001):
            found.add((number % 1900).to_bytes(16, "little"), number, number + 1)
        total, first = found.repeats()
    assert total == 100
    assert [(repeat.number, repeat.line, repeat.first) for repeat in first[:2]] == [(1901, 1902, 1), (1902, 1903, 2)]
    assert len(first) == duplicates.MOST_REPEATS


def test_a_fault_of_a_check_is_told_and_keeps_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice never refuses a quest, whatever is wrong with the advice."""
    monkeypatch.setattr(deep_warden, "sample_of", None)
    verdict = deep(tmp_path, *GOOD[:3])
    assert verdict["content"] is None
    assert len(verdict["warnings"]) == 1
    assert "this says nothing against the file" in messages_of(verdict, "warnings")[0]


def test_a_disk_without_room_ends_the_advice_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for keys is bounded by temporary files; where they cannot be written, nothing is held against a quest."""
    monkeypatch.setattr(duplicates, "HEAP_BYTES", 1)
    monkeypatch.setattr(duplicates, "PENDING_BYTES", 1)
    findings = Findings()
    (tmp_path / "x.jsonl").write_bytes(lines(*GOOD[:5]))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with DeepWarden("chatml", findings) as warden:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            for row in read_rows(tmp_path / "x.jsonl", "chat_sft_v1"):
                warden.take(row, row_key(row))
            warden.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert warden.finish() is None
    assert (findings.total_errors, findings.total_warnings) == (0, 1)
    assert "takes no temporary file: File too large" in findings.warnings[0].message


def test_a_huge_row_is_left_out_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_warden, "MOST_ROW_BYTES", 200)
    content = deep(tmp_path, chat("word " * 100), *GOOD[:4])["content"]
    assert (content["sample_size"], content["unique_examples"]) == (4, 5)


def test_rows_of_text_are_looked_at_too(tmp_path: Path) -> None:
    rows = [{"text": "over " * 6}, {"text": "ä\ufffd, once upon a time"}, {"text": "{ not json"}]
    verdict = deep(tmp_path, *rows)
    assert told(verdict, "warnings") == [(1, "text"), (2, "text")]
    content = json.loads(json.dumps(verdict["content"]))
    assert (content["flow_stats"]["checked"], content["protocol_stats"]["emoji_mode_pct"]) == (0, None)

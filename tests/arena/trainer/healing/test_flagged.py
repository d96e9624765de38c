"""Flagged rows stay within their bounds, and whatever is wrong with them, training goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from arena.trainer.healing import flagged
from arena.trainer.healing.flagged import FlaggedExamples, FlaggedRow


def rows(quest_id: str, *lines: int) -> list[FlaggedRow]:
    return [
        FlaggedRow(quest_id=quest_id, file="x.jsonl", line=line, quest_step=3, reason="spike", loss=7.5)
        for line in lines
    ]


def told(folder: Path, quest_id: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / f"{quest_id}.jsonl").read_text().splitlines()]


def test_a_row_stands_there_once_and_as_in_its_file(tmp_path: Path) -> None:
    data = tmp_path / "x.jsonl"
    data.write_text('{"text": "one"}\n\n{"text":  "three", "id": 1e2}\r\n')
    examples = FlaggedExamples(tmp_path / "flagged")
    examples.add(rows("q", 1, 3), data)
    examples.add(rows("q", 3, 9), data)
    text = (tmp_path / "flagged" / "q.jsonl").read_text()
    assert '"row":{"text":  "three", "id": 1e2}}' in text
    assert [(row["line"], row["row"]) for row in told(tmp_path / "flagged", "q")] == [
        (1, {"text": "one"}), (3, {"text": "three", "id": 100.0}), (9, None),
    ]  # fmt: skip


def test_files_and_folder_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law 9: nothing grows without bound; the oldest go first."""
    data = tmp_path / "x.jsonl"
    data.write_text("".join(f'{{"text": "{"x" * 200}"}}\n' for _ in range(20)) + f'{{"text": "{"y" * 500}"}}\n')
    for name, value in (("FILE_BYTES", 1000), ("FOLDER_BYTES", 2000), ("ROW_BYTES", 300)):
        monkeypatch.setattr(flagged, name, value)
    folder = tmp_path / "flagged"
    examples = FlaggedExamples(folder)
    for number, quest_id in enumerate(("a", "b", "c")):
        examples.add(rows(quest_id, *range(21, 0, -1)), data)
        os.utime(folder / f"{quest_id}.jsonl", (number, number))
    assert sorted(path.name for path in folder.iterdir()) == ["b.jsonl", "c.jsonl"]
    assert (folder / "c.jsonl").stat().st_size < 1000
    # The long one is named, and as many others as fit.
    assert [(row["line"], row["row"] is None) for row in told(folder, "c")][:2] == [(21, True), (20, False)]


def test_what_is_damaged_or_gone_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "flagged"
    examples = FlaggedExamples(folder)
    examples.add(rows("q", 1), tmp_path / "gone.jsonl")
    examples.add(rows("q", 2), None)
    assert [(row["line"], row["row"]) for row in told(folder, "q")] == [(1, None), (2, None)]
    (folder / "q.jsonl").write_text("changed by han")
    examples.add(rows("q", 1), None)
    assert (folder / "q.jsonl").read_text() == "changed by han"

"""Who made a file, and how the counts of `status/data_lineage.json` come about."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.files import Files
from core.lineage import GENERATOR_REGISTRY, generator_of
from core.lineage_tracker import MOST_NAMES, OTHER, LineageTracker, read_lineage_counts

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
GATES = {"spec_validator": "1.0.0", "data_validator": "1.0.0"}


def count(tracker: LineageTracker, generator: str, *errors: str, times: int = 1, write: bool = True) -> None:
    for _ in range(times):
        tracker.count(generator, GATES, passed=not errors, errors=errors, now=NOW)
    if write:
        tracker.write()


@pytest.mark.parametrize(
    ("name", "lineage", "generator"),
    [
        ("x.jsonl", {"generator_id": "mine", "generator_version": "3"}, "mine@3"),
        ("x.jsonl", {"generator_id": "mine"}, "mine@unknown"),
        ("syllo_1.jsonl", {"generator_id": "mine", "generator_version": "3"}, "mine@3"),
        ("train_SYLLO_level1_100.jsonl", {}, "syllo_api@1.0.0"),
        ("train_syllo_level1_100.jsonl", {}, "syllo_api@1.0.0"),
        ("train_SY_level2.jsonl", {}, "syllo_api@1.0.0"),
        ("train_BIN_level2.jsonl", {}, "bin_api@1.0.0"),
        ("discrimination_L5.jsonl", {}, "discrimination@1.0.0"),
        ("auto_gen_1.jsonl", {}, "curriculum@1.0.0"),
        ("combine_easy.jsonl", {}, "manual@1.0.0"),
        ("my chats.jsonl", {"generator_id": 7}, "manual@1.0.0"),
        ("x.jsonl", {"generator_id": "a@b\n\x1b" + "c" * 100, "generator_version": "1"}, f"ab{'c' * 58}@1"),
    ],
)
def test_the_maker_of_a_file_is_told_by_sidecar_or_name(name: str, lineage: dict[str, Any], generator: str) -> None:
    """C13: patterns that minded the case never matched."""
    assert generator_of(name, lineage) == generator


def test_the_registry_names_the_seeds_generators() -> None:
    assert {"discrimination", "syllo_local", "syllo_api", "curriculum", "manual"} <= set(GENERATOR_REGISTRY)
    assert all(entry["version"] == "1.0.0" for entry in GENERATOR_REGISTRY.values())


def test_counts_are_kept_by_generator_and_by_validator(tmp_path: Path) -> None:
    path = tmp_path / "data_lineage.json"
    tracker = LineageTracker(path)
    count(tracker, "good@1", times=9)
    count(tracker, "bad@2", "line 3: is not valid JSON (column 7)", times=6)
    count(tracker, "bad@2", times=4)
    count(tracker, "bad@2", "line 4: is not valid JSON (column 9)", "no user turn", times=2)

    body = read_lineage_counts(path)

    assert body["total_validations"] == 21
    assert body["last_updated"] == NOW.isoformat()
    bad = body["generators"]["bad@2"]
    assert (bad["total"], bad["passed"], bad["failed"], bad["fail_rate"]) == (12, 4, 8, 0.6667)
    assert bad["by_validator"]["spec_validator@1.0.0"] == {"total": 12, "passed": 4, "failed": 8}
    assert bad["top_errors"] == [
        {"message": "line #: is not valid JSON (column #)", "files": 8},
        {"message": "no user turn", "files": 2},
    ]
    judge = body["validators"]["data_validator@1.0.0"]
    assert (judge["total"], judge["failed"]) == (21, 8)
    assert judge["by_generator"]["good@1"] == {"total": 9, "passed": 9, "failed": 0}
    assert body["summary"] == {
        "total_generators": 2,
        "total_validators": 2,
        "worst_generator": {"id": "bad@2", "fail_rate": 0.6667, "total": 12},
        "worst_validator": {"id": "spec_validator@1.0.0", "fail_rate": 0.381, "total": 21},
        "overall_fail_rate": 0.381,
    }


def test_counts_survive_a_restart_and_what_somebody_wrote_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data_lineage.json"
    count(LineageTracker(path), "good@1", "no user turn", times=2)
    before = read_lineage_counts(path)
    count(LineageTracker(path), "good@1")

    after = read_lineage_counts(path)
    assert after["generators"]["good@1"]["total"] == before["generators"]["good@1"]["total"] + 1
    assert after["generators"]["good@1"]["top_errors"] == [{"message": "no user turn", "files": 2}]

    for nonsense in ("[]", "{", '{"generators": {"a": 1, "b": {"passed": -1, "by_validator": []}}, "validators": 5}'):
        path.write_text(nonsense)
        count(LineageTracker(path), "good@1")
        assert read_lineage_counts(path)["generators"]["good@1"]["total"] == 1


def test_a_damaged_file_is_set_aside_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Law 7: the next write would have made the loss of all counts final."""
    path = tmp_path / "data_lineage.json"
    for torn in ('{"total_validations": 7, "gener', "[]"):
        path.write_text(torn)
        LineageTracker(path)
        assert not path.exists()
        assert path.with_name("data_lineage.json.corrupt").read_text() == torn
    assert "counts begin anew" in caplog.text


def test_counts_are_on_the_disk_once_they_are_written(tmp_path: Path) -> None:
    """Law 7: a torn file after a power cut."""
    synced: list[int] = []

    class Watched(Files):
        def fsync(self, fd: int) -> None:
            synced.append(fd)
            super().fsync(fd)

    LineageTracker(tmp_path / "data_lineage.json", Watched()).write()

    assert synced


def test_before_the_first_file_the_counts_are_an_empty_skeleton(tmp_path: Path) -> None:
    body = read_lineage_counts(tmp_path / "absent.json")

    assert (body["total_validations"], body["generators"], body["summary"]["worst_generator"]) == (0, {}, None)


def test_neither_names_nor_errors_grow_without_bound(tmp_path: Path) -> None:
    """A21: files that only ever grew."""
    path = tmp_path / "data_lineage.json"
    tracker = LineageTracker(path)
    for number in range(MOST_NAMES + 30):
        count(tracker, f"maker{number}@1", write=False)
    for number in range(300):
        count(tracker, "bad@1", f"error {chr(97 + number % 26)}{chr(97 + number // 26)}", write=False)
    tracker.write()

    stored = json.loads(path.read_text())
    assert len(stored["generators"]) == MOST_NAMES + 1
    assert stored["generators"][OTHER]["total"] == 30 + 300
    assert len(stored["generators"][OTHER]["errors"]) <= 50
    assert len(stored["generators"][OTHER]["top_errors"]) == 5


class FullDisk(Files):
    full = True

    def write(self, fd: int, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(fd, data)


def test_a_full_disk_loses_no_count(tmp_path: Path) -> None:
    files = FullDisk()
    tracker = LineageTracker(tmp_path / "data_lineage.json", files)
    with pytest.raises(OSError, match="No space"):
        count(tracker, "good@1")
    files.full = False
    count(tracker, "good@1")

    assert read_lineage_counts(tmp_path / "data_lineage.json")["total_validations"] == 2

"""The ledger shows what is on disk, with the numbers of the moment it was saved, from any number of processes."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.checkpoint_index import CheckpointIndex
from core.checkpoint_ledger import (
    CheckpointLedger,
    CheckpointRecord,
)
from core.errors import InvalidInput
from core.files import Files
from core.paths import CHECKOUT, RealmPaths
from tests.core.ledger_making import NOW, history_of, index_of, save
from vault.manifest import check_manifest

# --- recording and reading ------------------------------------------------------------------------------------


def test_a_recorded_checkpoint_is_found_in_every_way(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    old = save(paths, 1000, train_loss=0.5, skill_name="bin")
    new = save(paths, 10_000, train_loss=0.7, skill_name="sy")
    assert ledger.record(new)
    assert ledger.record(old)
    assert ledger.get(1000) == old
    assert ledger.get(100) is None
    assert ledger.get_latest() == new
    assert ledger.get_best() == old
    assert ledger.list_all() == [new, old]
    assert ledger.list_all(limit=1) == [new]
    assert ledger.list_by_skill("bin") == [old]
    for reference in ("1000", "checkpoint_1000", old.canonical_name, "best"):
        assert ledger.find(reference) == old
    assert ledger.find("latest") == new
    assert ledger.find("100") is None


def test_the_index_has_the_format_of_the_seed(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    record = save(paths, 1000, train_loss=0.5)
    ledger.record(record, now=NOW)
    assert index_of(paths) == {
        "version": "1.0.0",
        "updated_at": NOW.isoformat(),
        "pid": os.getpid(),
        "checkpoint_count": 1,
        "checkpoints": {"1000": record.to_json()},
        "superseded": {},
    }


def test_the_summary_is_that_of_the_seed(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    assert ledger.get_summary() == {
        "count": 0,
        "latest_step": None,
        "oldest_step": None,
        "best_loss": None,
        "worst_loss": None,
        "total_size_gb": 0,
        "skills_trained": [],
    }
    for step, loss, skill in ((1000, 0.5, "sy"), (2000, 0.3, "bin"), (3000, math.nan, None)):
        ledger.record(save(paths, step, train_loss=loss, skill_name=skill))
    summary = ledger.get_summary()
    assert (summary["count"], summary["oldest_step"], summary["latest_step"]) == (3, 1000, 3000)
    assert (summary["best_loss"], summary["worst_loss"]) == (0.3, 0.5)
    assert summary["total_size_gb"] == pytest.approx(0.006)
    assert summary["skills_trained"] == ["bin", "sy"]


def test_the_newest_is_found_by_number(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A10: 99000 never beats 100000."""
    for step in (100_000, 99_000):
        ledger.record(save(paths, step))
    latest = ledger.get_latest()
    assert latest is not None
    assert latest.step == 100_000


def test_what_is_not_a_number_is_never_the_best(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    for step, loss in ((1, math.nan), (2, None), (3, -math.inf), (4, 0.4), (5, 0.4), (6, 0.9)):
        ledger.record(save(paths, step, train_loss=loss, accuracy=step / 10))
    best, worst, accurate = (
        ledger.get_best(),
        ledger.get_best(lower_is_better=False),
        ledger.get_best("accuracy", lower_is_better=False),
    )
    assert [found and found.step for found in (best, worst, accurate)] == [5, 6, 6]
    assert ledger.get_best("val_loss") is None


def test_a_sidecar_with_a_literal_nan_is_never_the_best(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    save(paths, 1, train_loss=0.5)
    foreign = Path(save(paths, 2, train_loss=0.25).path) / ".ledger.json"
    foreign.write_text(foreign.read_text().replace("0.25", "NaN"))
    best = ledger.get_best()
    assert best is not None
    assert best.step == 1
    assert ledger.get_summary()["worst_loss"] == 0.5
    ledger.reconcile()
    assert "differ" not in str(ledger.verify(check_manifest)[foreign.parent.name])


def test_an_unknown_metric_is_named_with_the_one_that_was_meant(ledger: CheckpointLedger) -> None:
    with pytest.raises(InvalidInput, match="Did you mean train_loss"):
        ledger.get_best("train_los")


def test_two_directories_of_one_step_are_both_visible(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    newer, older = save(paths, 1000, "0931"), save(paths, 1000, "0930")
    ledger.record(newer)
    ledger.record(older)
    assert ledger.list_all() == [newer, older]
    assert ledger.get(1000) == newer
    assert ledger.find(older.canonical_name) == older
    body = index_of(paths)
    assert body["checkpoint_count"] == 2
    assert body["checkpoints"]["1000"]["canonical_name"] == newer.canonical_name
    assert list(body["superseded"]) == [older.canonical_name]


def test_recording_twice_changes_nothing(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    record = save(paths, 1000)
    assert ledger.record(record)
    assert ledger.record(record)
    assert history_of(paths) == [("recorded", record.canonical_name)]


def test_a_record_of_something_that_is_no_checkpoint_is_refused(ledger: CheckpointLedger) -> None:
    with pytest.raises(InvalidInput, match="no name of a checkpoint"):
        ledger.record(CheckpointRecord(step=1, path="/x/../etc", canonical_name="../etc"))


def test_a_checkpoint_that_is_gone_already_enters_only_the_history(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    record = save(paths, 1000)
    shutil.rmtree(record.path)
    assert not ledger.record(record)
    assert ledger.list_all() == []
    assert history_of(paths) == [("recorded", record.canonical_name)]


def test_a_realm_that_was_moved_shows_its_checkpoints_where_they_are_now(
    paths: RealmPaths, ledger: CheckpointLedger, tmp_path: Path
) -> None:
    """A13: the path in every view is the one at which the checkpoint lies."""
    ledger.record(save(paths, 1000))
    moved = RealmPaths(tmp_path / "elsewhere")
    moved.base.mkdir()
    for folder in ("current_model", "status"):
        (paths.base / folder).rename(moved.base / folder)
    record = CheckpointLedger.of(moved).get(1000)
    assert record is not None
    assert record.path == str(moved.current_model / record.canonical_name)


# --- the disk is the truth ------------------------------------------------------------------------------------


def test_a_checkpoint_deleted_by_hand_leaves_every_view_at_once(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A1, A26: the ledger once listed 763 checkpoints when 98 were there, and a deleted one as the best."""
    ledger.record(save(paths, 1000, train_loss=0.9))
    gone = save(paths, 2000, train_loss=0.1)
    ledger.record(gone)
    shutil.rmtree(gone.path)
    assert [record.step for record in ledger.list_all()] == [1000]
    best = ledger.get_best()
    assert best is not None
    assert best.step == 1000
    assert ledger.get_summary()["count"] == 1


def test_reconcile_strikes_out_what_is_gone_and_says_so(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A1: deleters that tell nobody are found out."""
    kept, gone = save(paths, 1000), save(paths, 2000)
    ledger.record(kept)
    ledger.record(gone)
    shutil.rmtree(gone.path)
    assert ledger.reconcile() == ([], [gone.canonical_name])
    assert list(index_of(paths)["checkpoints"]) == ["1000"]
    assert history_of(paths)[-1] == ("forgotten", gone.canonical_name)
    assert ledger.reconcile() == ([], [])


def test_a_deleted_entry_does_not_come_back_from_another_process(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A2: a second writer that still remembers the entry does not write it again."""
    gone = save(paths, 1000)
    ledger.record(gone)
    second = CheckpointLedger.of(paths)
    assert second.get(1000) == gone
    shutil.rmtree(gone.path)
    assert ledger.forget(gone.canonical_name, "retention") == [gone.canonical_name]
    second.record(save(paths, 2000))
    assert [record.step for record in ledger.list_all()] == [2000]
    assert list(index_of(paths)["checkpoints"]) == ["2000"]


def test_a_reader_sees_what_another_process_wrote(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A3: a cached index is read again when the file has changed."""
    reader = CheckpointLedger.of(paths)
    first = save(paths, 1000)
    ledger.record(first)
    assert reader.list_all() == [first]
    shutil.rmtree(first.path)
    ledger.reconcile()
    ledger.record(save(paths, 2000, train_loss=0.5))
    latest = reader.get_latest()
    assert latest is not None
    assert (latest.step, latest.train_loss) == (2000, 0.5)
    assert reader.scan_orphans() == []


def test_a_checkpoint_that_nobody_reported_is_seen_and_enters_at_reconcile(
    paths: RealmPaths, ledger: CheckpointLedger
) -> None:
    """A8: a save that bypassed the ledger once stayed unknown for ever."""
    ledger.record(save(paths, 1000))
    silent = save(paths, 2000)
    assert ledger.get_latest() == silent
    assert ledger.reconcile() == ([silent.canonical_name], [])
    assert set(index_of(paths)["checkpoints"]) == {"1000", "2000"}
    assert history_of(paths)[-1] == ("recorded", silent.canonical_name)


def test_forgetting_a_step_leaves_longer_numbers_alone(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A29: 1000 is not a prefix of 10000."""
    records = [save(paths, step, clock) for step, clock in ((1000, "0930"), (1000, "0931"), (10_000, "0930"))]
    for record in records:
        ledger.record(record)
    for record in records[:2]:
        shutil.rmtree(record.path)
    assert sorted(ledger.forget(1000, "deleted by hand")) == [record.canonical_name for record in records[:2]]
    assert ledger.forget(1000, "again") == []
    assert ledger.forget("checkpoint-1", "prefix") == []
    assert ledger.reconcile() == ([], [])
    assert [record.step for record in ledger.list_all()] == [10_000]


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"checkpoints": []}', '{"checkpoints": {"1": 5}}'])
def test_a_lost_or_damaged_index_is_made_again_from_the_sidecars(
    paths: RealmPaths, ledger: CheckpointLedger, content: str | None
) -> None:
    """A14: the index is derived, so losing it loses nothing."""
    first = save(paths, 1000)
    ledger.record(first)
    if content is None:
        paths.ledger_index.unlink()
    else:
        paths.ledger_index.write_text(content)
    assert ledger.list_all() == [first]
    second = save(paths, 2000)
    ledger.record(second)
    ledger.reconcile()
    assert ledger.list_all() == [second, first]
    assert index_of(paths)["checkpoint_count"] == 2


def test_the_sidecar_beats_an_index_that_was_tampered_with(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    record = save(paths, 1000, train_loss=0.5)
    ledger.record(record)
    paths.ledger_index.write_text(paths.ledger_index.read_text().replace("0.5", "0.1"))
    assert ledger.verify(check_manifest) == {record.canonical_name: ["the index and .ledger.json differ"]}
    assert ledger.reconcile() == ([], [])
    assert ledger.get(1000) == record
    assert ledger.verify(check_manifest) == {}


# --- several writers ------------------------------------------------------------------------------------------


WRITER = """
import sys
from pathlib import Path
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.paths import RealmPaths
paths = RealmPaths(Path(sys.argv[1]))
ledger = CheckpointLedger.of(paths)
for step in range(int(sys.argv[2]), int(sys.argv[3])):
    folder = paths.current_model / f"checkpoint-{step}-20261121-0930"
    folder.mkdir()
    ledger.record(CheckpointRecord(step=step, path=str(folder), canonical_name=folder.name))
"""


def test_four_processes_that_record_at_once_lose_nothing(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    """A14: no lost update, no torn index; there are no sidecars here that could mend it."""
    starts = [0, 20, 40, 60]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(paths.base), str(start), str(start + 20)], cwd=CHECKOUT)
        for start in starts
    ]
    seen = 0
    try:
        while any(writer.poll() is None for writer in writers):
            count = len(ledger.list_all())
            assert count >= seen
            seen = count
    finally:
        for writer in writers:
            writer.wait(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0]
    assert [record.step for record in ledger.list_all()] == list(range(79, -1, -1))
    assert len(history_of(paths)) == 80


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_the_old_index_whole(paths: RealmPaths, ledger: CheckpointLedger, code: int) -> None:
    class Failing(Files):
        def write(self, fd: int, data: bytes) -> None:
            super().write(fd, data[: len(data) // 2])
            raise OSError(code, os.strerror(code))

    first, second = save(paths, 1000), save(paths, 2000)
    ledger.record(first)
    before = paths.ledger_index.read_bytes()
    with pytest.raises(OSError, match=os.strerror(code)):
        CheckpointLedger.of(paths, Failing()).record(second)
    assert paths.ledger_index.read_bytes() == before
    assert ledger.reconcile() == ([second.canonical_name], [])
    assert [name for _, name in history_of(paths)] == [first.canonical_name, second.canonical_name]


def test_a_line_torn_by_a_crash_spoils_only_itself(paths: RealmPaths, ledger: CheckpointLedger) -> None:
    paths.ledger_history.write_bytes(b'{"event": "recor')
    record = save(paths, 1000)
    ledger.record(record)
    torn, line = paths.ledger_history.read_text().splitlines()
    assert torn == '{"event": "recor'
    assert json.loads(line)["canonical_name"] == record.canonical_name


def test_the_history_does_not_grow_without_bound(paths: RealmPaths) -> None:
    """Law 9, A21: two files, the older of which is dropped."""
    index = CheckpointIndex(paths.ledger_index, paths.ledger_history, history_bytes=5000)
    for step in range(100):
        index.tell("recorded", CheckpointRecord(step=step), now=NOW)
    older = paths.ledger_history.with_suffix(".1.jsonl")
    assert max(paths.ledger_history.stat().st_size, older.stat().st_size) <= 5000
    lines = (older.read_text() + paths.ledger_history.read_text()).splitlines()
    assert json.loads(lines[-1])["step"] == 99
    assert sorted(path.name for path in paths.status.glob("*.jsonl")) == [older.name, paths.ledger_history.name]

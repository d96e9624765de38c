"""Daily snapshots: one for each day, of the present checkpoint, whole or absent, and without room of its own."""

from __future__ import annotations

import errno
import json
import os
import shutil
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, Unavailable
from core.files import Files
from core.paths import RealmPaths
from core.settings import RetentionSettings
from core.settings_reading import load_settings
from tests.vault.making import killed_at, publish
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest
from vault.snapshots import check_snapshot, due_day, snapshot_days, take_daily, take_snapshot
from vault.treasury import Treasury

DAY = date(2026, 11, 21)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OLD = "checkpoint-99000-20261121-0900"
NEW = "checkpoint-100000-20261121-0930"
MODEL = {"config.json": "{}", "journal.jsonl": '{"seq": 1}\n', "optimizer.pt": "moments"}

TAKE = """
import sys
from vault.snapshots import take_daily
take_daily(sys.argv[1], "2026-11-21", "2026-11-21T12:00:00+00:00")
"""


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    store = CheckpointStore(paths.current_model)
    publish(store, NEW, more=MODEL)
    publish(store, OLD, "old weights", more=MODEL)
    store.set_head(NEW)
    paths.config_file.write_text("save_steps: 7\n")
    return store


def folder_of(paths: RealmPaths) -> Path:
    return paths.snapshots / DAY.isoformat()


def take(paths: RealmPaths, files: Files | None = None) -> dict[str, object] | None:
    return take_snapshot(paths, DAY, now=NOW, files=files or Files())


def hidden(paths: RealmPaths) -> list[str]:
    return [path.name for path in paths.snapshots.iterdir() if path.name.startswith(".")]


# --- when ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hour", "minute", "day"), [(1, 59, date(2026, 11, 20)), (2, 0, DAY), (12, 0, DAY), (23, 59, DAY)]
)
def test_the_day_that_is_due_is_that_of_the_last_snapshot_time(hour: int, minute: int, day: date) -> None:
    """A day without a realm is made up for at the next start; one snapshot for each day, whatever the clock does."""
    assert due_day(datetime(2026, 11, 21, hour, minute).astimezone(), "02:00") == day


def test_the_snapshot_time_is_local_time() -> None:
    local = datetime(2026, 11, 21, 2, 30).astimezone()
    elsewhere = local.astimezone(timezone(local.utcoffset() + timedelta(hours=9)))  # type: ignore[operator]
    assert due_day(elsewhere, "02:00") == due_day(local, "02:00") == DAY


# --- what ----------------------------------------------------------------------------------------------------------


def test_a_snapshot_holds_the_present_checkpoint_its_journal_and_the_settings(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """A10, A11, A12: by HEAD, never by string; a whole model, not an adapter; and it is really taken."""
    note = take(paths)
    assert note is not None
    assert (note["checkpoint"], note["step"], note["hard_links"]) == (NEW, 100000, True)
    folder = folder_of(paths)
    assert check_snapshot(folder, deep=True) == []
    assert check_manifest(folder / NEW) == []
    assert {path.name for path in folder.iterdir()} == {NEW, "settings.yaml", "SNAPSHOT.json"}
    assert {*MODEL, "model.safetensors", "tokenizer", "MANIFEST.json", ".ledger.json"} == {
        path.name for path in (folder / NEW).iterdir()
    }
    settings = (folder / "settings.yaml").read_text().splitlines()
    assert settings[1:] == ["save_steps: 7"]
    assert json.loads((folder / "SNAPSHOT.json").read_text()) == note
    assert (snapshot_days(paths), hidden(paths)) == ([DAY], [])


@pytest.mark.parametrize(
    "notifications",
    [
        "notifications:\n  targets: [slack://hunter2]\n  gather_seconds: 3\n",
        "notifications: {targets: ['slack://hunter2'], gather_seconds: 3}\n",
        'notifications:\n  gather_seconds: 3\n  targets:\n  - "slack:\\/\\/hunter2"\n',
        "notifications:\n  #targets: [slack://hunter2]\n  gather_seconds: 3  # was slack://hunter2\n",
    ],
)
def test_no_secret_lies_in_a_snapshot_and_its_settings_can_be_used(
    paths: RealmPaths, store: CheckpointStore, notifications: str
) -> None:
    """Law 8: a snapshot may be had over HTTP and carried to any host; addresses of notifications are passwords."""
    paths.config_file.write_text(f"save_steps: 7\n{notifications}retention: {{snapshot_time: 03:00}}\n")
    before = load_settings(paths.config_file, env={})
    take(paths)
    kept = folder_of(paths) / "settings.yaml"
    assert "hunter2" not in kept.read_text()
    after = load_settings(kept, env={})
    assert (after.save_steps, after.retention.snapshot_time) == (7, before.retention.snapshot_time)
    assert (after.notifications.gather_seconds, after.notifications.targets) == (3, ())


def test_settings_that_cannot_be_read_keep_no_model_from_being_kept(paths: RealmPaths, store: CheckpointStore) -> None:
    paths.config_file.write_text("notifications: {targets: [slack://hunter2\n")
    assert take(paths) is not None
    assert {path.name for path in folder_of(paths).iterdir()} == {NEW, "SNAPSHOT.json"}
    assert check_snapshot(folder_of(paths), deep=True) == []


def test_without_a_head_the_newest_is_taken_by_number(paths: RealmPaths, store: CheckpointStore) -> None:
    """A10: checkpoint-99000 beat checkpoint-100000."""
    store.forget_head()
    note = take(paths)
    assert note is not None
    assert note["step"] == 100000


def test_it_takes_no_room_and_outlives_its_checkpoint(paths: RealmPaths, store: CheckpointStore) -> None:
    take(paths)
    original = store.root / NEW / "model.safetensors"
    assert original.samefile(folder_of(paths) / NEW / "model.safetensors")
    store.set_head(OLD)
    store.trash(NEW)
    store.empty_trash()
    assert check_snapshot(folder_of(paths), deep=True) == []


class NoLinks(Files):
    """Two file systems, or one like exFAT."""

    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def test_where_no_links_can_be_made_it_is_a_copy(
    paths: RealmPaths, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = take(paths, NoLinks())
    assert note is not None
    assert note["hard_links"] is False
    copy = folder_of(paths) / NEW / "model.safetensors"
    assert not copy.samefile(store.root / NEW / "model.safetensors")
    assert check_snapshot(folder_of(paths), deep=True) == []
    shutil.rmtree(folder_of(paths))
    usage = type("Usage", (), {"free": 1500})
    monkeypatch.setattr("vault.snapshots.shutil.disk_usage", lambda path: usage)
    with pytest.raises(Unavailable, match="no room for a snapshot"):
        take(paths, NoLinks())
    assert (snapshot_days(paths), hidden(paths)) == ([], [])


def test_a_day_has_one_snapshot(paths: RealmPaths, store: CheckpointStore) -> None:
    take(paths)
    store.set_head(OLD)
    assert take(paths) is None
    assert take_daily(str(paths.base), "2026-11-22", NOW.isoformat()) is not None
    assert snapshot_days(paths) == [DAY, date(2026, 11, 22)]


def test_before_the_first_checkpoint_there_is_nothing_to_keep(paths: RealmPaths) -> None:
    assert take(paths) is None
    assert list(paths.snapshots.iterdir()) == []


# --- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damaged", ["SNAPSHOT.json", f"{NEW}/model.safetensors", f"{NEW}/config.json", f"{NEW}/MANIFEST.json"]
)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_damaged_snapshot_is_taken_anew(paths: RealmPaths, store: CheckpointStore, damaged: str, how: str) -> None:
    """A12: a snapshot that cannot be used is not there."""
    take(paths)
    file = folder_of(paths) / damaged
    file.unlink()
    if how == "empty":
        file.touch()
    assert check_snapshot(folder_of(paths), deep=False) != []
    assert take(paths) is not None
    assert check_snapshot(folder_of(paths), deep=True) == []
    assert hidden(paths) == []


def test_an_adapter_alone_is_no_snapshot(paths: RealmPaths, store: CheckpointStore) -> None:
    """A11: snapshots looked for LoRA adapters after training had moved to full models, and never were valid."""
    staging = store.stage()
    for name in ("adapter_config.json", "adapter_model.safetensors", "config.json"):
        (staging / name).write_text("{}")
    store.publish(staging, "checkpoint-200000-20261121-1000")
    with pytest.raises(Conflict, match=r"is not whole: .* holds no model\.safetensors"):
        take(paths)
    assert (snapshot_days(paths), hidden(paths)) == ([], [])


def test_of_a_torn_checkpoint_no_snapshot_is_taken(paths: RealmPaths, store: CheckpointStore) -> None:
    """A30: verified means hashed."""
    (store.root / NEW / "model.safetensors").write_text("WEIGHTS" * 100)
    with pytest.raises(Conflict, match=r"model\.safetensors was altered"):
        take(paths)
    assert (snapshot_days(paths), hidden(paths)) == ([], [])


@pytest.mark.parametrize("failing", ["link", "fsync", "rename_dir", "write"])
def test_on_a_failing_disk_there_is_no_snapshot_and_nothing_left_over(
    paths: RealmPaths, store: CheckpointStore, failing: str
) -> None:
    """A23: whole or absent."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    files = Files()
    setattr(files, failing, fail)
    with pytest.raises(OSError, match="No space"):
        take(paths, files)
    assert (snapshot_days(paths), hidden(paths)) == ([], [])


def test_a_checkpoint_that_is_replaced_meanwhile_gives_way_to_the_newer_one(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """A24: the rolling slot moves on while its files are linked."""
    newer = "checkpoint-100010-20261121-1000"

    class MovesOn(Files):
        def link(self, source: Path, target: Path) -> None:
            super().link(source, target)
            if source.name == "journal.jsonl" and source.parent.name == NEW:
                publish(store, newer, "newer", more=MODEL, ordinal=2)
                settings = RetentionSettings()
                CheckpointLedger.of(paths).reconcile()
                store.trash(NEW)
                Treasury(paths, CheckpointLedger.of(paths), lambda: settings).prune(NOW)

    note = take(paths, MovesOn())
    assert note is not None
    assert note["checkpoint"] == newer
    assert [path.name for path in folder_of(paths).iterdir() if path.is_dir()] == [newer]


KILLED_AT = ("snapshot.staged", "snapshot.replaced", "trash.renamed")


@pytest.mark.parametrize("point", KILLED_AT)
def test_killed_while_a_snapshot_is_taken_the_next_try_makes_it_whole(
    paths: RealmPaths, store: CheckpointStore, point: str
) -> None:
    """Whole or absent, also where a damaged one of the same day is replaced."""
    (folder_of(paths) / "half").mkdir(parents=True)
    killed_at(point, TAKE, str(paths.base))
    assert all(check_snapshot(paths.snapshots / day.isoformat(), deep=True) for day in snapshot_days(paths))
    take(paths)
    assert check_snapshot(folder_of(paths), deep=True) == []
    settings = RetentionSettings()
    Treasury(paths, CheckpointLedger.of(paths), lambda: settings).prune(NOW)
    assert (snapshot_days(paths), hidden(paths)) == ([DAY], [])

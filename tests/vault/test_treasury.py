"""The treasury on real directories: what is deleted, in which order it is told, and what a kill leaves behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, Unavailable
from core.file_lock import locked_directory
from core.files import Files
from core.paths import RealmPaths
from core.settings import RetentionSettings
from tests.vault.making import killed_at, publish
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest
from vault.retention import Pin, Protection
from vault.snapshots import take_snapshot
from vault.treasury import Treasury

NOW = datetime(2099, 11, 21, 12, 0, tzinfo=UTC)
OLD = "2026-11-21T09:30:00+00:00"
STEPS = (1000, 9000, 10000, 99000, 100000)

DELETE = """
import sys
from datetime import datetime
from pathlib import Path
from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from core.settings import RetentionSettings
from vault.treasury import Treasury
paths = RealmPaths(Path(sys.argv[1]))
limits = RetentionSettings(**{sys.argv[2]: int(sys.argv[3])})
Treasury(paths, CheckpointLedger.of(paths), lambda: limits).prune(datetime.fromisoformat(sys.argv[4]))
"""


@pytest.fixture
def store(paths: RealmPaths) -> CheckpointStore:
    """Five milestones to resume from, the last of them HEAD."""
    store = CheckpointStore(paths.current_model)
    for step in STEPS:
        milestone(store, step)
    CheckpointLedger.of(paths).reconcile()
    return store


def name_of(step: int) -> str:
    return f"checkpoint-{step}-20261121-0930"


def milestone(store: CheckpointStore, step: int, *, optimizer: bool = True, **numbers: Any) -> Path:
    """A checkpoint of about a kilobyte and a half, or half of that without its optimizer."""
    more = {"optimizer.pt": "moments" * 100} if optimizer else {}
    told = {"timestamp": OLD, "milestone": True, "ordinal": 1, "has_optimizer": optimizer, **numbers}
    return publish(store, name_of(step), more=more, **told)


def treasury(
    paths: RealmPaths, pins: Mapping[Path, Pin] | None = None, files: Files | None = None, **limits: object
) -> Treasury:
    settings = RetentionSettings.model_validate(limits)
    return Treasury(
        paths, CheckpointLedger.of(paths), lambda: settings, pins=lambda: pins or {}, files=files or Files()
    )


def steps_in(store: CheckpointStore) -> list[int]:
    return [found.step for found in store.list()]


# --- what goes -----------------------------------------------------------------------------------------------------


def test_checkpoints_are_found_where_the_trainer_writes_them_and_the_oldest_go(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """A9, A10: retention looked into a directory that nobody wrote to; and 99000 is older than 100000."""
    planned = treasury(paths, resumable=2).plan(NOW)
    assert [each.holding.step for each in planned] == [1000, 9000, 10000]
    assert steps_in(store) == list(STEPS)
    done = treasury(paths, resumable=2).prune(NOW)
    assert [(each.holding.name, each.reason) for each in done] == [(each.holding.name, each.reason) for each in planned]
    assert steps_in(store) == [99000, 100000]
    assert [record.step for record in CheckpointLedger.of(paths).list_all()] == [100000, 99000]
    assert treasury(paths, resumable=2).prune(NOW) == []


def test_the_ledger_is_told_of_each_deletion_with_its_reason(paths: RealmPaths, store: CheckpointStore) -> None:
    """A1, A29: exactly the named one leaves the ledger, and its history says why."""
    treasury(paths, resumable=4).prune(NOW)
    lines = [json.loads(line) for line in paths.ledger_history.read_text().splitlines()]
    told = [(line["canonical_name"], line["reason"]) for line in lines if line["event"] == "forgotten"]
    assert told == [(name_of(1000), "It is not one of the 4 newest checkpoints to resume from.")]
    assert json.loads(paths.ledger_index.read_text())["checkpoint_count"] == 4


def test_checkpoints_of_full_models_count_with_and_without_an_optimizer(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """A11: what makes a checkpoint is its name and its manifest, never the adapter of a LoRA."""
    for step in (2000, 3000):
        milestone(store, step, optimizer=False)
    store.set_head(name_of(100000))
    treasury(paths, weights_only=1).prune(NOW)
    assert steps_in(store) == [1000, 3000, 9000, 10000, 99000, 100000]


def test_a_directory_that_nobody_recorded_counts_too(paths: RealmPaths, store: CheckpointStore) -> None:
    """A8, A9: Hugging Face's own `checkpoint-500` is seen, by the date in no name but that of its directory."""
    (store.root / "checkpoint-500").mkdir()
    (store.root / "checkpoint-500" / "optimizer.pt").write_text("moments")
    assert [each.holding.name for each in treasury(paths, resumable=5).plan(NOW)] == ["checkpoint-500"]


def test_the_best_and_what_is_named_and_what_a_history_began_with_stay(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """The seed declared `protect_best` and deleted the best."""
    milestone(store, 1000, train_loss=0.1, val_loss=0.9)
    milestone(store, 9000, train_loss=0.5, val_loss=0.3)
    milestone(store, 2000, created_by="adopted", ordinal=None)
    milestone(store, 3000)
    milestone(store, 4000)
    store.set_head(name_of(100000))
    CheckpointLedger.of(paths).reconcile()
    verdict = treasury(paths, resumable=1, keep=["3000"]).verdict(NOW)
    assert [each.holding.step for each in verdict.deletions] == [4000, 10000]
    kept = {each.holding.step: each for each in verdict.kept}
    assert kept[1000].pin == Pin(Protection.PROTECTED, "It is the best by train_loss (0.1).")
    assert kept[9000].pin == Pin(Protection.PROTECTED, "It is the best by val_loss (0.3).")
    assert (kept[2000].protection, kept[3000].protection) == (Protection.SACRED, Protection.PROTECTED)


def test_what_somebody_refers_to_stays_whatever_the_limits_say(paths: RealmPaths, store: CheckpointStore) -> None:
    """A24: retention deleted what others still needed."""
    pin = Pin(Protection.SACRED, "It is the base model of the hero mira.")
    link = paths.base / "elsewhere"
    link.symlink_to(paths.current_model)
    keeper = treasury(paths, {link / name_of(1000): pin}, resumable=1)
    assert [each.holding.step for each in keeper.prune(NOW)] == [9000, 10000]
    assert store.resolve("1000") is not None


def test_with_retention_off_everything_stays_and_everything_is_explained(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    off = treasury(paths, enabled=False, resumable=1)
    assert (off.prune(NOW), off.make_room(10**12, NOW)) == ([], [])
    assert [each.holding.step for each in off.verdict(NOW).kept] == list(STEPS)


def test_what_is_new_stays(paths: RealmPaths, store: CheckpointStore) -> None:
    saved = datetime.fromisoformat(OLD)
    assert treasury(paths, resumable=1).prune(saved + timedelta(hours=35)) == []
    assert len(treasury(paths, resumable=1, min_age_hours=34).plan(saved + timedelta(hours=35))) == 3


def test_branches_archives_and_snapshots_keep_to_their_limits(paths: RealmPaths, store: CheckpointStore) -> None:
    """Law 9: nothing grows without bound."""
    store.move_to_branch(name_of(9000), "rewound-9")
    store.move_to_branch(name_of(1000), "rewound-9")
    store.move_to_branch(name_of(10000), "rewound-12")
    for name in ("dio-20260101T000000Z", "dio-20261001T000000Z", "dio-20261001T000000Z-2", "by hand"):
        (paths.archive / name).mkdir(parents=True)
        (paths.archive / name / "journal.jsonl").write_text("{}")
    for day in ("2026-11-08", "2026-11-09", "2026-11-10", "not-a-day"):
        (paths.snapshots / day).mkdir(parents=True)
        (paths.snapshots / day / "realm.yaml").write_text(day)
    done = treasury(paths, branches=1, branch_days=36_000, archives=1, archive_days=36_000, snapshots=2).prune(NOW)
    assert [each.holding.name for each in done] == [
        f"rewound-9/{name_of(1000)}", f"rewound-9/{name_of(9000)}",
        "2026-11-08", "dio-20260101T000000Z", "dio-20261001T000000Z",
    ]  # fmt: skip
    assert [path.name for path in (store.root / "branches").iterdir()] == ["rewound-9", "rewound-12"]
    assert {path.name for path in paths.archive.iterdir()} == {"dio-20261001T000000Z-2", "by hand"}
    assert {path.name for path in paths.snapshots.iterdir()} == {"2026-11-09", "2026-11-10", "not-a-day"}


def test_room_is_made_by_the_oldest_and_never_by_a_pin(paths: RealmPaths, store: CheckpointStore) -> None:
    size = sum(path.stat().st_size for path in (store.root / name_of(1000)).rglob("*") if path.is_file())
    keeper = treasury(paths)
    assert keeper.make_room(0, NOW) == []
    assert [each.holding.step for each in keeper.make_room(size + 1, NOW)] == [1000, 9000]
    done = keeper.make_room(10**15, NOW)
    assert [(each.holding.step, each.frees_bytes > 1000) for each in done] == [(10000, True)]
    assert steps_in(store) == [99000, 100000]


# --- the rolling slot ----------------------------------------------------------------------------------------------


def test_a_checkpoint_per_quest_shares_one_slot_with_what_stands_in_for_it(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """A7: a full checkpoint for each quest filled the disk. A14: with HEAD alone, a flipped bit in it cost months."""
    keeper, ledger = treasury(paths), CheckpointLedger.of(paths)
    for step in (100010, 100020, 100030, 100040):
        milestone(store, step, milestone=False)
        assert keeper.free_rolling_slot(NOW) == [name_of(step - 20)] * (step > 100020)
    assert steps_in(store) == [*STEPS, 100030, 100040]
    # Saved without an optimizer, so not HEAD, and no stand-in: it goes when a newer one is there.
    staged = milestone(store, 100050, milestone=False, optimizer=False)
    store.set_head(name_of(100040))
    assert keeper.free_rolling_slot(NOW) == []
    milestone(store, 100060, milestone=False)
    assert keeper.free_rolling_slot(NOW) == [name_of(100030), staged.name]
    assert [record.step for record in ledger.list_all(limit=1)] == [100060]


def test_the_rolling_slot_leaves_alone_what_is_the_best_and_what_is_named(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """The seed declared `protect_best` and deleted the best; `retention.keep` says that what it names never goes."""
    for step, loss in ((100010, 0.1), (100020, 0.5), (100030, 0.5), (100040, 0.5), (100050, 0.5)):
        milestone(store, step, milestone=False, train_loss=loss)
    assert treasury(paths, keep=["100020"]).free_rolling_slot(NOW) == [name_of(100030)]
    assert steps_in(store) == [*STEPS, 100010, 100020, 100040, 100050]


def test_what_was_saved_anew_has_not_what_has_rotted_for_its_stand_in(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    """A9: HEAD was found rotten and is saved anew, a minute later by its name."""
    for name in (name_of(100010), name_of(100020), "checkpoint-100020-20261121-0931"):
        told = {"timestamp": OLD, "ordinal": 1, "has_optimizer": True}
        publish(store, name, more={"optimizer.pt": "moments"}, **told)
    assert treasury(paths).free_rolling_slot(NOW) == [name_of(100020)]


def test_the_rolling_slot_leaves_alone_what_somebody_refers_to(paths: RealmPaths, store: CheckpointStore) -> None:
    """A24."""
    base = milestone(store, 100010, milestone=False)
    milestone(store, 100020, milestone=False)
    milestone(store, 100030, milestone=False)
    pin = Pin(Protection.SACRED, "It is the base model of the hero mira.")
    assert treasury(paths, {base: pin}).free_rolling_slot(NOW) == []


# --- deletions that meet with something ----------------------------------------------------------------------------


class Full(Files):
    """A disk that takes nothing until something is unlinked."""

    full = True

    def write(self, fd: int, data: bytes) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, data)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.full = False


def test_a_full_disk_is_given_room_before_the_ledger_is_told(paths: RealmPaths, store: CheckpointStore) -> None:
    """A23: renaming and unlinking take no room, the line in the ledger's history does."""
    settings = RetentionSettings(resumable=4)
    files = Full()
    ledger = CheckpointLedger.of(paths, files)
    assert len(Treasury(paths, ledger, lambda: settings, files=files).prune(NOW)) == 1
    assert json.loads(paths.ledger_index.read_text())["checkpoint_count"] == 4
    assert "forgotten" in paths.ledger_history.read_text()


class Undeletable(Files):
    """One directory that cannot be renamed, as in a folder of another user."""

    def rename_dir(self, source: Path, target: Path) -> None:
        if source.name == name_of(9000):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(source))
        super().rename_dir(source, target)


def test_one_that_cannot_be_deleted_holds_up_no_other(paths: RealmPaths, store: CheckpointStore) -> None:
    done = treasury(paths, files=Undeletable(), resumable=2).prune(NOW)
    assert [each.holding.step for each in done] == [1000, 10000]
    assert 9000 in [record.step for record in CheckpointLedger.of(paths).list_all()]


def test_two_that_prune_at_once_delete_each_thing_once(paths: RealmPaths, store: CheckpointStore) -> None:
    """A14: the ledger of several writers loses nothing, and what another has deleted is no error."""
    done: list[int | None] = []
    keepers = [treasury(paths, resumable=1) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda keeper=keeper: done.extend(e.holding.step for e in keeper.prune(NOW)))
        for keeper in keepers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(step for step in done if step) == [1000, 9000, 10000]
    assert json.loads(paths.ledger_index.read_text())["checkpoint_count"] == 2


def test_who_reads_a_checkpoint_that_goes_keeps_what_he_has_opened(paths: RealmPaths, store: CheckpointStore) -> None:
    """A24: a reader gets whole bytes or a clear error, and the ledger reports no damage of what is gone."""
    with (store.root / name_of(1000) / "model.safetensors").open() as reader:
        ledger = CheckpointLedger.of(paths)

        def deleted_while_checked(folder: Path, *, deep: bool) -> list[str]:
            treasury(paths, resumable=4).prune(NOW)
            return check_manifest(folder, deep=deep)

        assert ledger.verify(deleted_while_checked) == {}
        assert reader.read() == "weights" * 100


def test_a_fallback_that_vanishes_while_the_trainer_looks_for_one_is_passed_over(
    paths: RealmPaths, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The treasury never takes what stands in for HEAD; somebody with `rm` may."""
    (store.root / name_of(100000) / "model.safetensors").write_text("torn")

    def deleted_while_checked(folder: Path) -> list[str]:
        if folder.name == name_of(99000):
            with pytest.raises(Conflict):
                store.trash(folder.name)
            shutil.rmtree(folder)
        return check_manifest(folder)

    monkeypatch.setattr("vault.checkpoints.check_manifest", deleted_while_checked)
    found, quarantined = store.newest_valid()
    assert (found and found.step, [torn.name for torn in quarantined]) == (10000, [name_of(100000)])


class Stuck(Files):
    """A disk that takes renames and deletes nothing."""

    def unlink(self, path: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))


def test_what_is_out_of_sight_but_still_on_the_disk_is_not_told_as_freed(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    (gone,) = treasury(paths, files=Stuck(), resumable=4).prune(NOW)
    assert (gone.holding.step, gone.frees_bytes) == (1000, 0)
    assert gone.reason.endswith("the next round tries again.")
    assert steps_in(store) == list(STEPS[1:])
    assert len(list(store.root.glob(".trash-*"))) == 1
    assert treasury(paths, resumable=4).prune(NOW) == []
    assert list(store.root.glob(".trash-*")) == []


def test_half_a_snapshot_goes_with_the_next_round_unless_one_is_being_taken(paths: RealmPaths) -> None:
    """Law 9: with no snapshots in the settings, its hard links kept deleted checkpoints on the disk for ever."""
    half = paths.snapshots / ".staging-1234"
    half.mkdir(parents=True)
    (half / "realm.yaml").write_text("")
    with locked_directory(paths.snapshots):
        treasury(paths, snapshots=0).prune(NOW)
        assert half.is_dir()
    treasury(paths, snapshots=0).prune(NOW)
    assert not half.exists()


# --- kills ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["trash.renamed", "prune.forgotten", "trash.begun"])
def test_killed_while_a_checkpoint_is_deleted_the_next_round_finishes_it(
    paths: RealmPaths, store: CheckpointStore, point: str
) -> None:
    """Law 2, A1: gone from sight at once; ledger and disk agree after the next start."""
    killed_at(point, DELETE, str(paths.base), "resumable", "4", NOW.isoformat())
    assert steps_in(store) == list(STEPS[1:])
    ledger = CheckpointLedger.of(paths)
    assert [record.step for record in ledger.list_all()] == list(reversed(STEPS[1:]))
    ledger.reconcile(now=NOW)
    assert treasury(paths, resumable=4).prune(NOW) == []
    assert json.loads(paths.ledger_index.read_text())["checkpoint_count"] == 4
    assert list(store.root.glob(".trash-*")) == []
    assert ledger.verify(check_manifest) == {}


def test_killed_while_a_branch_or_an_archive_is_deleted_the_next_round_finishes_it(
    paths: RealmPaths, store: CheckpointStore
) -> None:
    store.move_to_branch(name_of(1000), "rewound-9")
    killed_at("trash.renamed", DELETE, str(paths.base), "branches", "0", NOW.isoformat())
    assert store.branches() == []
    for name in ("dio-20260101T000000Z", "dio-20261001T000000Z"):
        (paths.archive / name).mkdir(parents=True)
    killed_at("trash.begun", DELETE, str(paths.base), "archives", "0", NOW.isoformat())
    treasury(paths).prune(NOW)
    assert list((store.root / "branches").iterdir()) == []
    assert [path.name for path in paths.archive.iterdir()] == ["dio-20261001T000000Z"]


# --- what there is -------------------------------------------------------------------------------------------------


def test_the_status_counts_each_kind_and_shared_files_once(paths: RealmPaths, store: CheckpointStore) -> None:
    """Spec 1.13; unknown sizes are never zero (law 7): every byte is looked at."""
    before = treasury(paths).status()
    store.move_to_branch(name_of(1000), "rewound-9")
    (paths.snapshots / "2026-11-20").mkdir(parents=True)
    os.link(store.root / "HEAD", paths.snapshots / "2026-11-20" / "HEAD")
    for file in (store.root / name_of(9000)).glob("*.*"):
        os.link(file, paths.snapshots / "2026-11-20" / file.name)
    told = treasury(paths, total_gigabytes=7).status()
    assert (before["checkpoint_count"], told["checkpoint_count"], told["branch_count"]) == (5, 4, 1)
    assert (told["snapshot_count"], told["archive_count"], told["archive_size_gb"]) == (1, 0, 0)
    assert told["snapshot_size_gb"] > 1e-6
    assert told["kept_gb"] == pytest.approx(before["kept_gb"], rel=0.01)
    assert told["limit_gb"] == 7
    assert told["health"] in ("healthy", "warning", "critical")
    assert told["total_gb"] > told["free_gb"] > 0


@pytest.mark.parametrize(
    ("percent", "health"), [(80.0, "healthy"), (80.1, "warning"), (90.0, "warning"), (90.1, "critical")]
)
def test_health_is_the_use_of_the_disk(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch, percent: float, health: str
) -> None:
    usage = type("Usage", (), {"total": 1000, "used": int(percent * 10), "free": 1000 - int(percent * 10)})
    monkeypatch.setattr("vault.treasury.shutil.disk_usage", lambda path: usage)
    assert treasury(paths).status()["health"] == health


def test_a_directory_that_is_gone_is_told_in_words(paths: RealmPaths) -> None:
    paths.current_model.rmdir()
    with pytest.raises(Unavailable, match="cannot be looked at"):
        treasury(paths).status()


def test_an_empty_realm_has_nothing_to_delete(paths: RealmPaths) -> None:
    assert treasury(paths, resumable=1).prune(NOW) == []
    assert treasury(paths).make_room(10, NOW) == []
    assert take_snapshot(paths, NOW.date(), now=NOW) is None

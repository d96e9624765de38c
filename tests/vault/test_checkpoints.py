"""A checkpoint is whole or absent, the present one is known, and only what is named is deleted."""

from __future__ import annotations

import errno
import json
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.files import Files
from tests.vault.making import fill, killed_at, publish
from vault.checkpoints import CheckpointStore, Quarantined, checkpoint_name
from vault.manifest import MANIFEST, check_manifest

OLD = "checkpoint-1000-20261121-0900"
NEW = "checkpoint-2000-20261121-0930"

SAVE = """
import sys
from pathlib import Path
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
publish(CheckpointStore(Path(sys.argv[1])), sys.argv[2], "new")
"""
CHOOSE = """
import sys
from pathlib import Path
from vault.checkpoints import CheckpointStore
CheckpointStore(Path(sys.argv[1])).newest_valid()
"""
DELETE = """
import sys
from pathlib import Path
from vault.checkpoints import CheckpointStore
store = CheckpointStore(Path(sys.argv[1]))
store.trash(sys.argv[2])
store.empty_trash()
"""


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    (tmp_path / "current_model").mkdir()
    return CheckpointStore(tmp_path / "current_model")


def names(store: CheckpointStore) -> list[str]:
    return [found.name for found in store.list()]


def hidden(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.root.iterdir() if path.name.startswith("."))


def damage(store: CheckpointStore, name: str) -> None:
    (store.root / name / "model.safetensors").write_text("torn")


# --- names and order ------------------------------------------------------------------------------------------


def test_the_name_carries_step_and_local_time() -> None:
    moment = datetime(2025, 11, 27, 14, 30, 59, tzinfo=timezone(timedelta(hours=2)))
    assert checkpoint_name(190000, moment) == "checkpoint-190000-20251127-1430"


def test_a_negative_step_has_no_name() -> None:
    with pytest.raises(ValueError, match="negative"):
        checkpoint_name(-1, datetime.now(UTC))


@given(st.lists(st.integers(0, 10**12), unique=True, max_size=12))
def test_checkpoints_are_listed_by_step_as_a_number(tmp_path_factory: pytest.TempPathFactory, steps: list[int]) -> None:
    """A10: checkpoint-99000 never comes after checkpoint-100000."""
    store = CheckpointStore(tmp_path_factory.mktemp("store"))
    for number, step in enumerate(steps):
        (store.root / (f"checkpoint-{step}" if number % 2 else f"checkpoint-{step}-20261121-0930")).mkdir()
    assert [found.step for found in store.list()] == sorted(steps)


def test_the_list_shows_only_published_directories(store: CheckpointStore) -> None:
    publish(store, OLD)
    store.stage()
    publish(store, NEW)
    store.trash(OLD)
    (store.root / "checkpoint-5000-20261121-0931").write_text("a file")
    (store.root / "checkpoint-best").mkdir()
    (store.root / "checkpoint-6000").symlink_to(store.root / NEW)
    (store.root / ".quarantine-checkpoint-3000-20261121-0930").mkdir()
    assert names(store) == [NEW]


def test_a_store_without_a_directory_is_empty(store: CheckpointStore) -> None:
    assert store.list() == []
    assert store.head() is None
    assert store.resolve("latest") is None
    assert store.newest_valid() == (None, [])
    assert store.sweep() == []


# --- saving ---------------------------------------------------------------------------------------------------


def test_publishing_makes_a_whole_checkpoint_and_head(store: CheckpointStore) -> None:
    path = publish(store, OLD)
    assert path == store.root / OLD
    assert check_manifest(path) == []
    assert names(store) == [OLD]
    assert store.head() == OLD
    assert hidden(store) == []


def test_publishing_under_a_name_in_use_replaces_the_old_one(store: CheckpointStore) -> None:
    publish(store, OLD, "first")
    publish(store, OLD, "second")
    assert "second" in (store.root / OLD / "model.safetensors").read_text()
    assert check_manifest(store.root / OLD) == []
    assert hidden(store) == []


@pytest.mark.parametrize("name", ["../up", "checkpoint-x", ".trash-checkpoint-1-20261121-0900", "checkpoint-1/.."])
def test_a_wrong_name_is_refused(store: CheckpointStore, name: str) -> None:
    staging = store.stage()
    fill(staging)
    with pytest.raises(InvalidInput, match="cannot be published"):
        store.publish(staging, name)


def test_only_a_staging_directory_of_this_store_is_published(store: CheckpointStore, tmp_path: Path) -> None:
    publish(store, OLD)
    for folder in (tmp_path, store.root / OLD):
        with pytest.raises(InvalidInput, match="cannot be published"):
            store.publish(folder, NEW)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("failing", ["fsync", "write", "rename_dir"])
def test_a_save_on_a_failing_disk_leaves_the_old_checkpoint_and_frees_its_space(
    store: CheckpointStore, code: int, failing: str
) -> None:
    """A23: a full disk ends one save, never the checkpoint that is there."""

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    publish(store, OLD)
    staging = store.stage()
    fill(staging)
    files = Files()
    setattr(files, failing, fail)
    with pytest.raises(OSError, match=os.strerror(code)):
        CheckpointStore(store.root, files).publish(staging, NEW)
    assert names(store) == [OLD]
    assert store.head() == OLD
    assert hidden(store) == []
    assert store.newest_valid()[0] == store.resolve(OLD)


def test_a_replacement_that_fails_puts_the_old_one_back(store: CheckpointStore) -> None:
    class SecondRenameFails(Files):
        renames = 0

        def rename_dir(self, source: Path, target: Path) -> None:
            self.renames += 1
            if self.renames == 2:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().rename_dir(source, target)

    publish(store, OLD, "first")
    with pytest.raises(OSError, match="Input/output"):
        publish(CheckpointStore(store.root, SecondRenameFails()), OLD, "second")
    assert "first" in (store.root / OLD / "model.safetensors").read_text()
    assert store.newest_valid()[0] == store.resolve(OLD)
    assert hidden(store) == []


def test_head_is_only_set_to_a_checkpoint_that_is_there(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    store.set_head(OLD)
    assert store.head() == OLD
    with pytest.raises(NotFound, match="checkpoint-3000"):
        store.set_head("checkpoint-3000-20261121-0930")
    assert store.head() == OLD


@pytest.mark.parametrize("content", ["", "../../etc", "checkpoint-x", "\x00\udcff"])
def test_a_damaged_head_counts_as_none(store: CheckpointStore, content: str) -> None:
    publish(store, OLD)
    (store.root / "HEAD").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert store.head() is None
    found, _ = store.newest_valid()
    assert found is not None
    assert found.name == OLD


# --- real kills -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "published", "head"),
    [
        ("save.staged", False, OLD),
        ("save.manifest", False, OLD),
        ("save.renamed", True, OLD),
        ("save.head", True, NEW),
    ],
)
def test_a_save_that_is_killed_leaves_the_checkpoint_whole_or_absent(
    store: CheckpointStore, point: str, published: bool, head: str
) -> None:
    """Law 2; A14: kill -9 at each point of a save leaves no half checkpoint under a real name."""
    publish(store, OLD)
    killed_at(point, SAVE, str(store.root), NEW)
    assert names(store) == ([OLD, NEW] if published else [OLD])
    assert all(check_manifest(found.path) == [] for found in store.list())
    assert store.head() == head
    store.sweep()
    assert hidden(store) == []
    found, quarantined = store.newest_valid()
    assert found is not None
    assert found.name == head
    assert quarantined == []


@pytest.mark.parametrize("first_call", ["newest_valid", "sweep", "empty_trash"])
def test_killed_between_the_two_renames_of_a_replacement_the_old_one_comes_back(
    store: CheckpointStore, first_call: str
) -> None:
    """The present checkpoint may be the only one: a sweep must not delete it from the trash."""
    publish(store, OLD, "first")
    killed_at("trash.renamed", SAVE, str(store.root), OLD)
    assert names(store) == []
    getattr(store, first_call)()
    assert "first" in (store.root / OLD / "model.safetensors").read_text()
    found, quarantined = store.newest_valid()
    assert found is not None
    assert (found.name, quarantined) == (OLD, [])


def test_a_deletion_that_is_killed_is_finished_by_the_sweep(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    killed_at("trash.renamed", DELETE, str(store.root), OLD)
    assert names(store) == [NEW]
    assert store.sweep() == [OLD]
    assert hidden(store) == []


# --- resuming -------------------------------------------------------------------------------------------------


def test_head_is_taken_while_it_is_whole_even_when_newer_ones_lie_there(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    store.set_head(OLD)
    found, quarantined = store.newest_valid()
    assert (found, quarantined) == (store.resolve(OLD), [])


def test_head_is_taken_before_a_later_directory_of_the_same_step(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, "checkpoint-1000-20261121-0905")
    store.set_head(OLD)
    assert store.newest_valid() == (store.resolve(OLD), [])


def test_a_torn_head_is_set_aside_and_its_newest_whole_ancestor_taken(store: CheckpointStore) -> None:
    """A30: a half checkpoint is never picked as the latest."""
    for step in (900, 1000, 2000, 3000):
        publish(store, f"checkpoint-{step}-20261121-0900")
    store.set_head("checkpoint-2000-20261121-0900")
    damage(store, "checkpoint-2000-20261121-0900")
    (store.root / "checkpoint-1000-20261121-0900" / MANIFEST).unlink()
    found, quarantined = store.newest_valid(now=datetime(2026, 11, 21, tzinfo=UTC))
    assert found is not None
    assert found.step == 900
    assert [(q.name, q.reasons) for q in quarantined] == [
        ("checkpoint-2000-20261121-0900", ["model.safetensors has 4 bytes instead of 700"]),
        ("checkpoint-1000-20261121-0900", [f"{MANIFEST} is missing"]),
    ]
    assert names(store) == ["checkpoint-900-20261121-0900", "checkpoint-3000-20261121-0900"]
    note = store.root / ".quarantine-checkpoint-1000-20261121-0900" / "QUARANTINE.json"
    assert json.loads(note.read_text()) == {"reason": f"{MANIFEST} is missing", "at": "2026-11-21T00:00:00+00:00"}
    assert store.newest_valid()[0] == found


def test_without_head_the_newest_whole_one_is_taken_by_number(store: CheckpointStore) -> None:
    """A10: resume goes by number, never by string or mtime."""
    publish(store, "checkpoint-100000-20261121-0900")
    publish(store, "checkpoint-99000-20261121-0930")
    (store.root / "HEAD").unlink()
    found, _ = store.newest_valid()
    assert found is not None
    assert found.step == 100000


def test_the_same_name_can_be_set_aside_twice(store: CheckpointStore) -> None:
    for _ in range(2):
        publish(store, OLD)
        damage(store, OLD)
        assert store.newest_valid()[0] is None
    assert len(hidden(store)) == 2


def test_a_torn_checkpoint_goes_out_of_the_way_when_the_disk_is_too_full_to_say_why(store: CheckpointStore) -> None:
    class Full(Files):
        def write(self, fd: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    publish(store, OLD)
    damage(store, OLD)
    found, quarantined = CheckpointStore(store.root, Full()).newest_valid()
    assert found is None
    assert [q.name for q in quarantined] == [OLD]
    assert hidden(store) == [f".quarantine-{OLD}"]


def test_checkpoints_that_cannot_be_read_are_not_set_aside(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing rights say nothing about a checkpoint: the start fails instead of beginning from the base model."""
    publish(store, OLD)
    real_read = Path.read_bytes

    def no_right(self: Path) -> bytes:
        if self.name == MANIFEST:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real_read(self)

    monkeypatch.setattr(Path, "read_bytes", no_right)
    with pytest.raises(Unavailable, match="Permission denied"):
        store.newest_valid()
    assert names(store) == [OLD]


KILLED_AT = ("quarantine.noted", "quarantine.renamed")


@pytest.mark.parametrize(("point", "stands"), list(zip(KILLED_AT, (True, False), strict=True)))
def test_killed_while_it_is_set_aside_a_torn_checkpoint_is_still_never_chosen(
    store: CheckpointStore, point: str, stands: bool
) -> None:
    publish(store, OLD)
    publish(store, NEW)
    damage(store, NEW)
    killed_at(point, CHOOSE, str(store.root))
    assert names(store) == ([OLD, NEW] if stands else [OLD])
    found, _ = store.newest_valid()
    assert found is not None
    assert (found.name, names(store)) == (OLD, [OLD])
    (aside,) = store.set_aside()
    assert (aside.name, len(aside.reasons)) == (f".quarantine-{NEW}", 1)


def test_a_note_that_is_gone_or_damaged_leaves_the_reason_open(store: CheckpointStore) -> None:
    publish(store, OLD)
    store.quarantine(OLD, ["torn"])
    assert store.set_aside() == [Quarantined(f".quarantine-{OLD}", ["torn"])]
    (store.root / f".quarantine-{OLD}" / "QUARANTINE.json").write_text('{"reason": 3}')
    assert store.set_aside() == [Quarantined(f".quarantine-{OLD}", [])]


def test_of_those_set_aside_the_ones_that_may_be_whole_and_hold_the_most_are_kept(store: CheckpointStore) -> None:
    """HEAD is set aside first: the ones set aside last are the ones to miss least."""
    for step in (4000, 3000, 2000, 1000):
        publish(store, f"checkpoint-{step}-20261121-0900")
        store.quarantine(f"checkpoint-{step}-20261121-0900", ["it"], may_be_whole=step == 2000)
    publish(store, "checkpoint-4000-20261121-0900")
    store.quarantine("checkpoint-4000-20261121-0900", ["again"])
    left = []
    for keep in (4, 3, 2, 1, 0):
        (gone,) = store.forget_quarantined(keep)
        left.append(gone.split("-")[2])
    assert left == ["1000", "3000", "4000", "4000", "2000"]


# --- deleting -------------------------------------------------------------------------------------------------


def test_deleting_one_step_leaves_all_longer_numbers_alone(store: CheckpointStore) -> None:
    """A29: deleting 1000 does not touch 10000 or 100000."""
    for step in (1000, 10000, 100000):
        publish(store, f"checkpoint-{step}-20261121-0900")
    store.trash("checkpoint-1000-20261121-0900")
    store.empty_trash()
    assert [found.step for found in store.list()] == [10000, 100000]
    with pytest.raises(NotFound):
        store.trash("checkpoint-1000")
    assert [found.step for found in store.list()] == [10000, 100000]


@pytest.mark.parametrize("name", ["..", "", ".", "HEAD", "../current_model", "checkpoint-7-20261121-0900"])
def test_only_checkpoints_that_are_there_are_deleted(store: CheckpointStore, name: str) -> None:
    publish(store, OLD)
    with pytest.raises(NotFound):
        store.trash(name)
    assert names(store) == [OLD]


def test_the_present_checkpoint_is_never_deleted(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    with pytest.raises(Conflict, match="present checkpoint"):
        store.trash(NEW)
    assert names(store) == [OLD, NEW]


def test_what_stands_in_for_a_lost_head_is_not_deleted_either(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    damage(store, NEW)
    store.newest_valid()
    with pytest.raises(Conflict, match="present checkpoint"):
        store.trash(OLD)
    assert names(store) == [OLD]


def test_a_checkpoint_is_not_deleted_between_its_rename_and_head(store: CheckpointStore) -> None:
    """The daemon frees the rolling slot while the trainer publishes: it sees the new one before HEAD names it."""
    outcomes: list[str] = []

    def delete() -> None:
        try:
            CheckpointStore(store.root).trash(NEW)
            outcomes.append("deleted")
        except Conflict:
            outcomes.append("refused")

    deleter = threading.Thread(target=delete)

    class DeletedMeanwhile(Files):
        def rename_dir(self, source: Path, target: Path) -> None:
            super().rename_dir(source, target)
            deleter.start()
            deleter.join(timeout=0.3)

    publish(store, OLD)
    publish(CheckpointStore(store.root, DeletedMeanwhile()), NEW)
    deleter.join(timeout=10)
    assert outcomes == ["refused"]
    assert (store.head(), names(store)) == (NEW, [OLD, NEW])


def test_a_replacement_is_not_disturbed_by_emptying_the_trash(store: CheckpointStore) -> None:
    """For a moment only the trash holds the present checkpoint; nobody else may restore or unlink it then."""
    cleaner = threading.Thread(target=lambda: CheckpointStore(store.root).empty_trash())

    class CleanedMeanwhile(Files):
        renames = 0

        def rename_dir(self, source: Path, target: Path) -> None:
            self.renames += 1
            if self.renames == 2:
                cleaner.start()
                cleaner.join(timeout=0.3)
            super().rename_dir(source, target)

    publish(store, OLD, "first")
    publish(CheckpointStore(store.root, CleanedMeanwhile()), OLD, "second")
    cleaner.join(timeout=10)
    assert "second" in (store.root / OLD / "model.safetensors").read_text()
    assert check_manifest(store.root / OLD) == []


def test_trash_waits_so_that_the_ledger_can_be_told_in_between(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    trashed = store.trash(OLD)
    assert names(store) == [NEW]
    assert trashed.is_dir()
    assert store.empty_trash() == [OLD]
    assert not trashed.exists()


def test_what_cannot_be_unlinked_waits_for_the_next_sweep_and_does_not_look_whole(store: CheckpointStore) -> None:
    class Stubborn(Files):
        def unlink(self, path: Path) -> None:
            if path.name == "model.safetensors":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().unlink(path)

    publish(store, OLD)
    publish(store, NEW)
    store.trash(OLD)
    assert CheckpointStore(store.root, Stubborn()).empty_trash() == []
    (left,) = store.root.glob(".trash-*")
    assert check_manifest(left) == [f"{MANIFEST} is missing"]
    assert store.sweep() == [OLD]
    assert hidden(store) == []


def test_the_sweep_removes_half_made_saves_and_follows_no_link(store: CheckpointStore, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("gold")
    publish(store, OLD)
    (store.stage() / "link").symlink_to(treasure)
    (store.root / ".staging-link").symlink_to(treasure)
    (store.root / ".HEAD.1234abcd.tmp").write_text("half")
    store.sweep()
    assert (treasure / "gold").read_text() == "gold"
    assert hidden(store) == [".staging-link"]


# --- finding by id --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("1000", "checkpoint-1000-20261121-0930"),
        ("checkpoint_1000", "checkpoint-1000-20261121-0930"),
        ("checkpoint-1000", "checkpoint-1000-20261121-0930"),
        ("checkpoint-1000-20261121-0900", "checkpoint-1000-20261121-0900"),
        ("checkpoint_1000-20261121-0900", "checkpoint-1000-20261121-0900"),
        ("latest", "checkpoint-10000-20261121-0900"),
        ("100", None),
        ("checkpoint-1000-20261121-0901", None),
        ("../checkpoint-1000-20261121-0900", None),
        ("", None),
        ("9" * 5000, None),
        ("١٠٠٠", None),
    ],
)
def test_a_checkpoint_is_found_by_every_id_and_only_exactly(
    store: CheckpointStore, reference: str, name: str | None
) -> None:
    """A27, A29: one checkpoint has many ids, but no id is a prefix."""
    for each in ("checkpoint-1000-20261121-0900", "checkpoint-1000-20261121-0930", "checkpoint-10000-20261121-0900"):
        publish(store, each)
    found = store.resolve(reference)
    assert (found.name if found else None) == name


def test_latest_is_the_checkpoint_of_head(store: CheckpointStore) -> None:
    publish(store, OLD)
    publish(store, NEW)
    store.set_head(OLD)
    assert store.resolve("latest") == store.resolve(OLD)

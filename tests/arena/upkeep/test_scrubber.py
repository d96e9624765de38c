"""Checkpoints are read again in quiet times, within the budget; what has rotted is told and leaves, HEAD last."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from arena.upkeep.scrubber import BUSY_SECONDS, NOTHING_DUE_SECONDS, SLICE_SECONDS, Scrubber, inode_of
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Unavailable
from core.paths import RealmPaths
from core.scribe import Scribe
from core.scribe_worker import find_target
from core.settings import ScrubSettings
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.rereading import read_slice
from vault.scrub_record import ScrubRecord, read_scrub_record, write_scrub_record

OLD = "checkpoint-1000-20261121-0900"
NEW = "checkpoint-2000-20261121-0930"
NOW = datetime(2027, 1, 1, 3, tzinfo=UTC)
"""Six weeks after the checkpoints were saved, by their names."""


async def run_here(target: str, kwargs: dict[str, Any]) -> Any:
    """The job as the scribe's worker finds it, without its process."""
    return find_target(target)(**kwargs)


@dataclass
class Watch:
    """A scrubber, its surroundings, and a clock that goes on by the pauses that it asks for."""

    paths: RealmPaths
    now: datetime = NOW
    quiet: bool = True
    has_trainer: bool = True
    every_days: float = 7.0
    megabytes_per_second: int = 20
    told: list[tuple[str, str]] = field(default_factory=list)
    saves: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answer: Callable[[str, dict[str, Any]], Awaitable[Any]] = run_here

    def __post_init__(self) -> None:
        self.store = CheckpointStore(self.paths.current_model)
        self.ledger = CheckpointLedger.of(self.paths)
        self.restart()

    def restart(self) -> None:
        self.scrubber = Scrubber(
            self.paths, self.ledger, self._ask, is_quiet=lambda: self.quiet, save_anew=self._save_anew, tell=self._tell,
            settings=lambda: ScrubSettings(
                every_days=self.every_days, megabytes_per_second=self.megabytes_per_second
            ),
        )  # fmt: skip

    async def _ask(self, target: str, kwargs: dict[str, Any]) -> Any:
        self.asked.append((target, kwargs))
        return await self.answer(target, kwargs)

    async def _save_anew(self, reason: str) -> bool:
        self.saves.append(reason)
        return self.has_trainer

    async def _tell(self, kind: str, message: str, now: datetime, **data: Any) -> None:
        self.told.append((kind, message))

    async def round(self) -> float:
        pause = await self.scrubber.round(self.now)
        self.now += timedelta(seconds=pause)
        return pause

    async def until_nothing_is_due(self) -> None:
        while await self.round() != NOTHING_DUE_SECONDS:
            pass

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.told]

    @property
    def read(self) -> list[str]:
        """Files that were read from their beginning, as CHECKPOINT/NAME."""
        paths = [Path(kwargs["path"]) for _, kwargs in self.asked if kwargs.get("offset") == 0]
        return [path.relative_to(self.paths.current_model).as_posix() for path in paths]

    @property
    def names(self) -> list[str]:
        return [found.name for found in self.store.list()]


@pytest.fixture
def watch(paths: RealmPaths) -> Watch:
    paths.create()
    store = CheckpointStore(paths.current_model)
    publish(store, OLD, "old")
    publish(store, NEW, "new")
    CheckpointLedger.of(paths).reconcile()
    return Watch(paths)


def rot(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[7] ^= 1
    file.write_bytes(raw)


async def test_every_checkpoint_is_read_again_and_the_time_noted(watch: Watch) -> None:
    await watch.until_nothing_is_due()
    record = read_scrub_record(watch.paths.scrub_record)
    assert record.verified_at.keys() == {OLD, NEW}
    assert (watch.told, record.reading) == ([], None)
    assert len(watch.read) == 2 * 3
    watch.asked.clear()
    watch.now += timedelta(days=6.9)
    await watch.until_nothing_is_due()
    assert watch.asked == []
    watch.now += timedelta(days=0.2)
    await watch.until_nothing_is_due()
    assert len(watch.read) == 2 * 3


async def test_it_keeps_to_its_budget_in_short_slices(watch: Watch) -> None:
    watch.megabytes_per_second = 1
    with (watch.store.root / "big").open("wb") as big:
        big.truncate(3_000_000)
    staging = watch.store.stage()
    (watch.store.root / "big").rename(staging / "model.safetensors")
    watch.store.publish(staging, "checkpoint-3000-20261121-0945")
    begun = watch.now
    await watch.until_nothing_is_due()
    seconds = (watch.now - begun).total_seconds() - NOTHING_DUE_SECONDS
    assert seconds == pytest.approx(3.0, rel=0.01)
    assert max(kwargs.get("length", 0) for _, kwargs in watch.asked) == 1_000_000 * SLICE_SECONDS


async def test_nothing_is_read_while_others_want_the_disk_or_where_it_is_switched_off(watch: Watch) -> None:
    watch.quiet = False
    assert await watch.round() == BUSY_SECONDS
    watch.quiet, watch.megabytes_per_second = True, 0
    assert await watch.round() == BUSY_SECONDS
    assert watch.asked == []


async def test_it_rests_in_the_middle_of_a_file_when_something_comes_in(watch: Watch) -> None:
    await watch.round()
    await watch.round()
    begun = len(watch.asked)
    watch.quiet = False
    for _ in range(5):
        assert await watch.round() == BUSY_SECONDS
    assert len(watch.asked) == begun
    watch.quiet = True
    await watch.until_nothing_is_due()
    assert len(watch.read) == 2 * 3


@pytest.mark.parametrize("damage", [rot, Path.unlink, lambda file: os.truncate(file, 5)], ids=["rot", "gone", "short"])
async def test_a_rotten_checkpoint_is_told_of_and_set_aside(watch: Watch, damage: Callable[[Path], object]) -> None:
    """A30: it is found by reading, while there is time, and the reason is kept."""
    damage(watch.store.root / OLD / "model.safetensors")
    await watch.until_nothing_is_due()
    await watch.round()
    assert watch.kinds == ["checkpoint_rotten", "checkpoint_quarantined"]
    assert all(OLD in message and "model.safetensors" in message for _, message in watch.told)
    assert watch.names == [NEW]
    (aside,) = watch.store.set_aside()
    assert aside.reasons[0].startswith("model.safetensors")
    assert watch.ledger.verify(lambda folder, deep: []) == {}
    assert '"reason": "set aside: model.safetensors' in watch.paths.ledger_history.read_text().splitlines()[-1]
    assert read_scrub_record(watch.paths.scrub_record).verified_at.keys() == {NEW}


async def test_a_manifest_that_rotted_is_found_too(watch: Watch) -> None:
    rot(watch.store.root / OLD / "MANIFEST.json")
    await watch.until_nothing_is_due()
    await watch.round()
    assert watch.kinds == ["checkpoint_rotten", "checkpoint_quarantined"]


async def test_one_wrong_reading_is_no_rot(watch: Watch) -> None:
    """Memory and cables err too: the file is read a second time before anything is said."""
    file = watch.store.root / OLD / "model.safetensors"
    good = file.read_bytes()

    async def misread_once(target: str, kwargs: dict[str, Any]) -> Any:
        answer = await run_here(target, kwargs)
        if kwargs.get("path") == str(file) and watch.read.count(f"{OLD}/model.safetensors") == 1:
            file.write_bytes(good[::-1])
            answer = await run_here(target, kwargs)
            file.write_bytes(good)
        return answer

    watch.answer = misread_once
    await watch.until_nothing_is_due()
    assert watch.read.count(f"{OLD}/model.safetensors") == 2
    assert watch.told == []
    assert read_scrub_record(watch.paths.scrub_record).verified_at.keys() == {OLD, NEW}


async def test_a_rotten_head_stays_until_the_trainer_has_saved_anew(watch: Watch) -> None:
    rot(watch.store.root / NEW / "model.safetensors")
    await watch.until_nothing_is_due()
    assert watch.kinds == ["checkpoint_rotten", "save_asked_for"]
    assert watch.saves == [f"the present checkpoint {NEW} has rotted on the disk"]
    assert (watch.names, watch.store.head()) == ([OLD, NEW], NEW)
    shown = json.loads(watch.paths.scrub_record.read_text())["checkpoints"][NEW]
    assert shown == {"verified_at": None, "problems": ["model.safetensors was altered"]}
    # The save failed, or waits for room: it is asked for again, and nothing is said twice.
    await watch.round()
    assert (len(watch.saves), len(watch.told)) == (2, 2)
    publish(watch.store, "checkpoint-2000-20270101-0300", "new")
    await watch.round()
    assert watch.kinds[2:] == ["checkpoint_quarantined"]
    assert watch.names == [OLD, "checkpoint-2000-20270101-0300"]


async def test_a_head_that_was_saved_anew_under_its_old_name_is_no_longer_rotten(watch: Watch) -> None:
    rot(watch.store.root / NEW / "model.safetensors")
    await watch.until_nothing_is_due()
    await watch.round()
    publish(watch.store, NEW, "new")
    await watch.until_nothing_is_due()
    assert watch.names == [OLD, NEW]
    assert watch.kinds == ["checkpoint_rotten", "save_asked_for"]
    assert NEW in read_scrub_record(watch.paths.scrub_record).verified_at


async def test_a_rotten_head_that_no_trainer_holds_is_told_of_once(watch: Watch) -> None:
    watch.has_trainer = False
    rot(watch.store.root / NEW / "model.safetensors")
    await watch.until_nothing_is_due()
    for _ in range(3):
        watch.now += timedelta(minutes=2)
        await watch.round()
    assert watch.kinds == ["checkpoint_rotten", "head_rotten"]
    assert "the next start goes on from an older one" in watch.told[1][1]
    assert watch.names == [OLD, NEW]


async def test_a_checkpoint_that_is_deleted_while_it_is_read_is_not_called_rotten(watch: Watch) -> None:
    await watch.round()
    await watch.round()
    watch.store.trash(OLD)
    watch.store.empty_trash()
    await watch.until_nothing_is_due()
    assert watch.told == []
    assert read_scrub_record(watch.paths.scrub_record).verified_at.keys() == {NEW}


async def test_a_restart_goes_on_behind_the_files_that_were_read(watch: Watch) -> None:
    while len(read_scrub_record(watch.paths.scrub_record).files_read) < 2:
        await watch.round()
    done = set(watch.read)
    watch.asked.clear()
    watch.restart()
    await watch.until_nothing_is_due()
    assert done.isdisjoint(watch.read[:1])
    assert len(watch.read) == 2 * 3 - 2


async def test_files_that_may_not_be_read_say_nothing_about_the_checkpoint(watch: Watch) -> None:
    async def refuse(target: str, kwargs: dict[str, Any]) -> Any:
        raise Unavailable("no rights")

    watch.answer = refuse
    for _ in range(3):
        assert await watch.round() == NOTHING_DUE_SECONDS
    assert (watch.told, watch.names) == ([], [OLD, NEW])


async def test_a_clock_that_was_years_ahead_does_not_keep_a_checkpoint_unread(watch: Watch) -> None:
    ahead = ScrubRecord(verified_at={OLD: "2038-01-01T00:00:00+00:00", NEW: watch.now.isoformat()})
    write_scrub_record(watch.paths.scrub_record, ahead, now=watch.now)
    watch.restart()
    await watch.until_nothing_is_due()
    assert read_scrub_record(watch.paths.scrub_record).verified_at[OLD].startswith("2027-")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"checkpoints": 3}', '{"checkpoints": {"x": {"verified_at": "yesterday"}}}', '{"reading": 1}']
)
async def test_a_damaged_record_only_means_reading_again(watch: Watch, text: str) -> None:
    watch.paths.scrub_record.write_text(text)
    watch.restart()
    await watch.until_nothing_is_due()
    assert read_scrub_record(watch.paths.scrub_record).verified_at.keys() == {OLD, NEW}


async def test_the_scribe_reads_and_stays_at_hand_for_others(watch: Watch) -> None:
    """One real worker: slices of one file come in turn with other jobs, and one that dies in between costs a file."""
    scribe = Scribe()
    watch.answer = scribe.run
    await watch.round()
    assert await scribe.run("core.finite:finite", {"value": 1}) == 1
    scribe_pid = scribe.worker_pid
    assert scribe_pid is not None
    os.kill(scribe_pid, 9)
    reading = asyncio.create_task(watch.until_nothing_is_due())
    assert await scribe.run("core.finite:finite", {"value": 2}) == 2
    await reading
    await scribe.close()
    assert (watch.told, watch.names) == ([], [OLD, NEW])
    assert read_scrub_record(watch.paths.scrub_record).verified_at.keys() == {OLD, NEW}


# --- slices ---------------------------------------------------------------------------------------------------


def test_slices_of_a_file_that_another_job_came_between_begin_again(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"x" * 10)
    other.write_bytes(b"y" * 10)
    assert read_slice(str(one), 0, 4)["offset"] == 4
    read_slice(str(other), 0, 4)
    assert read_slice(str(one), 4, 4) == {"offset": 0, "digest": None, "problem": None}


def test_a_slice_says_what_is_wrong_with_a_file_and_raises_what_is_not_its_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_slice(str(tmp_path / "gone"), 0, 4)["problem"] == "is missing"
    os.mkfifo(tmp_path / "pipe")
    assert read_slice(str(tmp_path / "pipe"), 0, 4)["problem"] == "is missing"
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_slice(str(tmp_path / "link"), 0, 4)["problem"].startswith("cannot be read")

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", refuse)
    assert read_slice(str(tmp_path / "file"), 0, 4)["problem"] == "cannot be read: Input/output error"
    monkeypatch.undo()

    def no_handles(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", no_handles)
    with pytest.raises(Unavailable, match="Too many open files"):
        read_slice(str(tmp_path / "file"), 0, 4)


async def test_what_was_read_of_another_directory_of_that_name_is_not_charged_to_this_one(watch: Watch) -> None:
    """Saved anew while somebody read it, a good checkpoint was set aside for what its predecessor was."""
    await watch.scrubber.note_read(OLD, inode_of(watch.store.root / NEW), ["x was altered"], NOW)
    assert watch.kinds == []
    await watch.scrubber.note_read(OLD, inode_of(watch.store.root / OLD), ["x was altered"], NOW)
    assert watch.kinds == ["checkpoint_rotten"]

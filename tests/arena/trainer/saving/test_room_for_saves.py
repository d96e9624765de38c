"""A disk without room: what waits, what goes on, and what is saved all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arena.protocol import CheckpointSaved, DiskShort, Pause, Progress, Resume, Save, SaveFailed, State, Trouble
from arena.trainer.saving.save_room import GROWTH, GUESS_REST, Room, SaveRoom
from core.checkpoint_ledger import read_sidecar
from core.files import Files
from tests.arena.trainer.driving import Field
from tests.arena.trainer.in_process import DiskInHand, HandClock, living
from tests.waiting import wait_until
from vault.checkpoints import CheckpointStore

RESERVE = 1 << 30
PLENTY = RESERVE + (1 << 30)
ROWS = 80


@pytest.fixture
def field(tmp_path: Path, tiny_model: Path) -> Field:
    field = Field(tmp_path, tiny_model)
    field.foe("long", ROWS)
    return field


class Free(Files):
    def __init__(self, free: int) -> None:
        self._free = free

    def statvfs(self, folder: Path) -> os.statvfs_result:
        if self._free < 0:
            raise OSError(5, "Input/output error")
        return os.statvfs_result((4096, 1, 0, 0, self._free, 0, 0, 0, 0, 255))


def look(free: int, *, last_size: int | None = 1200, reserve: int = 50, into_reserve: bool = False) -> Room:
    room = SaveRoom(Path("x"), parameters=100, reserve_bytes=reserve, last_size=last_size, files=Free(free))
    return room.look(into_reserve=into_reserve).room


def test_the_size_of_the_next_checkpoint_is_that_of_the_last_one() -> None:
    """A23: the forecast is compared with what is free beyond the reserve."""
    whole = 1200 + GROWTH
    assert look(whole + 50) is Room.FULL
    assert look(whole + 49) is Room.WEIGHTS
    assert look(whole + 49, into_reserve=True) is Room.FULL
    assert look(whole - 800 + 50) is Room.WEIGHTS
    assert look(whole - 800 + 49) is Room.NONE
    guess = 1320 + GUESS_REST
    assert look(guess + 50, last_size=None) is Room.FULL
    assert look(guess + 49, last_size=None) is Room.WEIGHTS


def test_a_directory_that_cannot_be_looked_at_has_no_room() -> None:
    outlook = SaveRoom(Path("/realm/x"), parameters=100, reserve_bytes=0, files=Free(-1)).look()
    assert (outlook.room, outlook.reason) == (Room.NONE, "disk: /realm/x cannot be looked at: Input/output error")


def test_what_is_missing_is_told_in_plain_words() -> None:
    outlook = SaveRoom(Path("/realm/x"), parameters=100, reserve_bytes=10**9, last_size=10**9, files=Free(10**9)).look()
    assert outlook.reason == "disk: a checkpoint needs 2.1 GB free at /realm/x; 1.1 GB are missing"


def test_a_rolling_save_waits_for_room_while_training_goes_on(field: Field) -> None:
    """A23, A28: the disk costs no step and no attempt; the daemon hears of it at once and then every 30 seconds."""
    disk, clock = DiskInHand(), HandClock()
    with living(field, disk, clock, disk_reserve_bytes=RESERVE) as life:
        life.claim(field.foes["long"])
        disk.free = RESERVE - 1
        life.ask(Save(reason="the board is empty"))
        life.make_steps(4)
        short = life.until(DiskShort)
        assert (short.what, short.free_bytes) == ("the board is empty", RESERVE - 1)
        assert short.needed_bytes > RESERVE
        assert (life.step, len(life.said(DiskShort)), life.said(SaveFailed)) == (4, 1, [])
        clock.now += 31
        life.make_steps(1)
        life.until(DiskShort)
        disk.free = PLENTY
        life.make_steps(1)
        assert life.battle._saver.shortage is not None, "the disk is looked at once a second"
        clock.now += 1
        life.make_steps(1)
        life.battle._saver._writer.wait()
        life.make_steps(1)
        assert life.until(CheckpointSaved).step == 7
        life.stop()


def test_an_urgent_save_pauses_training_until_there_is_room(field: Field) -> None:
    """A23: `paused: disk` says what is missing where, obeys meanwhile, and ends by itself."""
    disk, clock = DiskInHand(), HandClock()
    with living(field, disk, clock, disk_reserve_bytes=RESERVE) as life:
        life.claim(field.foes["long"])
        disk.free = RESERVE
        life.ask(Save(reason="a quest has waited 30 minutes for its seal", urgent=True))
        life._reins.allow(3)
        paused = life.until(State, lambda state: state.state == "paused")
        assert paused.reason is not None
        assert paused.reason.startswith("disk: a checkpoint needs ")
        assert str(field.paths.current_model) in paused.reason
        assert life.step == 1
        life.send(Pause(reason="tea"))
        assert life.until(State).reason == "tea"
        life.send(Resume())
        assert life.until(State).reason == paused.reason
        disk.free = PLENTY
        clock.now += 1
        life.until(Progress, lambda progress: progress.step == 3)
        life.stop()
        assert life.said(CheckpointSaved)[0].step == 1


def test_an_idle_trainer_without_room_says_so(field: Field) -> None:
    disk, clock = DiskInHand(), HandClock()
    with living(field, disk, clock, disk_reserve_bytes=RESERVE) as life:
        life.learn(field.foes["long"])
        disk.free = RESERVE
        life.send(Save(reason="the board is empty"))
        paused = life.until(State, lambda state: state.state == "paused")
        assert str(paused.reason).startswith("disk: ")
        disk.free = PLENTY
        clock.now += 1
        assert life.until(CheckpointSaved).covers == ["long"]
        life.stop()
        states = [state.state for state in life.said(State)]
        assert "idle" in states[states.index("paused") :]


def test_a_milestone_holds_weights_alone_once_and_training_waits_at_the_next(field: Field) -> None:
    """A7, A23: weights alone cover nothing, are never HEAD, and a whole checkpoint follows as soon as it fits."""
    disk, clock = DiskInHand(), HandClock()
    store = CheckpointStore(field.paths.current_model)
    with living(field, disk, clock, disk_reserve_bytes=RESERVE, save_steps=4) as life:
        life.claim(field.foes["long"])
        disk.free = RESERVE + life.battle._saver._room.size - 1
        life.make_steps(4)
        life.battle._saver._writer.wait()
        life.make_steps(1)
        saved = life.until(CheckpointSaved)
        assert (saved.milestone, saved.covers, saved.record["has_optimizer"]) == (True, [], False)
        weights = field.paths.current_model / str(saved.name)
        assert not (weights / "optimizer.pt").exists()
        record = read_sidecar(weights)
        assert record is not None
        assert (record.has_optimizer, record.milestone) == (False, True)
        assert store.head() is None
        assert life.said(Trouble)[-1].what == "weights_only"
        assert life.until(DiskShort).what == "a whole checkpoint after the weights alone"
        life.make_steps(2)
        clock.now += 1
        life._reins.allow(2)
        life.until(State, lambda state: state.state == "paused")
        assert life.step == 8
        disk.free = PLENTY
        clock.now += 1
        life.until(State, lambda state: state.state == "training")
        life.stop()
        _, whole, _ = life.said(CheckpointSaved)
        assert (whole.step, whole.milestone, whole.record["has_optimizer"]) == (8, True, True)
        assert [folder.step for folder in store.list()] == [4, 8, 9]


def test_whatever_takes_the_place_of_a_milestone_is_one_too(field: Field) -> None:
    """A9: saved in the same minute it has the same name, and the rolling slot lets go of all that is no milestone."""
    disk, clock = DiskInHand(), HandClock()
    store = CheckpointStore(field.paths.current_model)
    with living(field, disk, clock, disk_reserve_bytes=RESERVE, save_steps=4) as life:
        life.claim(field.foes["long"])
        life.make_steps(3)
        disk.free = RESERVE + life.battle._saver._room.size - 1
        life.ask(Pause(reason="tea"))
        life._reins.allow(1)
        assert life.until(CheckpointSaved).record["has_optimizer"] is False
        disk.free = PLENTY
        clock.now += 1
        whole = life.until(CheckpointSaved)
        assert (whole.step, whole.milestone, whole.record["has_optimizer"]) == (4, True, True)
        life.send(Save(reason="it has rotted", anew=True))
        anew = life.until(CheckpointSaved)
        assert (anew.step, anew.milestone) == (4, True)
        records = [read_sidecar(found.path) for found in store.list()]
        assert records
        assert all(record is not None and record.milestone for record in records)
        life.stop()


def test_without_its_journal_a_save_waits_and_says_so_once(field: Field) -> None:
    """A28: its disk has vanished; nothing is begun in the directory that is left, and nothing deleted to make room."""
    with living(field) as life:
        life.claim(field.foes["long"])
        away = field.journal.rename(field.base / "away")
        life.ask(Save(reason="the board is empty"))
        life.make_steps(2)
        life.until(Trouble, lambda trouble: trouble.what == "journal_failed")
        wait_until(lambda: any(progress.step == 2 for progress in life.said(Progress)), message="a step is not told of")
        told = [trouble for trouble in life.said(Trouble) if trouble.what == "journal_failed"]
        assert [trouble.message.startswith("A checkpoint (the board is empty) waits") for trouble in told] == [True]
        assert life.said(DiskShort) == []
        away.rename(field.journal)
        life.stop()


@pytest.mark.parametrize("free", [RESERVE, 1000])
def test_a_stop_uses_the_reserve_and_says_when_that_is_not_enough(field: Field, free: int) -> None:
    """A6: what could not be saved at the end is named, not lost silently."""
    disk = DiskInHand()
    with living(field, disk, disk_reserve_bytes=RESERVE) as life:
        life.claim(field.foes["long"])
        life.make_steps(2)
        disk.free = free
        life.stop()
        assert life.battle.unsaved is (free == 1000)
        if life.battle.unsaved:
            assert "a checkpoint needs" in life.said(SaveFailed)[-1].reason
        else:
            assert life.said(CheckpointSaved)[-1].step == 3

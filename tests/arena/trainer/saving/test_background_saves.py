"""Checkpoints are written while training goes on: what they hold, when they are told of, and what may come between."""

from __future__ import annotations

import errno
import gc
import json
import os
from pathlib import Path

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from arena.protocol import (
    CheckpointSaved,
    Claimed,
    Progress,
    QuestEnded,
    Save,
    SaveFailed,
    State,
    Stop,
    Trouble,
    Validation,
)
from arena.supervision.position_file import Phase, read_position
from arena.trainer.saving.moulds import Image
from arena.trainer.saving.snapshot import EngineState
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.in_process import DiskInHand, HandClock, LiveBattle, living
from tests.arena.trainer.tiny_hero import chat, write_rows
from vault.checkpoints import CheckpointStore
from vault.manifest import check_manifest

ROWS = 80
"""Twenty steps."""


def one_foe(base: Path, model: Path) -> Field:
    field = Field(base, model)
    field.foe("long", ROWS)
    return field


def save_in_flight(life: LiveBattle, disk: DiskInHand) -> None:
    """Make one step; the checkpoint of that step is then held on its way to the disk."""
    disk.hold()
    life.ask(Save(reason="a test"))
    life.make_steps(1)
    assert disk.reached.wait(60)


def files_of(checkpoint: Path) -> dict[str, bytes]:
    """The files that tell nothing of the time."""
    timely = {"journal.jsonl", "cursor.json", ".ledger.json", "MANIFEST.json"}
    return {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.name not in timely}


def images_in_use() -> int:
    """Of what is being written, as many files as lie in memory in their very shape."""
    states = [state for state in gc.get_objects() if type(state) is EngineState]
    return sum(isinstance(part, Image) for state in states for part in (state.weights, state.optimizer))


def staged(field: Field) -> list[Path]:
    return list(field.paths.current_model.glob(".staging-*"))


def test_a_checkpoint_holds_its_step_byte_by_byte_while_training_goes_on(tmp_path: Path, dropout_model: Path) -> None:
    """Law 3, and A19: what is learned while it is written enters neither the file nor what a resume makes of it."""
    straight, stopped = one_foe(tmp_path / "a", dropout_model), one_foe(tmp_path / "b", dropout_model)
    disk = DiskInHand()
    with living(straight, disk) as life:
        life.claim(straight.foes["long"])
        life.make_steps(2)
        # The first of a life is laid out by the libraries, all others as it was (`saving.moulds`).
        life.ask(Save(reason="an example"))
        life.make_steps(1)
        life.battle._saver._writer.wait()
        life.make_steps(2)
        assert life.until(CheckpointSaved).step == 3
        save_in_flight(life, disk)
        assert images_in_use() == 2
        journal = straight.journal.read_bytes()
        life.make_steps(8)
        assert life.step == 14
        assert life.said(CheckpointSaved)[1:] == []
        assert straight.head.name.startswith("checkpoint-3-")
        disk.release()
        life.battle._saver._writer.wait()
        life.make_steps(1)
        saved = life.until(CheckpointSaved)
        in_background = straight.paths.current_model / str(saved.name)
        assert (saved.step, saved.covers) == (6, [])
        assert straight.head == in_background
        assert check_manifest(in_background) == []
        assert (in_background / "journal.jsonl").read_bytes() == journal
        assert json.loads((in_background / "cursor.json").read_text())["quest_step"] == 6
        copied = files_of(in_background)
        life.stop()
    with living(stopped, stop_at_step=6) as life:
        life.claim(stopped.foes["long"])
        life.end()
    in_place = files_of(stopped.head)
    assert [name for name in in_place if copied[name] != in_place[name]] == []
    assert copied.keys() == in_place.keys()
    assert_loads_everywhere(in_background)
    with living(stopped) as life:
        life.learn(stopped.foes["long"])
        life.stop()
    with living(straight) as life:
        life.learn(straight.foes["long"])
        life.stop()
    assert_equal_weights(straight.head, stopped.head)


def assert_loads_everywhere(checkpoint: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert "<|im_start|>" in tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        assert torch.load(checkpoint / name, weights_only=True)


def test_one_save_at_a_time_and_no_wish_is_lost(tmp_path: Path, tiny_model: Path) -> None:
    """A milestone holds its very step, so training waits for the save before it; any other wish waits itself."""
    field, disk = one_foe(tmp_path, tiny_model), DiskInHand()
    with living(field, disk, save_steps=4) as life:
        life.claim(field.foes["long"])
        save_in_flight(life, disk)
        life.ask(Save(reason="meanwhile"))
        life.make_steps(1)
        assert len(staged(field)) == 1
        disk.release()
        life.battle._saver._writer.wait()
        life.make_steps(1)
        assert life.until(CheckpointSaved).step == 1
        life.battle._saver._writer.wait()
        disk.hold()
        life.make_steps(1)
        assert life.until(CheckpointSaved).step == 3
        assert disk.reached.wait(60), "the milestone"
        life.ask(Save(reason="meanwhile"))
        life.make_steps(3)
        life._reins.allow(1)
        life.until(State, lambda state: state.state == "saving")
        assert (life.step, len(staged(field))) == (8, 1), "it waits with the next milestone"
        disk.release()
        life.stop()
        told = [(saved.step, saved.milestone) for saved in life.said(CheckpointSaved)]
        assert told[:4] == [(1, False), (3, False), (4, True), (8, True)]


def test_a_stop_waits_for_the_save_that_is_written_and_makes_the_last_one(tmp_path: Path, tiny_model: Path) -> None:
    """B13, A6: SIGTERM within a save costs neither that checkpoint nor what was learned since."""
    field, disk = one_foe(tmp_path, tiny_model), DiskInHand()
    with living(field, disk) as life:
        life.claim(field.foes["long"])
        save_in_flight(life, disk)
        life.make_steps(2)
        # What the signal handler does.
        life.battle.situation.orders.stop("signal SIGTERM")
        life._reins.allow(1)
        life.until(State, lambda state: state.state == "saving")
        assert CheckpointStore(field.paths.current_model).head() is None
        disk.release()
        life.end()
        assert [saved.step for saved in life.said(CheckpointSaved)] == [1, 4]
        assert not life.battle.unsaved
    assert field.head.name.startswith("checkpoint-4-")


def test_an_idle_trainer_tells_of_its_checkpoint_without_delay(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny model seals at once. What ends while the checkpoint is written is covered, as no step was made since."""
    monkeypatch.setattr("arena.trainer.battle.LOOK_SECONDS", 3600.0)
    field, disk = one_foe(tmp_path, tiny_model), DiskInHand()
    with living(field, disk) as life:
        life.learn(field.foes["long"])
        life.until(State, lambda state: state.state == "idle")
        disk.hold()
        life.send(Save(reason="the board is empty"))
        assert disk.reached.wait(60)
        assert life.said(CheckpointSaved) == [], "nothing is sealed before it is durable"
        disk.release()
        saved = life.until(CheckpointSaved)
        assert saved.covers == ["long"]
        assert 0 < saved.cost_seconds <= saved.seconds + 1
        life.send(Save(reason="again"))
        again = life.until(CheckpointSaved)
        assert (again.record, again.covers, again.name) == ({}, [], saved.name)
        assert [state for state in gc.get_objects() if type(state) is EngineState] == [], "memory is freed"
        life.stop()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_save_that_fails_leaves_nothing_and_a_milestone_stays_one(
    tmp_path: Path, tiny_model: Path, code: int
) -> None:
    """A23, A28: a disk that fills up within a save ends neither training nor the quest; the milestone is made later."""
    field, disk, clock = one_foe(tmp_path, tiny_model), DiskInHand(), HandClock()
    with living(field, disk, clock, save_steps=4) as life:
        life.claim(field.foes["long"])
        life.make_steps(3)
        disk.refuses = code
        life.make_steps(1)
        life.battle._saver._writer.wait()
        life.make_steps(1)
        assert "milestone" in life.until(SaveFailed).reason
        assert staged(field) == []
        disk.refuses = None
        life.make_steps(1)
        assert life.said(CheckpointSaved) == [], "not again at once"
        clock.now += 61
        life.make_steps(1)
        life.battle._saver._writer.wait()
        life.make_steps(1)
        saved = life.until(CheckpointSaved)
        assert (saved.step, saved.milestone, saved.record["milestone"]) == (7, True, True)
        life.stop()
        assert life.said(QuestEnded) == []


class FullWithinAnImage(DiskInHand):
    """Takes a page of what is written past the page cache, and has no room for more."""

    full = False

    def write(self, fd: int, data: bytes) -> None:
        if self.full and isinstance(data, memoryview):
            os.write(fd, data[:4096])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(fd, data)


def test_a_disk_that_fills_up_within_a_direct_write_leaves_nothing(tmp_path: Path, tiny_model: Path) -> None:
    """A23, A28: the second save of a life is written from memory in the shape of its files, and fails as the first."""
    field, disk = one_foe(tmp_path, tiny_model), FullWithinAnImage()
    with living(field, disk) as life:
        life.claim(field.foes["long"])
        for step, full in ((1, False), (3, True), (5, False)):
            disk.full = full
            life.ask(Save(reason="a test"))
            life.make_steps(1)
            life.battle._saver._writer.wait()
            life.make_steps(1)
            if full:
                assert os.strerror(errno.ENOSPC) in life.until(SaveFailed).reason
                assert staged(field) == []
                assert field.head.name.startswith("checkpoint-1-")
            else:
                assert life.until(CheckpointSaved).step == step
                assert check_manifest(field.head) == []
        life.stop()


def test_without_memory_for_a_copy_training_waits_for_the_save(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D7: a save must not be what the machine runs out of memory by."""
    plenty = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: plenty._replace(available=1000))
    field, disk = one_foe(tmp_path, tiny_model), DiskInHand()
    with living(field, disk) as life:
        life.claim(field.foes["long"])
        disk.hold()
        life.ask(Save(reason="a test"))
        life._reins.allow(2)
        life.until(State, lambda state: state.state == "saving")
        assert life.step == 1
        disk.release()
        saved = life.until(CheckpointSaved)
        life.until(Progress, lambda progress: progress.step == 2)
        assert saved.step == 1
        life.send(Stop(reason="enough"))
        life.end()


class PublishingFails(DiskInHand):
    """Every checkpoint fails where it is renamed into place."""

    error: Exception | None = None

    def rename_dir(self, source: Path, target: Path) -> None:
        if self.error is not None:
            raise self.error
        super().rename_dir(source, target)


def test_a_save_that_has_no_memory_fails_and_costs_nothing_else(tmp_path: Path, tiny_model: Path) -> None:
    """D7: it ended the trainer, as if the step that comes next had not fitted."""
    field, disk = one_foe(tmp_path, tiny_model), PublishingFails()
    with living(field, disk) as life:
        life.claim(field.foes["long"])
        disk.error = MemoryError()
        life.ask(Save(reason="a test"))
        life.make_steps(1)
        life.battle._saver._writer.wait()
        life.make_steps(1)
        assert life.until(SaveFailed).reason == "a test: MemoryError"
        disk.error = None
        life.ask(Save(reason="a test"))
        life.make_steps(1)
        life.stop()
        assert life.said(CheckpointSaved)[0].step == 3
    assert field.history.micro_batches == {}


def test_what_else_a_save_dies_of_is_charged_to_no_quest(tmp_path: Path, tiny_model: Path) -> None:
    """B18: three such deaths at one step withdrew the quest that was being learned."""
    field, disk = one_foe(tmp_path, tiny_model), PublishingFails()
    with living(field, disk) as life:
        life.claim(field.foes["long"])
        disk.error = ZeroDivisionError("a defect")
        life.ask(Save(reason="a test"))
        life.make_steps(1)
        life.battle._saver._writer.wait()
        with pytest.raises(ZeroDivisionError, match="a defect"):
            life.end()
    position = read_position(field.paths.current_model / ".position")
    assert position is not None
    assert position.phase is Phase.WAITING


def test_a_journal_on_a_disk_that_fails_is_waited_for(tmp_path: Path, tiny_model: Path) -> None:
    """A28: the claim is durable before its first step, however long that takes."""
    field, disk = one_foe(tmp_path, tiny_model), DiskInHand()
    with living(field, disk) as life:
        disk.refuses = errno.EIO
        life.send(field.foes["long"].claim())
        assert "the journal cannot be written" in str(life.until(State, lambda state: state.state == "paused").reason)
        assert life.step == 0
        disk.refuses = None
        life.until(Claimed)
        life.stop()
    assert list(field.history.claims) == [1]


def test_a_held_out_loss_that_is_not_finite_is_told_and_ends_nothing(tmp_path: Path, tiny_model: Path) -> None:
    """B18, F23: no JSON holds it, so that every life ended at its first save."""
    field = one_foe(tmp_path, tiny_model)
    write_rows(field.paths.validation / "held_out.jsonl", [chat(seed) for seed in range(3)])
    with living(field, eval_steps=1) as life:
        life.claim(field.foes["long"])
        life.make_steps(1)
        assert life.until(Validation).step == 1
        with torch.no_grad():
            life.trainer.network.get_parameter("model.norm.weight").fill_(3e38)
        life.ask(Save(reason="a test"))
        life.make_steps(2)
        life.stop()
        assert next(saved.record["val_loss"] for saved in life.said(CheckpointSaved)) is None
        assert [measured.step for measured in life.said(Validation)] == [1]
        (trouble,) = [trouble for trouble in life.said(Trouble) if trouble.what == "evaluation_not_finite"]
        assert "step 2" in trouble.message
    assert json.loads((field.head / "cursor.json").read_text())["val_loss"] is None

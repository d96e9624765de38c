"""Law 3, in real processes: the weights follow from base model and journal, whatever was saved, stopped or killed."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from arena.journal import ClaimEntry, End
from arena.protocol import (
    CheckpointSaved,
    Claimed,
    Progress,
    QuestEnded,
    Ready,
    Save,
    Skip,
    Trouble,
    Validation,
    Withdrawal,
)
from core.checkpoint_ledger import extract_step, read_sidecar
from tests.arena.trainer.driving import Child, Field, assert_equal_weights, entries, replay
from tests.arena.trainer.tiny_hero import chat, write_rows

LONG = 400
"""Rows of the quest in whose middle things happen, on quick machines too; two epochs of 100 steps."""


def three_foes(base: Path, model: Path) -> Field:
    """The quests that most scenarios fight, with different settings each."""
    field = Field(base, model)
    field.foe("first", 18)
    field.foe("long", LONG, epochs=2)
    field.foe("last", 10, learning_rate=5e-4, batch_size=1, gradient_accumulation=3)
    return field


def cursor_of(checkpoint: Path) -> dict[str, object]:
    cursor = json.loads((checkpoint / "cursor.json").read_text())
    return {name: cursor[name] for name in ("ordinal", "quest_step", "rows_total", "train_loss", "learning_rate")}


@pytest.fixture(scope="module")
def straight(from_nursery: None, tmp_path_factory: pytest.TempPathFactory, dropout_model: Path) -> Field:
    """All three quests in one undisturbed life, saved once at its end."""
    field = three_foes(tmp_path_factory.mktemp("straight"), dropout_model)

    async def fight() -> None:
        async with field.child() as child:
            await child.until(Ready)
            for foe in field.foes.values():
                ended = await child.learn(foe)
                rows = {"first": 18, "long": 2 * LONG, "last": 10}[foe.quest_id]
                assert (ended.outcome, ended.rows_learned) == ("learned", rows)
            assert (await child.stop()).clean
            saved = child.said(CheckpointSaved)[-1]
            assert saved.covers == ["first", "long", "last"]

    asyncio.run(fight())
    return field


def test_a_straight_run_saves_under_a_name_that_gives_its_step_back(straight: Field) -> None:
    """A5: the canonical name of a checkpoint broke resume."""
    steps = 5 + 2 * LONG // 4 + 4
    assert extract_step(straight.head.name) == steps
    assert json.loads((straight.head / "trainer_state.json").read_text())["global_step"] == steps
    record = read_sidecar(straight.head)
    assert record is not None
    assert (record.step, record.ordinal, record.total_examples_trained) == (steps, 3, 18 + 2 * LONG + 10)
    assert (record.training_file, record.milestone, record.has_optimizer) == ("last.jsonl", False, True)
    assert record.learning_rate == pytest.approx(5e-4)


def test_a_checkpoint_of_another_history_is_not_continued(straight: Field, tmp_path: Path, dropout_model: Path) -> None:
    """With a journal from elsewhere, ordinals would be given twice and rows learned twice."""
    field = three_foes(tmp_path, dropout_model)
    shutil.copytree(straight.paths.current_model, field.paths.current_model, dirs_exist_ok=True)
    first_line = field.journal.read_bytes().splitlines(keepends=True)[0]
    field.journal.write_bytes(first_line)

    async def fight() -> None:
        async with field.child() as child:
            death = await child.farewell()
            assert not death.clean
            assert "does not go on from what" in death.cause

    asyncio.run(fight())
    assert field.journal.read_bytes() == first_line


def test_stopping_and_resuming_in_mid_quest_changes_nothing(
    straight: Field, tmp_path: Path, dropout_model: Path
) -> None:
    """A6: what was learned since the last save was lost; A19: the checkpoint's learning rate beat the quest's."""
    field = three_foes(tmp_path, dropout_model)

    async def fight() -> None:
        async with field.child() as child:
            await child.until(Ready)
            await child.learn(field.foes["first"])
            await child.begin_to_learn(field.foes["long"])
            assert (await child.stop()).clean
            # A file shorter than `save_steps` is in this checkpoint all the same.
            assert child.said(CheckpointSaved)[-1].covers == ["first"]
        stopped_at = cursor_of(field.head)
        assert stopped_at["ordinal"] == 2
        assert 0 < int(str(stopped_at["quest_step"])) < 2 * LONG // 4
        async with field.child() as child:
            await resume(child, stopped_at)
            assert (await child.stop()).clean

    async def resume(child: Child, stopped_at: dict[str, object]) -> None:
        ready = await child.until(Ready)
        assert ready.step == 5 + int(str(stopped_at["quest_step"]))
        assert ready.replay == ["long"]
        assert [ended.quest_id for ended in ready.covered] == ["first"]
        claimed = await child.until(Claimed)
        assert (claimed.quest_id, claimed.first_step, claimed.steps) == ("long", 5, 2 * LONG // 4)
        # F5: the progress of a half-learned quest is known before its next step.
        at_once = await child.until(Progress)
        assert at_once.quest_step >= int(str(stopped_at["quest_step"]))
        await child.until(QuestEnded)
        await claim_again(child)
        await child.learn(field.foes["last"])
        rates = {
            point.learning_rate
            for event in child.said(Progress)
            for point in event.points
            if point.step > 5 + 2 * LONG // 4
        }
        assert rates == {5e-4}

    async def claim_again(child: Child) -> None:
        """A quest that is in the journal is not learned twice, and is covered by what covers it already."""
        again = await child.learn(field.foes["first"])
        assert (again.ordinal, again.outcome, again.rows_learned) == (1, "learned", 18)
        await child.send(Save(reason="the board is empty"))
        saved = await child.until(CheckpointSaved)
        assert sorted(saved.covers) == ["first", "long"]

    asyncio.run(fight())
    assert entries(field.history, ClaimEntry) == ["first", "long", "last"]
    assert_equal_weights(field.head, straight.head)
    assert cursor_of(field.head) == cursor_of(straight.head)
    assert extract_step(field.head.name) == extract_step(straight.head.name)


def test_kill_9_in_mid_quest_costs_time_and_no_row(straight: Field, tmp_path: Path, dropout_model: Path) -> None:
    """B17: a quest was stuck after a crash. A checkpoint follows as soon as the replay has caught up."""
    field = three_foes(tmp_path, dropout_model)

    async def fight() -> None:
        async with field.child() as child:
            await child.until(Ready)
            await child.learn(field.foes["first"])
            await child.send(Save(reason="a test"))
            await child.until(CheckpointSaved)
            await child.begin_to_learn(field.foes["long"])
            await child.until(Progress, lambda progress: progress.quest_step >= 20)
            death = await child.kill()
        assert not death.clean
        assert "SIGKILL" in death.cause
        assert death.position is not None
        assert death.position.ordinal == 2
        furthest = death.position.furthest_step
        async with field.child() as child:
            assert (await child.until(Ready)).replay == ["long"]
            await child.until(Progress)
            # In mid-replay: it must not take the place of the one that ends the danger of a livelock.
            await child.send(Save(reason="too early"))
            await child.until(QuestEnded)
            await child.learn(field.foes["last"])
            assert (await child.stop()).clean
            steps = [saved.step for saved in child.said(CheckpointSaved) if saved.record]
            assert any(5 < step <= 5 + furthest for step in steps)
            assert 5 + furthest + 1 in steps
            for progress in child.said(Progress):
                if progress.quest_id == "long":
                    assert progress.replaying is (progress.quest_step <= furthest)

    asyncio.run(fight())
    assert_equal_weights(field.head, straight.head)
    assert cursor_of(field.head) == cursor_of(straight.head)


def test_measuring_and_saving_often_change_nothing(straight: Field, tmp_path: Path, dropout_model: Path) -> None:
    """E6, A8: evaluation shifted the random numbers of training; a save at the end of a file had no ledger record."""
    field = three_foes(tmp_path, dropout_model)
    write_rows(field.paths.validation / "held_out.jsonl", [chat(seed) for seed in range(90_000, 90_006)])
    write_rows(field.paths.validation / "broken.jsonl", [{"messages": "none"}])

    async def fight() -> list[CheckpointSaved]:
        async with field.child(save_steps=20, eval_steps=3) as child:
            await child.until(Ready)
            for foe in field.foes.values():
                await child.send(foe.claim())
                while not isinstance(event := await child.until(object), QuestEnded):  # type: ignore[type-var]
                    if isinstance(event, Progress):
                        await child.send(Save(reason="again"))
            assert (await child.stop()).clean
            measured = child.said(Validation)
            assert len(measured) >= 20
            assert {event.rows for event in measured} == {6}
            assert len({event.step for event in measured}) == len(measured)
            return [saved for saved in child.said(CheckpointSaved) if saved.record]

    saves = asyncio.run(fight())
    assert [saved.step for saved in saves if saved.milestone] == list(range(20, 5 + 2 * LONG // 4 + 4, 20))
    assert len(saves) > 5
    assert [quest for saved in saves for quest in saved.covers] == ["first", "long", "last"]
    for saved in saves:
        record = read_sidecar(field.paths.current_model / str(saved.name))
        assert record is not None
        assert record.to_json() == saved.record
        assert record.milestone == saved.milestone
        assert record.val_loss is not None
    assert_equal_weights(field.head, straight.head)


@dataclass
class Eventful:
    """A life with all that can happen to a quest, and a run that was fed its journal."""

    field: Field
    ends: dict[str, QuestEnded]
    last_child: Child
    oracle: Path


@pytest.fixture(scope="module")
def eventful(from_nursery: None, tmp_path_factory: pytest.TempPathFactory, dropout_model: Path) -> Eventful:
    """One quest learned, one whose file gets lost, one skipped, one withdrawn as it kills, one that teaches NaN."""
    folder = tmp_path_factory.mktemp("eventful")
    field = three_foes(folder / "fought", dropout_model)
    field.foe("deadly", LONG)
    field.foe("gone", 8)
    field.foe("mad", 48, learning_rate=1e30, warmup_steps=0)
    ends = {}

    async def fight() -> Eventful:
        async with field.child() as child:
            await child.until(Ready)
            for name in ("first", "gone"):
                ends[name] = await child.learn(field.foes[name])
            await child.begin_to_learn(field.foes["long"])
            await child.send(Skip(quest_id="another", reason="not this one"))
            await child.send(Skip(quest_id="long", reason="too dull"))
            ends["long"] = await child.until(QuestEnded)
            await child.begin_to_learn(field.foes["deadly"])
            await child.kill()
        field.foes["gone"].path.unlink()
        async with field.child(withdrawals=[Withdrawal(quest_id="deadly", reason="three strikes")]) as child:
            for _ in range(4):
                await child.until(QuestEnded)
            for name in ("last", "mad"):
                ends[name] = await child.learn(field.foes[name])
            assert (await child.stop()).clean
        oracle = await replay(folder / "oracle", dropout_model, field)
        return Eventful(field, ends, child, oracle)

    return asyncio.run(fight())


def test_skip_kill_and_withdrawal_are_what_the_journal_says(eventful: Eventful) -> None:
    """B14: skip was ignored while training. What is learned, skipped and withdrawn is replayed to the row."""
    skipped = eventful.ends["long"]
    assert (skipped.quest_id, skipped.outcome, skipped.reason) == ("long", "skipped", "too dull")
    assert 0 < skipped.rows_learned < 2 * LONG
    history = eventful.field.history
    assert history.rows_learned(3) == skipped.rows_learned == 4 * history.ends[3].quest_step
    (ready,) = eventful.last_child.said(Ready)
    assert ready.replay == ["first", "gone", "long", "deadly"]
    replayed = eventful.last_child.said(QuestEnded)[:4]
    assert [(ended.quest_id, ended.outcome, ended.rows_learned) for ended in replayed] == [
        ("first", "learned", 18),
        ("gone", "lost", 0),
        ("long", "skipped", skipped.rows_learned),
        ("deadly", "withdrawn", 0),
    ]
    assert next(trouble.what for trouble in eventful.last_child.said(Trouble)) == "quest_lost"
    covered = [quest for saved in eventful.last_child.said(CheckpointSaved) for quest in saved.covers]
    assert covered == ["first", "gone", "long", "deadly", "last", "mad"]
    assert entries(history, End) == ["gone", "long", "deadly", "mad"]
    assert_equal_weights(eventful.field.head, eventful.oracle)
    assert cursor_of(eventful.field.head) == cursor_of(eventful.oracle)


def test_a_loss_that_is_not_finite_teaches_nothing_and_ends_the_quest(eventful: Eventful) -> None:
    """B18: training "succeeded" after NaN; the model was saved and the quest marked completed."""
    ended = eventful.ends["mad"]
    assert (ended.outcome, ended.reason) == ("withdrawn", "the loss was not finite in 3 steps running")
    said = eventful.last_child.said
    assert [trouble.what for trouble in said(Trouble)] == ["quest_lost", *["not_finite"] * 3]
    points = [point for event in said(Progress) if event.quest_id == "mad" for point in event.points]
    assert sum(point.grad_norm is None or point.loss is None for point in points) == 3
    history = eventful.field.history
    dropped = sorted(history.dropped)
    assert len(dropped) == 3
    assert history.steps_of(ended.ordinal) == dropped[-1][1] + 1
    weights = load_file(eventful.field.head / "model.safetensors").values()
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights)
    assert_equal_weights(eventful.field.head, eventful.oracle)

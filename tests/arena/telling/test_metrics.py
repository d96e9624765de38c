"""What the arena tells Prometheus, from a real saga, board and ledger: true numbers, and totals that survive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from arena.protocol import Claimed, Progress, StepPoint
from arena.quest_board import QuestBoard
from arena.telling.live_report import LiveReport
from arena.telling.metrics import EventTally, intake_readings, store_readings, trainer_readings, training_readings
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.http.metrics import Meters, Reading
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga
from core.scribe import Scribe
from core.settings import BudgetSettings
from tests.arena.quest_makers import NOW, take
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore


@dataclass
class Trainer:
    pid: int | None = None
    ready: bool = False


async def told(readings: list[Reading]) -> dict[str, float]:
    """Every sample of these readings by its name, with the value of its label behind it."""
    families = text_string_to_metric_families((await Meters(readings).text()).decode())
    found = [sample for family in families for sample in family.samples if sample.name.startswith("realm_")]
    return {
        ".".join([sample.name, *sample.labels.values()]): sample.value for sample in found if len(sample.labels) < 2
    }


def new_report() -> LiveReport:
    return LiveReport(hero="seedling", hero_title="Seedling", model_name="seedling", context_window=256, since=NOW)


def claim(report: LiveReport, quest_id: str = "q") -> None:
    claimed = Claimed(quest_id=quest_id, ordinal=1, rows=80, epochs=1, steps=10, first_step=100)
    report.note_claimed(claimed, "x.jsonl", NOW)


def step(report: LiveReport, done: int, count: int = 1, quest_id: str = "q") -> None:
    """A frame of `count` steps of 8 rows, after which `done` steps of the quest are done."""
    points = [
        StepPoint(step=100 + done - back, loss=0.5, learning_rate=0.002, grad_norm=1.0, tokens=64, seconds=0.1)
        for back in reversed(range(count))
    ]
    report.note_progress(
        Progress(step=100 + done, quest_id=quest_id, epoch=0, quest_step=done, quest_steps=10, rows_learned=8 * done,
                 rows_total=80, replaying=False, points=points)
    )  # fmt: skip


@contextmanager
def open_saga(paths: RealmPaths) -> Iterator[Saga]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Saga(database, BudgetSettings())


async def test_before_anything_is_known_nothing_is_told_of_it() -> None:
    """Law 7: an unknown loss is no loss of 0."""
    found = await told(training_readings(new_report()))
    assert found == {
        "realm_training_state.starting": 1,
        "realm_training_steps_total": 0,
        "realm_training_rows_total": 0,
        "realm_training_tokens_total": 0,
        "realm_quests_learned_total": 0,
    }


async def test_steps_rows_and_tokens_are_counted_as_they_are_made() -> None:
    report = new_report()
    claim(report)
    step(report, 1)
    step(report, 4, count=3)
    found = await told(training_readings(report))
    assert found["realm_training_step"] == 104
    assert found["realm_training_loss"] == 0.5
    assert found["realm_training_tokens_per_second"] == 640
    assert found["realm_training_steps_total"] == 4
    assert found["realm_training_rows_total"] == 32
    assert found["realm_training_tokens_total"] == 256


async def test_a_resume_lets_the_step_go_back_and_no_counter() -> None:
    """A counter that falls counts, for Prometheus, as one that began at 0: a rate of thousands of steps."""
    report = new_report()
    claim(report)
    step(report, 6, count=6)
    claim(report)  # the child died; its successor resumes after step 3 and makes it again
    step(report, 4)
    found = await told(training_readings(report))
    assert found["realm_training_step"] == 104
    assert found["realm_training_steps_total"] == 7
    assert found["realm_training_rows_total"] == 56


async def test_events_and_lives_of_the_trainer_are_counted_and_the_saga_goes_on(paths: RealmPaths) -> None:
    with open_saga(paths) as saga:
        events = EventTally(saga)
        for kind in ("trainer_ready", "trainer_died", "trainer_ready", "quest_learned"):
            saga.append(kind, "x", now=NOW)
        found = await told(trainer_readings(Trainer(pid=os.getpid(), ready=True), events))
        assert found["realm_trainer_starts_total"] == 2
        assert found["realm_trainer_deaths_total"] == 1
        assert found["realm_events_total.quest_learned"] == 1
        assert found["realm_saga_events_total"] == 4
        assert found["realm_trainer_ready"] == 1
        assert found["realm_trainer_resident_memory_bytes"] > 1e6
    with open_saga(paths) as saga:
        found = await told(trainer_readings(Trainer(), EventTally(saga)))
    assert found["realm_saga_events_total"] == 4
    assert found["realm_trainer_starts_total"] == 0
    assert "realm_trainer_resident_memory_bytes" not in found
    assert not [name for name in found if name.startswith("realm_events_total")]


async def test_quests_checkpoints_and_disk_are_told(paths: RealmPaths) -> None:
    board, ledger = QuestBoard(paths), CheckpointLedger.of(paths)
    empty = await told(store_readings(paths.base, board, dict, ledger))
    assert empty["realm_checkpoints"] == 0
    assert not empty.keys() & {"realm_queue_oldest_timestamp_seconds", "realm_checkpoint_timestamp_seconds"}
    assert not [name for name in empty if name.startswith("realm_quests")]

    publish(CheckpointStore(paths.current_model), "checkpoint-1000-20261121-0930", train_loss=0.5)
    for name in ("a.jsonl", "b.jsonl"):
        # The file's own time may be years ago: what counts is when it was taken in.
        take(board, name, "high", mtime=1.0)
    board.fail(take(board, "c.jsonl").quest_id, outcome="withdrawn", reason="x", now=NOW)
    found = await told(store_readings(paths.base, board, board.counts, ledger))
    lanes = {name.removeprefix("realm_quests."): value for name, value in found.items() if ".jsonl" not in name}
    assert {lane: lanes[lane] for lane in ("high", "normal", "failed", "processing")} == {
        "high": 2, "normal": 0, "failed": 1, "processing": 0,
    }  # fmt: skip
    assert found["realm_queue_oldest_timestamp_seconds"] == NOW.timestamp()
    assert found["realm_checkpoints"] == 1
    saved = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert found["realm_checkpoint_timestamp_seconds"] == saved.timestamp()
    assert 0 < found["realm_disk_free_bytes"] <= found["realm_disk_size_bytes"]


async def test_the_inbox_and_the_scribe_are_told() -> None:
    scribe = Scribe()
    before = await told(intake_readings(lambda: {"waiting": 3, "left_lying": None}, scribe))
    assert before == {"realm_inbox_files.waiting": 3, "realm_scribe_jobs_total": 0}
    try:
        assert await scribe.run("core.finite:finite", {"value": 1}) == 1
        after = await told(intake_readings(lambda: {"waiting": 0, "left_lying": 2}, scribe))
    finally:
        await scribe.close()
    assert after["realm_inbox_files.left_lying"] == 2
    assert after["realm_scribe_jobs_total"] == 1
    assert after["realm_scribe_resident_memory_bytes"] > 1e6

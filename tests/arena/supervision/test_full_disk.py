"""A disk that refuses holds up what is to be written down, never the trainer; what was held up is made up for."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from arena.command.save_policy import SavePolicy
from arena.protocol import CheckpointSaved, Claimed, Event, Progress, QuestEnded, Ready, Refused, RowError, StepPoint
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.supervision.trainer_events import KEPT_POINTS, TrainerEvents
from arena.telling.live_report import LiveReport
from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import CheckpointRecord
from core.db import Database
from core.files import Files
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga
from core.saga import Event as SagaEvent
from core.settings import BudgetSettings, RetentionSettings
from tests.arena.quest_makers import NOW, take
from vault.treasury import Treasury


class FullDisk(Files):
    """Every file that is to be made is one too many, while `full`."""

    full = False

    def replace(self, source: Path, target: Path) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        super().link(source, target)


class Desk:
    """What listens to a trainer, on a disk that fills up and empties again."""

    def __init__(self, paths: RealmPaths, database: Database) -> None:
        self.files = FullDisk()
        self.database = database
        self.saga = Saga(database, BudgetSettings())
        self.board = QuestBoard(paths, self.files)
        self.ledger = CheckpointLedger(paths.ledger_index, paths.ledger_history, paths.current_model, self.files)
        self.report = LiveReport(hero="seedling", hero_title="Seedling", model_name="x", context_window=64, since=NOW)
        self.events = TrainerEvents(
            board=self.board, ledger=self.ledger, treasury=Treasury(paths, self.ledger, RetentionSettings),
            saga=self.saga, report=self.report, policy=SavePolicy(budget=0.05, minutes=30),
        )  # fmt: skip

    def fill(self, full: bool) -> None:
        """Both kinds of writing: files, and pages of the database (SQLite's own error for a full disk)."""
        self.files.full = full
        with self.database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages if full else 1 << 30}")
            if full:  # what is free within the file would still take a few events
                connection.exec_driver_sql("PRAGMA incremental_vacuum")

    def told(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.saga.events_after(0, 10_000))

    async def hear(self, *events: Event) -> None:
        for event in events:
            await self.events.handle(event)


@pytest.fixture
def desk(paths: RealmPaths) -> Iterator[Desk]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Desk(paths, database)


def claimed(quest: Quest, ordinal: int = 1) -> Claimed:
    return Claimed(quest_id=quest.quest_id, ordinal=ordinal, rows=1, epochs=1, steps=100, first_step=0)


def progress(quest: Quest, first: int, count: int = 40) -> Progress:
    points = [StepPoint(step, 1.0, 0.1, 1.0, 10, 0.1) for step in range(first, first + count)]
    return Progress(
        step=first + count, quest_id=quest.quest_id, epoch=0, quest_step=first + count, quest_steps=10_000,
        rows_learned=1, rows_total=1, replaying=False, points=points,
    )  # fmt: skip


def ended(quest: Quest) -> QuestEnded:
    return QuestEnded(quest_id=quest.quest_id, ordinal=1, outcome="learned", rows_learned=1, last_step=4)


def saved(paths: RealmPaths, quest: Quest, **fields: Any) -> CheckpointSaved:
    """A checkpoint that the trainer has just published."""
    name = "checkpoint-4-20261121-0930"
    folder = paths.current_model / name
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    (paths.current_model / "HEAD").write_text(f"{name}\n")
    record = CheckpointRecord(
        step=4, timestamp=NOW.isoformat(), path=str(folder), canonical_name=name, ordinal=2, has_optimizer=True
    )  # fmt: skip
    return CheckpointSaved(
        name=name, step=4, covers=[quest.quest_id], milestone=False, seconds=0.1, record=record.to_json() | fields
    )


async def test_losses_of_a_full_disk_are_written_once_there_is_room(desk: Desk) -> None:
    """A23, B30: the metrics of a running quest neither end the trainer nor are lost."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), progress(quest, 0))
    desk.fill(True)
    await desk.hear(*[progress(quest, 40 * number) for number in range(1, 200)])
    assert desk.report.step == 8000, "what the page shows goes on"
    desk.fill(False)
    await desk.hear(progress(quest, 8000))
    await desk.events.make_up()
    assert len(desk.saga.points("train_loss", limit=100_000)) == 8040
    assert (desk.told("records_blocked"), desk.told("records_goes_on")) == (1, 1)


async def test_points_that_wait_are_bounded(desk: Desk) -> None:
    """Law 9: a disk that stays full for days takes no memory for it."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest))
    desk.fill(True)
    await desk.hear(progress(quest, 0, KEPT_POINTS), progress(quest, KEPT_POINTS, KEPT_POINTS))
    assert [len(points) for points in desk.events._unwritten.values()] == 4 * [KEPT_POINTS]


async def test_a_quest_that_ends_on_a_full_disk_is_moved_and_sealed_later(desk: Desk, paths: RealmPaths) -> None:
    """A23, B30: nothing new is claimed meanwhile, no attempt is burnt, and no checkpoint is forgotten."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), progress(quest, 0, 4))
    desk.fill(True)
    await desk.hear(ended(quest), saved(paths, quest))
    assert desk.board.processing() is not None
    assert desk.events.busy
    await desk.events.make_up()
    assert desk.events.busy, "the disk is still full"

    desk.fill(False)
    await desk.events.make_up()
    assert not desk.events.busy
    assert [record.step for record in desk.ledger.list_all()] == [4]
    (sealed,) = desk.board.quests("recently_completed")
    assert (sealed.quest_id, sealed.record.attempts, sealed.record.outcome) == (quest.quest_id, 1, "learned")
    assert (sealed.record.loss_first, sealed.record.loss_last) == (1.0, 1.0)
    assert (desk.told("quest_sealed"), desk.report.quests_completed) == (1, 1)
    await desk.events.make_up()
    assert (desk.told("quest_sealed"), desk.told("checkpoint_saved")) == (1, 1)


async def test_whoever_hears_of_a_checkpoint_finds_it_in_the_ledger(desk: Desk, paths: RealmPaths) -> None:
    """F14: open pages asked as soon as they heard of it, a moment too soon, and showed the ledger without it."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), progress(quest, 0, 4), ended(quest))
    found: list[list[int]] = []

    def look(event: SagaEvent) -> None:
        if event.kind == "checkpoint_saved":
            found.append([record.step for record in desk.ledger.list_all()])

    desk.saga.subscribe(look)
    await desk.hear(saved(paths, quest))
    assert found == [[4]]


async def test_a_checkpoint_is_told_of_once_however_late_its_quests_are_sealed(
    desk: Desk, paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    await desk.hear(claimed(quest), progress(quest, 0, 4), ended(quest))

    def refuse(*asked: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as refusing:
        refusing.setattr(desk.board, "seal", refuse)
        await desk.hear(saved(paths, quest))
    assert (desk.told("checkpoint_saved"), desk.told("quest_sealed")) == (1, 0)
    await desk.events.make_up()
    assert (desk.told("checkpoint_saved"), desk.told("quest_sealed")) == (1, 1)


async def test_a_refusal_on_a_full_disk_does_not_end_the_trainer(desk: Desk) -> None:
    """B30: it waits in processing/, is not claimed to be tokenized and refused once more, and moves later."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    desk.fill(True)
    await desk.hear(Refused(quest_id=quest.quest_id, errors=[RowError(line=1, message="bad")], total_errors=1))
    await desk.events.make_up()
    assert desk.board.processing() is not None
    assert desk.events.busy
    desk.fill(False)
    await desk.events.make_up()
    assert not desk.events.busy
    assert (desk.told("quest_refused"), desk.told("records_goes_on")) == (1, 1)
    assert [failed.record.outcome for failed in desk.board.quests("failed")] == ["refused"]


async def test_old_checkpoints_go_before_anything_is_written_about_the_new_one(desk: Desk, paths: RealmPaths) -> None:
    """A23, A24: on a full disk the rolling slot makes the room; HEAD and ledger name only what is there."""
    quest = desk.board.claim(take(desk.board, "x.jsonl"))
    old = paths.current_model / "checkpoint-2-20261121-0900"
    old.mkdir()
    (old / "model.safetensors").write_bytes(b"weights")
    record = CheckpointRecord(step=2, timestamp=NOW.isoformat(), path=str(old), canonical_name=old.name, ordinal=1)
    desk.ledger.record(record, now=NOW)
    await desk.hear(claimed(quest), ended(quest))
    desk.fill(True)
    await desk.hear(saved(paths, quest))
    assert not old.exists()
    assert list(paths.current_model.glob(".trash-*")) == []
    desk.fill(False)
    await desk.events.make_up()
    head = (paths.current_model / "HEAD").read_text().strip()
    assert [record.canonical_name for record in desk.ledger.list_all()] == [head] == [desk.report.checkpoint]
    assert (paths.current_model / head).is_dir()


async def test_a_trainer_that_awakes_while_the_saga_is_full_is_heard_out(desk: Desk) -> None:
    """B30: what its checkpoint covers is sealed, what it replays is not claimed again; the charts follow later."""
    covered = desk.board.claim(take(desk.board, "covered.jsonl"))
    await desk.hear(claimed(covered), progress(covered, 0, 8), ended(covered))
    replayed = desk.board.claim(take(desk.board, "replayed.jsonl"))
    await desk.events.make_up()
    desk.fill(True)
    desk.files.full = False
    ready = Ready(step=4, checkpoint="c", parameters=1, device="cpu", replay=[replayed.quest_id], covered=[])
    await desk.hear(replace(ready, covered=[ended(covered)]))
    assert [quest.quest_id for quest in desk.board.quests("recently_completed")] == [covered.quest_id]
    assert desk.events.in_trainer == [replayed.quest_id]
    desk.fill(False)
    await desk.events.make_up()
    assert [point[0] for point in desk.saga.points("train_loss", limit=100)] == [0, 1, 2, 3, 4]

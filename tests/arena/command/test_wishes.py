"""Wishes in `control/` are told to the trainer as often as they are meant."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from arena.command.battle_control import BattleControl
from arena.command.save_policy import SavePolicy
from arena.command.wishes import WishKeeper
from arena.protocol import Command, Pause, Resume
from arena.quest_board import QuestBoard
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.live_report import LiveReport
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.files import Files
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings, RetentionSettings
from tests.arena.quest_makers import NOW, take
from vault.treasury import Treasury


class Sticky(Files):
    """A folder in which nothing can be deleted, such as one of root's, while `holds`."""

    holds = True

    def unlink(self, path: Path) -> None:
        if self.holds:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        super().unlink(path)


class Heard(TrainerSupervisor):
    """Of a trainer that is ready: what it is told."""

    told: list[Command]

    async def send(self, command: Command) -> None:
        self.told.append(command)


class Told:
    """Whoever carries out the wishes, beside a trainer and a disk that the test plays."""

    def __init__(self, paths: RealmPaths, saga: Saga) -> None:
        self.files, self.saga = Sticky(), saga
        self.disk: str | None = None
        """Why the disk lets nothing go on."""
        self.control = BattleControl(paths.control, self.files)
        board, ledger = QuestBoard(paths), CheckpointLedger.of(paths)
        self.board = board
        report = LiveReport(hero="seedling", hero_title="Seedling", model_name="x", context_window=64, since=NOW)
        events = TrainerEvents(
            board=board, ledger=ledger, treasury=Treasury(paths, ledger, RetentionSettings), saga=saga, report=report,
            policy=SavePolicy(budget=0.05, minutes=30),
        )  # fmt: skip
        trainer = Heard(
            paths, begin=_nothing, on_event=_nothing, on_death=_nothing, backoff_seconds=1, log_megabytes=1,  # type: ignore[arg-type]
            hung_seconds=60,
        )  # fmt: skip
        trainer.ready, trainer.told = True, []
        self.commands = trainer.told
        self.keeper = WishKeeper(self.control, board, trainer, events, report, lambda: self.disk)


async def _nothing(*_: object) -> None:
    """Nobody listens."""


@pytest.fixture
def told(paths: RealmPaths) -> Iterator[Told]:
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        yield Told(paths, Saga(database, BudgetSettings()))


async def test_a_save_that_cannot_be_removed_is_not_obeyed_four_times_a_second(told: Told) -> None:
    """A23: a whole checkpoint with every step fills the disk."""
    told.control.write("save", "now", now=NOW)
    await told.keeper.obey()
    assert told.commands == []
    told.files.holds = False
    await told.keeper.obey()
    await told.keeper.obey()
    assert len(told.commands) == 1


async def test_a_pause_by_the_disk_and_one_by_a_user_end_each_on_its_own(told: Told) -> None:
    """A23: freed space does not undo what the user wished, and a resume does not train on a full disk."""
    told.files.holds = False
    told.disk = "disk: it is full"
    await told.keeper.obey()
    told.control.write("pause", "the oven is on", now=NOW)
    await told.keeper.obey()
    await told.keeper.obey()
    told.disk = None
    await told.keeper.obey()
    told.disk = "disk: it is full"
    await told.keeper.obey()
    told.control.write("resume", "dinner is ready", now=NOW)
    await told.keeper.obey()
    assert told.keeper.paused
    told.disk = None
    await told.keeper.obey()
    assert told.commands == [
        Pause(reason="disk: it is full"),
        Pause(reason="the oven is on; disk: it is full"),
        Pause(reason="the oven is on"),
        Pause(reason="the oven is on; disk: it is full"),
        Pause(reason="disk: it is full"),
        Resume(),
    ]
    assert [event.message for event in told.saga.events_after(0)] == [
        "Training pauses: the oven is on", "Still paused, disk: it is full",
    ], "of what the disk does, the governor tells"  # fmt: skip


async def test_a_new_trainer_knows_why_it_begins_paused_and_is_told_only_of_changes(told: Told) -> None:
    """B15: also of the reason that came and went while it was loading."""
    told.disk = "disk: it is full"
    assert told.keeper.pause_for_begin() == "disk: it is full"
    await told.keeper.obey()
    assert told.commands == []
    told.disk = None
    await told.keeper.obey()
    assert told.commands == [Resume()]


class EndsAtTheSkip(Files):
    """The running quest ends in the very moment in which a skip is bound to it."""

    end: Callable[[], object] = staticmethod(lambda: None)

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        if source.name == ".skip":
            self.end()


async def test_a_skip_that_comes_with_the_end_of_its_quest_is_not_kept_for_another(told: Told) -> None:
    """B14: it stayed in control/ until the next start of a trainer."""
    quest = told.board.claim(take(told.board, "x.jsonl"))
    files = EndsAtTheSkip()
    files.end = lambda: told.board.await_seal(
        quest.quest_id, outcome="learned", rows_learned=1, first_step=1, last_step=1, now=NOW
    )
    told.keeper._control = BattleControl(told.board.paths.control, files)
    told.control.write("skip", "dull", now=NOW)
    await told.keeper.obey()
    assert [path.name for path in told.board.paths.control.glob(".skip*")] == []
    assert [event.kind for event in told.saga.events_after(0)] == ["nothing_to_skip"]
    assert told.commands == []

"""Wishes in `control/` are told to the trainer as often as they are meant."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

from arena.battle_control import BattleControl
from arena.protocol import Command
from arena.quest_board import QuestBoard
from arena.save_policy import SavePolicy
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.live_report import LiveReport
from arena.wishes import WishKeeper
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.files import Files
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings
from tests.arena.quest_makers import NOW
from vault.checkpoints import CheckpointStore


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


async def _nothing(*_: object) -> None:
    """Nobody listens."""


async def test_a_save_that_cannot_be_removed_is_not_obeyed_four_times_a_second(paths: RealmPaths) -> None:
    """A23: a whole checkpoint with every step fills the disk."""
    files = Sticky()
    control = BattleControl(paths.control, files)
    board = QuestBoard(paths)
    report = LiveReport(hero="seedling", hero_title="Seedling", model_name="x", context_window=64, since=NOW)
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        events = TrainerEvents(
            board=board, ledger=CheckpointLedger.of(paths), store=CheckpointStore(paths.current_model),
            saga=Saga(database, BudgetSettings()), report=report, policy=SavePolicy(budget=0.05, minutes=30),
        )  # fmt: skip
        trainer = Heard(
            paths, begin=_nothing, on_event=_nothing, on_death=_nothing, backoff_seconds=1, log_megabytes=1  # type: ignore[arg-type]
        )  # fmt: skip
        trainer.ready, trainer.told = True, []
        keeper = WishKeeper(control, board, trainer, events, report)
        control.write("save", "now", now=NOW)
        await keeper.obey()
        assert trainer.told == []
        files.holds = False
        await keeper.obey()
        await keeper.obey()
    assert len(trainer.told) == 1

"""Where the web is received: a desk for each thing that is asked of the arena beside its snapshot."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arena.academy.guild_desk import GuildDesk
from arena.academy.school import School
from arena.annals.going_back import GoingBack
from arena.armory.armory import Armory
from arena.armory.desk import ArmoryDesk
from arena.command.battle_control import BattleControl
from arena.command.claiming import ClaimTable
from arena.command.live_settings import LiveSettings
from arena.deeds.keeper import DeedKeeper
from arena.deeds.wall import DeedWall
from arena.disk.governor import DiskGovernor
from arena.doorstep.intake import Intake
from arena.front_desk import FrontDesk
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.hall.base_model import BaseModelCard
from arena.hall.checkpoint_desk import CheckpointDesk
from arena.hall.errand_desk import ErrandDesk
from arena.heroes import Hero, quest_settings
from arena.journal import JOURNAL_NAME
from arena.proving.assay import Assay
from arena.quest_board import QuestBoard
from arena.quests import QuestRecord
from arena.ravens.raven_post import RavenPost
from arena.reading_room.reading_room import ReadingRoom, Surroundings
from arena.reading_room.uploading import Uploads
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.charts import ChartRoom
from arena.telling.live_report import LiveReport
from arena.telling.tales import TaleTeller
from arena.upkeep.scrubber import Scrubber
from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from core.saga import Saga
from core.scribe import Scribe
from vault.treasury import Treasury


@dataclass(frozen=True, kw_only=True)
class Backrooms:
    """What the desks ask and move; the daemon owns it."""

    paths: RealmPaths
    hero: Hero
    base_model: str
    settings: LiveSettings
    overrides: Mapping[str, Any]
    control_files: BattleControl
    board: QuestBoard
    report: LiveReport
    saga: Saga
    ledger: CheckpointLedger
    treasury: Treasury
    scribe: Scribe
    events: TrainerEvents
    supervisor: TrainerSupervisor
    governor: DiskGovernor
    intake: Intake
    assay: Assay
    claims: ClaimTable
    school: School
    scrubber: Scrubber
    yardstick: Callable[[QuestRecord], Yardstick]
    gates_are_quick: Callable[[], bool]
    """True while nothing is measured before training."""
    recover: Callable[[], None]
    """Bring lanes and report in line with what `current_model/` says; blocks."""
    on_turned: Callable[[], None]
    """The hero has gone back, or elsewhere."""


class Reception:
    """One per daemon; each desk serves the routes of its room."""

    def __init__(self, rooms: Backrooms) -> None:
        self._rooms = rooms
        self.going_back = GoingBack(
            rooms.paths, supervisor=rooms.supervisor, events=rooms.events, treasury=rooms.treasury,
            ledger=rooms.ledger, saga=rooms.saga, held=lambda: rooms.governor.reason, recover=rooms.recover,
            on_turned=rooms.on_turned,
        )  # fmt: skip
        self.desk = FrontDesk(
            rooms.paths, board=rooms.board, control_files=rooms.control_files, report=rooms.report,
            events=rooms.events, by_hand=self.going_back.by_hand, on_news=rooms.claims.note_news,
        )  # fmt: skip
        self.tales, self.charts = TaleTeller(rooms.saga), ChartRoom(rooms.saga)
        self.guild_desk = GuildDesk(rooms.paths, rooms.school, rooms.board)
        self.deeds = DeedKeeper(rooms.saga, rooms.report, lambda: rooms.school.register)
        self.deed_wall = DeedWall(rooms.school, self.deeds, self.guild_desk.shown)
        self.post = RavenPost(
            rooms.paths.notices, rooms.saga, lambda: rooms.settings.newest(time.monotonic()).notifications
        )
        self._armory = Armory(rooms.paths, rooms.settings, rooms.saga, rooms.overrides)
        self.armory = ArmoryDesk(
            rooms.paths, self._armory, self.post, device=lambda: rooms.report.device,
            trainer_pid=lambda: rooms.supervisor.pid,
        )  # fmt: skip
        self.errands = ErrandDesk(rooms.events.tell)
        self.checkpoint_desk = self._make_checkpoint_desk()
        journal = rooms.paths.current_model / JOURNAL_NAME
        self.base_model_card = BaseModelCard(rooms.paths, rooms.base_model, rooms.hero.title, journal.exists)
        self.reading_room = self._make_reading_room()

    async def ask_scribe(self, job: str, asked: dict[str, Any], seconds: float) -> Any:
        """A job of the scribe for somebody on the web: parsing that would hold up this process."""
        return await self._rooms.scribe.run(job, asked, seconds)

    def note_trainer_start(self) -> None:
        """A trainer begins with the settings of now."""
        self._armory.at_trainer_start = self._rooms.settings.current

    def _make_checkpoint_desk(self) -> CheckpointDesk:
        rooms = self._rooms
        return CheckpointDesk(
            rooms.paths, ledger=rooms.ledger, treasury=rooms.treasury, scribe=rooms.scribe, errands=self.errands,
            going_back=self.going_back, note_read=rooms.scrubber.note_read,
        )  # fmt: skip

    def _make_reading_room(self) -> ReadingRoom:
        rooms = self._rooms
        uploads = Uploads(
            rooms.paths, megabytes=lambda: rooms.settings.current.inbox.upload_megabytes,
            disk_trouble=lambda: rooms.governor.reason,
        )  # fmt: skip
        around = Surroundings(
            yardstick_for=rooms.yardstick, settings_of=self._passes_of, proof_of=rooms.assay.told_of,
            troubles=lambda: [rooms.governor.reason, rooms.claims.trouble, rooms.assay.trouble],
            inbox=rooms.intake.report, gates_are_quick=rooms.gates_are_quick,
        )  # fmt: skip
        return ReadingRoom(rooms.board, rooms.report, rooms.saga, rooms.ledger, uploads, around)

    def _passes_of(self, quest: QuestRecord) -> tuple[int, int]:
        told = quest_settings(self._rooms.hero, self._rooms.settings.current, quest)
        return told.epochs, told.rows_per_step

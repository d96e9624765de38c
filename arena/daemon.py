"""The daemon: its parts and its loops. It owns the lanes, the status files and the trainer child, and does only I/O."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from arena.academy.school import School
from arena.annals.going_back import LAST_SAVE_SECONDS
from arena.blockade import Blockade
from arena.command.battle_control import BattleControl
from arena.command.beginning import begin_of
from arena.command.claiming import ClaimTable
from arena.command.live_settings import LiveSettings
from arena.command.save_policy import SavePolicy
from arena.command.wishes import WishKeeper
from arena.disk.governor import DiskGovernor
from arena.doorstep.inbox import Inbox
from arena.doorstep.intake import Intake
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.heroes import Hero
from arena.journal import JOURNAL_NAME
from arena.protocol import (
    Begin,
    CheckpointSaved,
    Claimed,
    DiskShort,
    Event,
    Examined,
    Progress,
    QuestEnded,
    Ready,
    Refused,
    Save,
    State,
)
from arena.proving.assay import Assay
from arena.proving.measuring import yardstick_for
from arena.quest_board import QuestBoard
from arena.quests import QuestRecord
from arena.reading_room.uploading import clear_trials
from arena.reception import Backrooms, Reception
from arena.supervision.strike_bench import StrikeBench
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_process import Death
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.crier import Crier
from arena.telling.lineage_counts import LineageCounts
from arena.telling.live_report import LiveReport
from arena.telling.machine_watch import MachineWatch
from arena.telling.metrics import (
    EventTally,
    disk_readings,
    intake_readings,
    store_readings,
    trainer_readings,
    training_readings,
)
from arena.telling.outlook import Outlook
from arena.upkeep.base_pins import base_pins
from arena.upkeep.daily_snapshots import DailySnapshots
from arena.upkeep.housekeeping import Housekeeper
from arena.upkeep.recovery import recover
from arena.upkeep.scrubber import Scrubber
from core.checkpoint_ledger import CheckpointLedger
from core.crash_points import crash_point
from core.errors import RealmError, Unavailable
from core.http.metrics import Reading
from core.paths import RealmPaths
from core.saga import Saga
from core.scribe import Scribe
from core.settings import InboxSettings, Settings
from core.tasks import TaskCrew, every, rest
from vault.treasury import Treasury

logger = logging.getLogger(__name__)

FEW_WAITING = 32
"""Below so many waiting quests the intake does not rest: the trainer must not run dry."""
BATTLE_STATES = {"preparing", "training", "replaying", "evaluating", "saving"}
"""States in which the trainer works, and others should leave it the CPU."""
QUIET_STATES = {"idle", "paused", "stopped"}
CONTROL_SECONDS = 0.25
QUIET_CONTROL_SECONDS = 0.5
"""While nothing is trained: each look wakes threads, and a realm at rest is to leave its machine alone."""
HOUSEKEEPING_SECONDS = 60.0
DISK_LOOK_SECONDS = 1.0
QUIET_DISK_LOOK_SECONDS = 2.0
HUNG_SECONDS = 60.0
"""A loop that only looks at small files is late after so long."""
HUNG_AT_WORK_SECONDS = 600.0
"""The same for work that may move, hash or delete large files."""


class Daemon:
    """One realm's training, from inbox to seal; `reception` and `crier` answer the web."""

    def __init__(
        self,
        *,
        paths: RealmPaths,
        settings: Settings,
        hero: Hero,
        base_model: str,
        saga: Saga,
        ledger: CheckpointLedger,
        scribe: Scribe,
        read_settings: Callable[[], Settings],
        overrides: Mapping[str, Any],
        on_progress: Callable[[Callable[[], dict[str, Any]]], None],
        version: str,
    ) -> None:
        self.paths = paths
        self._settings = LiveSettings(settings, paths.config_file, read_settings)
        self.hero = hero
        self._base_model = base_model
        self._saga = saga
        self.ledger = ledger
        self._scribe = scribe
        self.report = LiveReport(
            hero=hero.id, hero_title=hero.title, model_name=base_model, since=datetime.now(UTC),
            context_window=settings.hyperparams.max_length or hero.hyperparams.max_length,
        )  # fmt: skip
        self.board = QuestBoard(paths)
        self._bench = StrikeBench(self.board, saga, paths.current_model / JOURNAL_NAME)
        self.control_files = BattleControl(paths.control)
        self._policy = SavePolicy(budget=settings.save_budget, minutes=settings.save_minutes)
        self.treasury = self._make_treasury()
        self._governor = DiskGovernor(
            paths, settings.disk, saga=saga, treasury=self.treasury, ledger=ledger, on_turn=self._on_disk_turn
        )
        self._snapshots = DailySnapshots(paths, saga, lambda: self._settings.current.retention)
        self._events = TrainerEvents(
            board=self.board, ledger=ledger, treasury=self.treasury, saga=saga, report=self.report,
            policy=self._policy, on_free=lambda: self._claims.note_news(),
        )  # fmt: skip
        self._supervisor = self._make_supervisor(settings)
        self._wishes = WishKeeper(
            self.control_files, self.board, self._supervisor, self._events, self.report, lambda: self._governor.reason
        )
        lineage = LineageCounts(paths.data_lineage)
        self._intake = self._make_intake(settings.inbox, lineage)
        self._assay = self._make_assay(lineage)
        self._starts_held = Blockade(saga, "trainer")
        self._recovered, self._recovering = False, asyncio.Lock()
        self.school, self._housekeeper = self._make_school(), Housekeeper(paths, self.board, saga, self.treasury)
        self._claims = self._make_claims()
        self.outlook = self._make_outlook()
        self.crier = Crier(
            paths, report=self.report, board=self.board, ledger=ledger, saga=saga, control_files=self.control_files,
            inbox_report=self._intake.report, outlook=self.outlook, curriculum=lambda: self.school.brief,
            machine=MachineWatch(paths.base, lambda: self._supervisor.pid), on_progress=on_progress, version=version,
        )  # fmt: skip
        self._scrubber = self._new_scrubber()
        self.reception = self._open_reception(overrides)

    def _open_reception(self, overrides: Mapping[str, Any]) -> Reception:
        return Reception(
            Backrooms(
                paths=self.paths, hero=self.hero, base_model=self._base_model, settings=self._settings,
                overrides=overrides, control_files=self.control_files, board=self.board, report=self.report,
                saga=self._saga, ledger=self.ledger, treasury=self.treasury, scribe=self._scribe, events=self._events,
                supervisor=self._supervisor, governor=self._governor, intake=self._intake, assay=self._assay,
                claims=self._claims, school=self.school, scrubber=self._scrubber, yardstick=self._yardstick,
                gates_are_quick=lambda: self._assay_in_force() is None, recover=self._recover,
                on_turned=self._note_turned,
            )
        )  # fmt: skip

    def _make_assay(self, lineage: LineageCounts) -> Assay:
        return Assay(
            self.board, self._yardstick, tell=self._events.tell, blockade=Blockade(self._saga, "gate"),
            on_news=lambda: self._claims.note_news(), cache=self._token_cache, sketches=self._sketches,
            count_verdicts=lineage.count,
        )  # fmt: skip

    def _make_claims(self) -> ClaimTable:
        return ClaimTable(
            hero=self.hero, settings=self._settings, board=self.board, saga=self._saga, events=self._events,
            supervisor=self._supervisor, wishes=self._wishes, bench=self._bench, assay=self._assay_in_force,
            school=self.school,
        )  # fmt: skip

    def _make_school(self) -> School:
        return School(
            self.paths, board=self.board, scribe=self._scribe, saga=self._saga, settings=self._settings,
            report=self.report, tell=self._events.tell, held=lambda: self._governor.reason,
        )  # fmt: skip

    def _make_outlook(self) -> Outlook:
        return Outlook(
            report=self.report, board=self.board, wishes=self._wishes, governor=self._governor,
            supervisor=self._supervisor, events=self._events, assay=self._assay, school=self.school,
            inbox_report=self._intake.report, counts=lambda: self.crier.counts, blockades=self._all_blockades,
        )  # fmt: skip

    def _all_blockades(self) -> list[Blockade]:
        """Everything that may be held up, the weightiest first."""
        owners = (
            self._intake, self._assay, self._claims, self._events, self.school, self.crier, self._housekeeper,
            self._snapshots,
        )  # fmt: skip
        return [self._starts_held, *(blockade for owner in owners for blockade in owner.blockades)]

    def _make_supervisor(self, settings: Settings) -> TrainerSupervisor:
        return TrainerSupervisor(
            self.paths, begin=self._begin, on_event=self._on_event, on_death=self._on_death,
            backoff_seconds=settings.trainer.restart_backoff_seconds, log_megabytes=settings.budgets.log_megabytes,
            hung_seconds=settings.trainer.hung_seconds,
        )  # fmt: skip

    def _make_intake(self, settings: InboxSettings, lineage: LineageCounts) -> Intake:
        return Intake(
            Inbox(self.paths.inbox, settings.settle_seconds, settings.incomplete_seconds), self.board, self._scribe,
            self._saga, scan_seconds=settings.scan_seconds, on_admitted=self._on_admitted, in_hurry=self._in_hurry,
            held=lambda: self._governor.reason, is_swept=lambda: self._recovered, count_verdicts=lineage.count,
        )  # fmt: skip

    def _make_treasury(self) -> Treasury:
        return Treasury(
            self.paths, self.ledger, lambda: self._settings.newest(time.monotonic()).retention,
            pins=lambda: base_pins(self.paths, self._settings.current.model_name),
            tell=lambda news, now: self._saga.tell(news, now=now),
        )  # fmt: skip

    # --- life ------------------------------------------------------------------------------------------------

    async def bring_in_order(self) -> None:
        """Bring the directories in order. What is told before that knows nothing of what was learned (F1)."""
        await self._look_at_disk()
        try:
            if not self._governor.bars_trainer:
                await self._recover_once()
        except OSError as error:
            raise Unavailable(
                f"The realm's folders cannot be brought in order: {error}.",
                hint="Make room, or make them readable and writable for this user; `realm doctor` looks at both.",
            ) from error

    async def start(self, crew: TaskCrew) -> None:
        """Start the loops of a realm that is in order."""
        await asyncio.to_thread(clear_trials, self.paths)
        self._wishes.read_at_start()
        if self._wishes.stopped:
            await self._supervisor.retire("stopped before the start")
        patiently = functools.partial(every, within=HUNG_AT_WORK_SECONDS)
        crew.start("disk", functools.partial(patiently, self._disk_seconds, self._look_at_disk))
        crew.start("trainer", self._supervisor.run)
        crew.start("intake", self._intake.run)
        crew.start("control", functools.partial(every, self._control_seconds, self._control, within=HUNG_SECONDS))
        crew.start("assay", self._assay.run)
        crew.start("claims", self._claims.run)
        crew.start("school", self.school.run)
        crew.start("deeds", self.reception.deeds.run)
        crew.start("status", self.crier.run)
        crew.start("housekeeping", functools.partial(patiently, HOUSEKEEPING_SECONDS, self._keep_house))
        crew.start("snapshots", self._snapshots.run)
        crew.start("ravens", self.reception.post.run)
        crew.start("scrub", self._scrubber.run)

    async def stop(self, reason: str) -> None:
        """Let the trainer save and exit, and say so in the status files."""
        self.report.enter("stopping", datetime.now(UTC), reason)
        self.crier.note_change()
        crash_point("stop.begun")
        await self.reception.errands.close()
        await self._supervisor.stop(reason, LAST_SAVE_SECONDS)
        crash_point("stop.alone")
        self.report.enter("stopped", datetime.now(UTC), reason)
        await self.crier.write()

    async def _recover_once(self) -> None:
        async with self._recovering:
            if not self._recovered:
                await asyncio.to_thread(self._recover)

    def _recover(self) -> None:
        self._recovered, now = False, datetime.now(UTC)
        recover(self.paths, board=self.board, ledger=self.ledger, saga=self._saga, report=self.report, now=now)
        self.crier.count_quests()
        self._recovered = True

    def _note_turned(self) -> None:
        """The hero stands elsewhere."""
        self._bench.forget()
        self._claims.note_news()
        self.school.note_news()
        self.crier.note_change()

    # --- the trainer -------------------------------------------------------------------------------------------

    async def _begin(self) -> Begin:
        self._governor.check_trainer()
        await self.reception.going_back.finish()
        await self._recover_once()
        self.report.enter("starting", datetime.now(UTC), "starting the trainer")
        await self._claims.let_go()
        await self.school.open()
        async with self._events.making_up:
            self._events.forget_trainer()
            self.reception.note_trainer_start()
            begin = functools.partial(
                begin_of, examination=self.school.examination_after, curriculum=self.school.copy()
            )
            return await asyncio.to_thread(
                begin, self.paths, self._settings.current, self.hero, self._base_model, self.board,
                self._bench.withdrawals, self._wishes.pause_for_begin(), self._bench.ran_out,
            )  # fmt: skip

    async def _on_event(self, event: Event) -> None:
        if _is_last_of_quest(event):
            await self._claims.note_end(event.quest_id)
        await self._events.handle(event)
        try:
            await self._follow(event)
        except OSError as error:  # the trainer is ended when nobody listens to it (B30)
            logger.warning("not all follows from %s: %s", type(event).__name__, error, extra={"event": "follow_failed"})
        self.crier.show_progress()

    async def _follow(self, event: Event) -> None:
        match event:
            case Ready():
                await self._starts_held.lift("The trainer can be started again")
                self._bench.forget_withdrawals()
                self.school.note_news()
                await self._wishes.drop_stale_skip()
                self._on_admitted()
            case Claimed():
                self._claims.note_claimed(event.quest_id)
                await self._wishes.send_bound_skip()
                self.school.note_news()
            case QuestEnded() | Refused():
                await self._wishes.on_quest_over(event.quest_id)
                self._claims.note_news()
                self.school.note_news()
            case Examined():
                self.school.note_news()
            case State():
                self.crier.note_change()
                self._claims.note_news()
            case DiskShort():
                await self._governor.note_short(event)
            case CheckpointSaved():
                await self._governor.note_saved()

    async def _on_death(self, death: Death) -> None:
        await self._claims.let_go()
        self._events.forget_trainer()
        self.crier.note_change()
        now = datetime.now(UTC)
        if death.pid is None:
            await self._wait_to_start(death.cause)
            return
        if death.clean:
            self.report.enter("stopped", now, death.cause)
            await self._events.tell("trainer_stopped", f"The trainer rests: {death.cause}", now)
            return
        if death.interrupted:
            self.report.enter("stopped", now, death.cause)
            message = f"The trainer was cut off: {death.cause}; what no checkpoint covers is learned again"
            await self._events.tell("trainer_interrupted", message, now, pid=death.pid)
            return
        self.report.enter("crashed", now, death.cause)
        await self._events.tell("trainer_died", death.cause, now, pid=death.pid)
        await self._look_at_disk()
        if self._governor.reason is not None:
            return  # on a disk that fails a trainer may die anywhere: no quest is to blame (A28)
        try:
            await asyncio.to_thread(self._bench.judge, death, now)
        except OSError as error:
            logger.warning("this death is charged to nobody: %s", error, extra={"event": "strike_failed"})

    async def _wait_to_start(self, cause: str) -> None:
        """No trainer could be started: told once, and where the disk is to blame, tried again when that is well."""
        now = datetime.now(UTC)
        if not self._governor.bars_trainer:
            self.report.enter("crashed", now, cause)
            await self._starts_held.raise_up(cause)
            return
        self.report.enter("paused", now, self._governor.reason)
        self.crier.note_change()
        rest()
        await self._governor.until_usable()

    def _new_scrubber(self) -> Scrubber:
        return Scrubber(
            self.paths, self.ledger, self._scribe.run, settings=lambda: self._settings.current.scrub,
            is_quiet=self._is_quiet, save_anew=self._save_anew, tell=self._events.tell,
        )  # fmt: skip

    async def _save_anew(self, reason: str) -> bool:
        if self._supervisor.ready:
            await self._supervisor.send(Save(reason=reason, anew=True))
        return self._supervisor.ready

    def _is_quiet(self) -> bool:
        """Whether checkpoints may be read again: nobody else wants disk or scribe."""
        is_free = not (self._intake.coming or self._governor.bars_trainer or self.reception.errands.reads)
        return self.report.state in QUIET_STATES and is_free

    # --- the disk ----------------------------------------------------------------------------------------------

    async def _look_at_disk(self) -> None:
        await self._governor.look()
        self.report.disk = self._governor.view()

    def _on_disk_turn(self) -> None:
        self.report.disk = self._governor.view()
        self.crier.note_change()
        self._claims.note_news()

    # --- claims ------------------------------------------------------------------------------------------------

    def _on_admitted(self) -> None:
        self._claims.note_news()
        if assay := self._assay_in_force():
            assay.look()

    def _yardstick(self, quest: QuestRecord) -> Yardstick:
        return yardstick_for(self.paths, self._settings.current, self.hero, self._base_model, quest)

    def _token_cache(self) -> dict[str, Any] | None:
        """Where the scribe keeps tokens for the trainer; None when none are kept."""
        megabytes = self._settings.current.budgets.token_cache_megabytes
        return {"folder": str(self.paths.tokens), "max_bytes": megabytes << 20} if megabytes else None

    def _sketches(self) -> dict[str, Any] | None:
        """Where the scribe keeps sketches of rows; None when none are kept."""
        megabytes = self._settings.current.budgets.sketch_megabytes
        return {"folder": str(self.paths.sketches), "max_bytes": megabytes << 20} if megabytes else None

    def _assay_in_force(self) -> Assay | None:
        """The gate that a quest must pass before training; None when it need not."""
        return None if self._settings.current.gates.level == "quick" else self._assay

    def _in_hurry(self) -> bool:
        """Whether the intake need not rest: nothing is trained that it could disturb, or the trainer may run dry."""
        return self.report.state not in BATTLE_STATES or self.crier.waiting < FEW_WAITING

    def _control_seconds(self) -> float:
        return QUIET_CONTROL_SECONDS if self._is_quiet() else CONTROL_SECONDS

    def _disk_seconds(self) -> float:
        # What keeps a trainer from starting is looked at often: nothing goes on before that is over.
        return QUIET_DISK_LOOK_SECONDS if self._is_quiet() and self._governor.reason is None else DISK_LOOK_SECONDS

    # --- loops ---------------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        if self._intake.coming and (assay := self._assay_in_force()):
            assay.warm_up()
        was_paused = self._wishes.paused
        await self._wishes.obey()
        if was_paused and not self._wishes.paused:
            self._claims.note_news()
        if self._events.unsealed_since and self._supervisor.ready:
            coming = self._intake.coming or self.crier.waiting
            empty = self.report.state == "idle" and not self._events.busy and not coming
            save = self._policy.ask(
                time.monotonic(), board_empty=empty, oldest_awaiting=min(self._events.unsealed_since.values())
            )
            if save is not None:
                await self._supervisor.send(save)

    async def _keep_house(self) -> None:
        turning = self.reception.going_back.alone
        if self._governor.bars_trainer or turning.locked():
            return  # of lanes that are out of reach, or half moved, nothing is to be concluded
        try:
            await self.reception.going_back.finish_at_rest()
            await self._recover_once()
        except (OSError, RealmError) as error:
            logger.warning("the folders are not in order yet: %s", error, extra={"event": "not_recovered"})
            return
        await self._claims.refresh_settings()
        async with turning:
            await self._housekeeper.keep(self._settings.current.budgets, now=datetime.now(UTC))
            await self._events.make_up()
        self._claims.note_news()
        self.school.note_news()

    # --- what the web asks ------------------------------------------------------------------------------------------

    def readings(self) -> list[Reading]:
        """What Prometheus is told; to be called once, as it begins to count the saga's events."""
        return [
            *training_readings(self.report), *trainer_readings(self._supervisor, EventTally(self._saga)),
            *store_readings(self.paths.base, self.board, lambda: self.crier.counts, self.ledger),
            *disk_readings(self.report), *intake_readings(self._intake.report, self._scribe),
        ]  # fmt: skip


def _is_last_of_quest(event: Event) -> TypeGuard[Progress | QuestEnded]:
    """Whether the trainer has made the last step of its quest: told twice, and first with the losses."""
    return isinstance(event, QuestEnded) or (isinstance(event, Progress) and event.quest_step >= event.quest_steps)

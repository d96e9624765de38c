"""The daemon: its parts and its loops. It owns the lanes, the status files and the trainer child, and does only I/O."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.battle_control import BattleControl
from arena.beginning import begin_of, claim_of, has_begun
from arena.blockade import Blockade
from arena.doorstep.inbox import Inbox
from arena.doorstep.intake import Intake
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.granting import NOTHING_TO_SKIP, effect_of
from arena.heroes import Hero
from arena.housekeeping import Housekeeper, sweep_lanes
from arena.journal import JOURNAL_NAME, read_history
from arena.lanes.listing import stamp_at
from arena.live_settings import LiveSettings
from arena.protocol import Begin, Claimed, Event, QuestEnded, Ready, Refused, Save, State, Withdrawal
from arena.proving.assay import Assay
from arena.proving.measuring import yardstick_for
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord, Strike
from arena.save_policy import SavePolicy
from arena.supervision.position_file import Phase
from arena.supervision.strikes import judge_death
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_process import Death
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.lineage_counts import LineageCounts
from arena.telling.live_report import LiveReport
from arena.telling.metrics import EventTally, intake_readings, store_readings, trainer_readings, training_readings
from arena.telling.snapshot import lanes_part, live_part, stored_part
from arena.wishes import WishKeeper
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, RealmError, Unavailable
from core.http.metrics import Reading
from core.paths import RealmPaths
from core.saga import News, Saga
from core.scribe import Scribe
from core.settings import Settings
from core.status_files import read_status, write_status
from core.tasks import TaskCrew, beat, every, rest
from vault.checkpoints import CheckpointStore

logger = logging.getLogger(__name__)

FEW_WAITING = 32
"""Below so many waiting quests the intake does not rest: the trainer must not run dry."""
BATTLE_STATES = {"preparing", "training", "replaying", "evaluating", "saving"}
"""States in which the trainer works, and others should leave it the CPU."""
CONTROL_SECONDS = 0.25
STATUS_SECONDS = 1.0
QUIET_STATUS_SECONDS = 2.0
"""While no quest is fought: an idle realm should cost next to nothing."""
SHORTEST_STATUS_SECONDS = 0.1
STATUS_VALID_SECONDS = 15.0
HEARTBEAT_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 60.0
DISK_RETRY_SECONDS = 5.0
"""Pause after the disk refused a move."""
HUNG_SECONDS = 60.0
"""A loop that only looks at small files is late after so long."""
HUNG_AT_WORK_SECONDS = 600.0
"""The same for work that may move, hash or delete large files."""
LAST_SAVE_SECONDS = 600.0
"""How long the end of the realm waits for the trainer to finish its step and save."""


class Daemon:
    """One realm's training, from inbox to seal; also what the web asks (`arena.routes.TrainingService`)."""

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
        on_progress: Callable[[dict[str, Any]], None],
        version: str,
    ) -> None:
        self.paths = paths
        self._settings = LiveSettings(settings, paths.config_file, read_settings)
        self.hero = hero
        self._base_model = base_model
        self._saga = saga
        self.ledger = ledger
        self._scribe = scribe
        self._on_progress = on_progress
        self._version = version
        self._withdrawals: dict[str, str] = {}
        self._journal = paths.current_model / JOURNAL_NAME
        now = datetime.now(UTC)
        self.report = LiveReport(
            hero=hero.id, hero_title=hero.title, model_name=base_model, since=now,
            context_window=settings.hyperparams.max_length or hero.hyperparams.max_length,
        )  # fmt: skip
        self.board = QuestBoard(paths)
        self.control_files = BattleControl(paths.control)
        self._policy = SavePolicy(budget=settings.save_budget, minutes=settings.save_minutes)
        self._events = TrainerEvents(
            board=self.board, ledger=ledger, store=CheckpointStore(paths.current_model), saga=saga, report=self.report,
            policy=self._policy,
        )  # fmt: skip
        self._supervisor = TrainerSupervisor(
            paths, begin=self._begin, on_event=self._on_event, on_death=self._on_death,
            backoff_seconds=settings.trainer.restart_backoff_seconds, log_megabytes=settings.budgets.log_megabytes,
        )  # fmt: skip
        self._wishes = WishKeeper(self.control_files, self.board, self._supervisor, self._events, self.report)
        lineage = LineageCounts(paths.data_lineage)
        self._intake = Intake(
            Inbox(paths.inbox, settings.inbox.settle_seconds, settings.inbox.incomplete_seconds), self.board,
            scribe, saga, scan_seconds=settings.inbox.scan_seconds, on_admitted=self._on_admitted,
            in_hurry=self._in_hurry, count_verdicts=lineage.count,
        )  # fmt: skip
        self._assay = Assay(
            self.board, self._yardstick, tell=self._events.tell, blockade=Blockade(saga, "gate"),
            on_news=self._note_news, count_verdicts=lineage.count,
        )  # fmt: skip
        self._housekeeper = Housekeeper(paths, self.board, saga)
        self._claims_held = Blockade(saga, "claims")
        self._status_held = Blockade(saga, "status")
        self._news = asyncio.Event()
        self._state_changed = asyncio.Event()
        self._counts: dict[str, Any] = {}
        self._last_told: tuple[object, ...] = ()
        self._last_told_at = float("-inf")

    # --- life ------------------------------------------------------------------------------------------------

    async def start(self, crew: TaskCrew) -> None:
        """Bring the directories in order, then start the loops."""
        try:
            await asyncio.to_thread(self._recover)
        except OSError as error:
            raise Unavailable(
                f"The realm's folders cannot be brought in order: {error}.",
                hint="Make room, or make them readable and writable for this user; `realm doctor` looks at both.",
            ) from error
        self._wishes.read_at_start()
        if self._wishes.stopped:
            await self._supervisor.retire("stopped before the start")
        crew.start("trainer", self._supervisor.run)
        crew.start("intake", self._intake.run)
        crew.start("control", functools.partial(every, CONTROL_SECONDS, self._control, within=HUNG_SECONDS))
        crew.start("assay", self._assay.run)
        crew.start("claims", self._claim_loop)
        crew.start("status", self._status_loop)
        keep_house = functools.partial(every, HOUSEKEEPING_SECONDS, self._keep_house, within=HUNG_AT_WORK_SECONDS)
        crew.start("housekeeping", keep_house)

    async def stop(self, reason: str) -> None:
        """Let the trainer save and exit, and say so in the status files."""
        self.report.enter("stopping", datetime.now(UTC), reason)
        self._state_changed.set()
        await self._supervisor.stop(reason, LAST_SAVE_SECONDS)
        self.report.enter("stopped", datetime.now(UTC), reason)
        await self.write_status()

    def _recover(self) -> None:
        self.paths.create()
        history = read_history(self._journal)
        now = datetime.now(UTC)
        sweep_lanes(self.board, self._saga, now=now)
        self._counts = self.board.counts()
        self._reconcile(now)
        latest = self.ledger.get_latest()
        if latest is not None:
            self.report.step, self.report.checkpoint = latest.step, latest.canonical_name
            self.report.loss, self.report.validation_loss = latest.train_loss, latest.val_loss
        open_ids = {quest.quest_id for lane in ("processing", "awaiting_seal") for quest in self.board.quests(lane)}
        self.report.quests_completed = sum(
            1
            for ordinal, claim in history.claims.items()
            if history.outcome_of(ordinal) == "learned" and claim.quest_id not in open_ids
        )

    def _reconcile(self, now: datetime) -> None:
        try:
            added, removed = self.ledger.reconcile(now=now)
        except OSError as error:  # its index is derived; a full disk is no reason not to start
            logger.warning("the ledger is not reconciled: %s", error, extra={"event": "reconcile_failed"})
            return
        if added or removed:
            message = f"The ledger found {len(added)} checkpoints and lost {len(removed)} that are not on disk"
            news = News("ledger_reconciled", message, {"added": added, "removed": removed})
            self._saga.tell([news], now=now)

    # --- the trainer -------------------------------------------------------------------------------------------

    async def _begin(self) -> Begin:
        self._events.forget_trainer()
        self.report.enter("starting", datetime.now(UTC), "starting the trainer")
        return await asyncio.to_thread(
            begin_of, self.paths, self._settings.current, self.hero, self._base_model, self.board,
            [Withdrawal(quest_id=quest_id, reason=reason) for quest_id, reason in self._withdrawals.items()],
            self._wishes.pause_for_begin(),
        )  # fmt: skip

    async def _on_event(self, event: Event) -> None:
        await self._events.handle(event)
        match event:
            case Ready():
                self._withdrawals.clear()
                await self._wishes.drop_stale_skip()
                self._on_admitted()
            case Claimed():
                await self._wishes.send_bound_skip()
            case QuestEnded() | Refused():
                await self._wishes.on_quest_over(event.quest_id)
                self._note_news()
            case State():
                self._state_changed.set()
                self._note_news()
        self._show_progress()

    async def _on_death(self, death: Death) -> None:
        self._events.forget_trainer()
        now = datetime.now(UTC)
        if death.clean:
            self.report.enter("stopped", now, death.cause)
            await self._events.tell("trainer_stopped", f"The trainer rests: {death.cause}", now)
            return
        self.report.enter("crashed", now, death.cause)
        await self._events.tell("trainer_died", death.cause, now, pid=death.pid)
        await asyncio.to_thread(self._charge, death, now)

    def _charge(self, death: Death, now: datetime) -> None:
        """A strike for the quest that was being stepped or prepared; the third one withdraws it."""
        position = death.position
        if position is None or position.phase not in (Phase.STEPPING, Phase.PREPARING):
            return
        quest = self._quest_at(position.ordinal)
        if quest is None:
            return
        strike = Strike(at=now.isoformat(), ordinal=position.ordinal, quest_step=position.quest_step, cause=death.cause)
        verdict = judge_death(quest.record.strikes, strike, replaying=position.replaying, phase=position.phase)
        if not verdict.charged:
            return
        self.board.add_strike(quest.quest_id, strike)
        message = f"{quest.name} takes strike {verdict.strikes} of {verdict.limit}: {death.cause}"
        self._saga.tell([News("quest_strike", message, {"quest_id": quest.quest_id})], now=now)
        if verdict.withdraw:
            reason = f"the trainer died {verdict.strikes} times at the same place: {death.cause}"
            if self._is_in_journal(quest.quest_id):
                self._withdrawals[quest.quest_id] = reason
            else:
                self.board.fail(quest.quest_id, outcome="withdrawn", reason=reason, now=now)
                self._saga.tell([News("quest_withdrawn", f"{quest.name} was withdrawn: {reason}")], now=now)

    def _quest_at(self, ordinal: int) -> Quest | None:
        claim = read_history(self._journal).claims.get(ordinal)
        # A quest that killed the trainer while it was being tokenized stands in no journal yet.
        return self.board.find(claim.quest_id) if claim else self.board.processing()

    def _is_in_journal(self, quest_id: str) -> bool:
        return has_begun(quest_id, self._journal, stamp_at(self._journal))

    # --- claims ------------------------------------------------------------------------------------------------

    def _note_news(self) -> None:
        self._news.set()

    def _on_admitted(self) -> None:
        self._note_news()
        if self._proves:
            self._assay.look()

    def _yardstick(self, quest: QuestRecord) -> Yardstick:
        return yardstick_for(self.paths, self._settings.current, self.hero, self._base_model, quest)

    @property
    def _proves(self) -> bool:
        """Whether a quest must pass the gate before training."""
        return self._settings.current.gates.level != "quick"

    def _in_hurry(self) -> bool:
        """Whether the intake need not rest: nothing is trained that it could disturb, or the trainer may run dry."""
        return self.report.state not in BATTLE_STATES or self._counts.get("total_queued", 0) < FEW_WAITING

    async def _claim_loop(self) -> None:
        """Hand the next quest to a trainer that has none."""
        while True:
            rest()
            await self._news.wait()
            beat(HUNG_AT_WORK_SECONDS)
            self._news.clear()
            if not self._supervisor.ready or self._events.busy or self._wishes.stopped or self._wishes.paused:
                continue
            try:
                await self._claim_next()
            except RealmError as error:
                logger.warning("nothing could be claimed: %s", error, extra={"event": "claim_failed"})
                await asyncio.sleep(CONTROL_SECONDS)
                self._note_news()
            except OSError as error:
                await self._claims_held.raise_up(f"No quest is claimed, as the disk does not let it move: {error}")
                await asyncio.sleep(DISK_RETRY_SECONDS)
                self._note_news()
            else:
                await self._claims_held.lift("Quests are claimed again")

    async def _claim_next(self) -> None:
        await self._refresh_settings()
        quest = await asyncio.to_thread(self.board.processing)
        if quest is None:
            waiting = await asyncio.to_thread(self.board.next_waiting)
            if waiting is None:
                return
            proof = await self._assay.proof_for(waiting) if self._proves else None
            if self._proves and proof is None:
                return  # the assay says when there is one
            quest = await asyncio.to_thread(self.board.claim, waiting, proof)
            self._assay.note_claimed(quest)
        elif self._proves and not await self._may_go_on(quest):
            return
        # Noted before it is sent: an answer may come while this coroutine waits for the socket.
        self._events.in_trainer.append(quest.quest_id)
        try:
            claim = claim_of(self.hero, self._settings.current, quest)
        except RealmError as error:
            self._events.in_trainer.remove(quest.quest_id)
            now = datetime.now(UTC)
            await asyncio.to_thread(self.board.fail, quest.quest_id, outcome="refused", reason=str(error), now=now)
            await self._events.tell("quest_refused", f"{quest.name} cannot be learned: {error}", now)
            self._note_news()
            return
        await self._supervisor.send(claim)

    async def _may_go_on(self, quest: Quest) -> bool:
        """Whether a quest that lies in `processing/` already may be trained: it was before, or there is a proof."""
        if await asyncio.to_thread(self._is_in_journal, quest.quest_id):
            return True
        proof = await self._assay.proof_for(quest)
        if proof is not None:
            await asyncio.to_thread(self.board.note_proof, quest.quest_id, proof)
            self._assay.note_claimed(quest)
        return proof is not None

    async def _refresh_settings(self) -> None:
        """Hyperparameters are read at claim."""
        complaint = await asyncio.to_thread(self._settings.refresh, time.monotonic())
        if complaint is not None:
            message = f"The changed settings are not used, those of before stay in force: {complaint}"
            await self._events.tell("settings_invalid", message, datetime.now(UTC))

    # --- loops ---------------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        if self._intake.coming and self._proves:
            self._assay.warm_up()
        was_paused = self._wishes.paused
        await self._wishes.obey()
        if was_paused and not self._wishes.paused:
            self._note_news()
        if self._events.unsealed_since and self._supervisor.ready:
            coming = self._intake.coming or self._counts.get("total_queued")
            empty = self.report.state == "idle" and not self._events.busy and not coming
            reason = self._policy.reason(
                time.monotonic(), board_empty=empty, oldest_awaiting=min(self._events.unsealed_since.values())
            )
            if reason is not None:
                # Answered within the save's own time; until then no second one is asked for.
                self._policy.note_save(1.0, time.monotonic())
                await self._supervisor.send(Save(reason=reason))

    async def _keep_house(self) -> None:
        await self._housekeeper.keep(self._settings.current.budgets, now=datetime.now(UTC))
        await self._events.make_up()
        self._note_news()

    def _show_progress(self) -> None:
        waiting = self._counts.get("total_queued", 0)
        live = live_part(self.report, waiting=waiting, version=self._version, now=datetime.now(UTC))
        self._on_progress(live | (lanes_part(self._counts, self._intake.report()) if self._counts else {}))

    async def write_status(self) -> None:
        """The status files of the arena; every reader knows until when they hold (law 7)."""
        try:
            self._counts = await asyncio.to_thread(self.board.counts)
            await asyncio.to_thread(self._write_status_files, datetime.now(UTC))
        except OSError as error:
            await self._status_held.raise_up(f"The status files are out of date, as they cannot be written: {error}")
        else:
            await self._status_held.lift("The status files are written again")
        self._show_progress()

    async def _status_loop(self) -> None:
        """A change of state is on disk at once, numbers of a running quest within a second."""
        while True:
            beat(HUNG_SECONDS)
            self._state_changed.clear()
            await self._refresh_status()
            await asyncio.sleep(SHORTEST_STATUS_SECONDS)
            quiet = self.report.quest is None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._state_changed.wait(), QUIET_STATUS_SECONDS if quiet else STATUS_SECONDS)

    async def _refresh_status(self) -> None:
        """Write what has changed, and in quiet times only as often as the heartbeat needs."""
        told = (self.report.state, self.report.reason, self.report.step, self._counts, self._intake.report())
        now = time.monotonic()
        if told != self._last_told or now - self._last_told_at >= HEARTBEAT_SECONDS:
            self._last_told, self._last_told_at = told, now
            await self.write_status()
        else:
            with contextlib.suppress(OSError):  # which is told with the next heartbeat
                self._counts = await asyncio.to_thread(self.board.counts)

    def _write_status_files(self, now: datetime) -> None:
        report, waiting = self.report, self._counts["total_queued"]
        if report.checkpoint and not (self.paths.current_model / report.checkpoint).is_dir():
            latest = self.ledger.get_latest()  # somebody deleted it (A24)
            report.checkpoint = latest.canonical_name if latest else None
        training = report.training_status(waiting=waiting, now=now)
        write_status(self.paths.training_status, training, now=now, valid_for=STATUS_VALID_SECONDS)
        completed = report.quests_completed
        battle = report.battle_status(campaign=completed, total_campaigns=completed + waiting, now=now)
        write_status(self.paths.battle_status, battle, now=now, valid_for=STATUS_VALID_SECONDS)
        write_status(self.paths.inbox_status, self._intake.report(), now=now, valid_for=STATUS_VALID_SECONDS)
        file = report.quest.file if report.quest else None
        self.control_files.write_state(report.state, current_file=file, reason=report.reason, now=now)

    # --- what the web asks ------------------------------------------------------------------------------------------

    async def snapshot(self) -> dict[str, Any]:
        """See `tavern/answers.py` for its shape."""
        # Kept: a frame that follows must not tell of an older board than this does.
        counts = self._counts = await asyncio.to_thread(self.board.counts)
        stored = await asyncio.to_thread(stored_part, self._saga, self.ledger)
        live = live_part(self.report, waiting=counts["total_queued"], version=self._version, now=datetime.now(UTC))
        return {**live, **stored, **lanes_part(counts, self._intake.report())}

    def readings(self) -> list[Reading]:
        """What Prometheus is told; to be called once, as it begins to count the saga's events."""
        return [
            *training_readings(self.report),
            *trainer_readings(self._supervisor, EventTally(self._saga)),
            *store_readings(self.paths.base, self.board, lambda: self._counts, self.ledger),
            *intake_readings(self._intake.report, self._scribe),
        ]

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(read_status, self.paths.training_status, now=datetime.now(UTC))

    async def queue(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.board.queue_view)

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        if action == "skip" and await asyncio.to_thread(self.board.processing) is None:
            raise Conflict(NOTHING_TO_SKIP)
        now = datetime.now(UTC)
        before = await asyncio.to_thread(self.control_files.read)
        effect = effect_of(action, self.report.state, held=before.held)
        await asyncio.to_thread(self.control_files.write, action, reason or "asked for over HTTP", now=now)
        return {"success": True, "action": action, "message": f"{action}: {effect}"}

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        now = datetime.now(UTC)
        work: dict[str, Callable[[], Quest | Path | None]] = {
            "retry": lambda: self.board.retry(quest, now=now),
            "remove": lambda: self.board.remove(quest),
            "move": lambda: self.board.move(quest, priority or "normal"),
        }
        done = await asyncio.to_thread(work[action])
        self._note_news()
        name = done.name if done is not None else quest
        await self._events.tell(f"quest_{action}", f"{name}: {action}", now)
        return {"success": True, "action": action, "quest": name}

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
from arena.beginning import begin_of, claim_of
from arena.heroes import Hero
from arena.inbox import Inbox
from arena.intake import Intake
from arena.journal import JOURNAL_NAME, read_history
from arena.live_report import LiveReport
from arena.locked_settings import check_locked
from arena.position_file import Phase
from arena.protocol import Begin, Claimed, Event, QuestEnded, Ready, Refused, Save, State, Withdrawal
from arena.quest_board import QuestBoard
from arena.quests import Quest, Strike
from arena.save_policy import SavePolicy
from arena.snapshot import live_part, stored_part
from arena.strikes import judge_death
from arena.trainer_events import TrainerEvents
from arena.trainer_process import Death
from arena.trainer_supervisor import TrainerSupervisor
from arena.wishes import WishKeeper
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, RealmError
from core.paths import RealmPaths
from core.saga import Saga
from core.scribe import Scribe
from core.settings import Settings
from core.status_files import read_status, write_status
from core.tasks import TaskCrew
from vault.checkpoints import CheckpointStore

logger = logging.getLogger(__name__)

CONTROL_SECONDS = 0.25
STATUS_SECONDS = 1.0
QUIET_STATUS_SECONDS = 2.0
"""While no quest is fought: an idle realm should cost next to nothing."""
SHORTEST_STATUS_SECONDS = 0.1
STATUS_VALID_SECONDS = 15.0
HEARTBEAT_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 60.0
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
        self.settings = settings
        self.hero = hero
        self._base_model = base_model
        self._saga = saga
        self.ledger = ledger
        self._read_settings = read_settings
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
        self._intake = Intake(
            Inbox(paths.inbox, settings.inbox.settle_seconds), self.board, scribe, saga,
            scan_seconds=settings.inbox.scan_seconds, on_admitted=self._note_news,
        )  # fmt: skip
        self._news = asyncio.Event()
        self._state_changed = asyncio.Event()
        self._counts: dict[str, Any] = {}
        self._last_told: tuple[object, ...] = ()
        self._last_told_at = float("-inf")

    # --- life ------------------------------------------------------------------------------------------------

    async def start(self, crew: TaskCrew) -> None:
        """Bring the directories in order, then start the loops."""
        await asyncio.to_thread(self._recover)
        self._wishes.read_at_start()
        if self._wishes.stopped:
            await self._supervisor.retire("stopped before the start")
        crew.start("trainer", self._supervisor.run)
        crew.start("intake", self._intake.run)
        crew.start("control", functools.partial(self._every, CONTROL_SECONDS, self._control))
        crew.start("claims", self._claim_loop)
        crew.start("status", self._status_loop)
        crew.start("housekeeping", functools.partial(self._every, HOUSEKEEPING_SECONDS, self._keep_house))

    async def stop(self, reason: str) -> None:
        """Let the trainer save and exit, and say so in the status files."""
        self.report.enter("stopping", datetime.now(UTC), reason)
        await self._supervisor.stop(reason, LAST_SAVE_SECONDS)
        self.report.enter("stopped", datetime.now(UTC), reason)
        await self.write_status()

    def _recover(self) -> None:
        self.paths.create()
        history = read_history(self._journal)
        check_locked(history, self.hero, self.settings, self._base_model)
        now = datetime.now(UTC)
        self._sweep(now)
        added, removed = self.ledger.reconcile(now=now)
        if added or removed:
            message = f"The ledger found {len(added)} checkpoints and lost {len(removed)} that are not on disk"
            self._saga.append("ledger_reconciled", message, now=now, data={"added": added, "removed": removed})
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

    def _sweep(self, now: datetime) -> None:
        """Finish what a crash cut, and send files without a record back to the gates (law 6)."""
        swept = self.board.sweep(now=now)
        for orphan in swept.orphans:
            try:
                self.board.send_to_gates(orphan.path)
            except (OSError, RealmError) as error:
                logger.warning("%s stays where it is: %s", orphan.path, error, extra={"event": "orphan_stays"})
        self._counts = self.board.counts()

    async def _every(self, seconds: float, work: Callable[[], Any]) -> None:
        while True:
            await work()
            await asyncio.sleep(seconds)

    # --- the trainer -------------------------------------------------------------------------------------------

    async def _begin(self) -> Begin:
        self._events.forget_trainer()
        self.report.enter("starting", datetime.now(UTC), "starting the trainer")
        return await asyncio.to_thread(
            begin_of, self.paths, self.settings, self.hero, self._base_model, self.board,
            [Withdrawal(quest_id=quest_id, reason=reason) for quest_id, reason in self._withdrawals.items()],
            self._wishes.pause_for_begin(),
        )  # fmt: skip

    async def _on_event(self, event: Event) -> None:
        await self._events.handle(event)
        match event:
            case Ready():
                self._withdrawals.clear()
                await self._wishes.drop_stale_skip()
                self._note_news()
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
        self._saga.append("quest_strike", message, now=now, data={"quest_id": quest.quest_id})
        if verdict.withdraw:
            reason = f"the trainer died {verdict.strikes} times at the same place: {death.cause}"
            if self._is_in_journal(quest.quest_id):
                self._withdrawals[quest.quest_id] = reason
            else:
                self.board.fail(quest.quest_id, outcome="withdrawn", reason=reason, now=now)
                self._saga.append("quest_withdrawn", f"{quest.name} was withdrawn: {reason}", now=now)

    def _quest_at(self, ordinal: int) -> Quest | None:
        claim = read_history(self._journal).claims.get(ordinal)
        # A quest that killed the trainer while it was being tokenized stands in no journal yet.
        return self.board.find(claim.quest_id) if claim else self.board.processing()

    def _is_in_journal(self, quest_id: str) -> bool:
        return read_history(self._journal).ordinal_of(quest_id) is not None

    # --- claims ------------------------------------------------------------------------------------------------

    def _note_news(self) -> None:
        self._news.set()

    async def _claim_loop(self) -> None:
        """Hand the next quest to a trainer that has none."""
        while True:
            await self._news.wait()
            self._news.clear()
            if not self._supervisor.ready or self._events.busy or self._wishes.stopped or self._wishes.paused:
                continue
            try:
                await self._claim_next()
            except (RealmError, OSError) as error:
                logger.warning("nothing could be claimed: %s", error, extra={"event": "claim_failed"})
                await asyncio.sleep(CONTROL_SECONDS)
                self._note_news()

    async def _claim_next(self) -> None:
        quest = await asyncio.to_thread(self.board.processing)
        if quest is None:
            waiting = await asyncio.to_thread(self.board.next_waiting)
            if waiting is None:
                return
            quest = await asyncio.to_thread(self.board.claim, waiting)
        self._refresh_settings()
        # Noted before it is sent: an answer may come while this coroutine waits for the socket.
        self._events.in_trainer.append(quest.quest_id)
        try:
            claim = claim_of(self.hero, self.settings, quest)
        except RealmError as error:
            self._events.in_trainer.remove(quest.quest_id)
            now = datetime.now(UTC)
            await asyncio.to_thread(self.board.fail, quest.quest_id, outcome="refused", reason=str(error), now=now)
            await self._events.tell("quest_refused", f"{quest.name} cannot be learned: {error}", now)
            self._note_news()
            return
        await self._supervisor.send(claim)

    def _refresh_settings(self) -> None:
        """Hyperparameters are read at claim; a file that became invalid leaves the old values in force."""
        try:
            fresh = self._read_settings()
            if fresh.hyperparams.max_length != self.settings.hyperparams.max_length:
                raise Conflict("hyperparams.max_length is locked while the realm runs.")
            self.settings = fresh
        except RealmError as error:
            logger.warning("settings not read again: %s", error, extra={"event": "settings_invalid"})

    # --- loops ---------------------------------------------------------------------------------------------------

    async def _control(self) -> None:
        was_paused = self._wishes.paused
        await self._wishes.obey()
        if was_paused and not self._wishes.paused:
            self._note_news()
        if self._events.unsealed_since and self._supervisor.ready:
            waiting = self._intake.waiting or self._counts.get("total_queued")
            empty = self.report.state == "idle" and not self._events.busy and not waiting
            reason = self._policy.reason(
                time.monotonic(), board_empty=empty, oldest_awaiting=min(self._events.unsealed_since.values())
            )
            if reason is not None:
                # Answered within the save's own time; until then no second one is asked for.
                self._policy.note_save(1.0, time.monotonic())
                await self._supervisor.send(Save(reason=reason))

    async def _keep_house(self) -> None:
        await asyncio.to_thread(self._keep_house_on_disk)
        await self._events.retry_moves()
        self._note_news()

    def _keep_house_on_disk(self) -> None:
        now = datetime.now(UTC)
        self._sweep(now)
        self.board.forget_completed(self.settings.budgets.completed_days, now=now)
        self.board.write_metadata(now=now)
        self._saga.trim()

    def _show_progress(self) -> None:
        waiting = self._counts.get("total_queued", 0)
        self._on_progress(live_part(self.report, waiting=waiting, version=self._version, now=datetime.now(UTC)))

    async def write_status(self) -> None:
        """The three status files of the arena; every reader knows until when they hold (law 7)."""
        self._counts = await asyncio.to_thread(self.board.counts)
        await asyncio.to_thread(self._write_status_files, datetime.now(UTC))
        self._show_progress()

    async def _status_loop(self) -> None:
        """A change of state is on disk at once, numbers of a running quest within a second."""
        while True:
            self._state_changed.clear()
            await self._refresh_status()
            await asyncio.sleep(SHORTEST_STATUS_SECONDS)
            quiet = self.report.quest is None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._state_changed.wait(), QUIET_STATUS_SECONDS if quiet else STATUS_SECONDS)

    async def _refresh_status(self) -> None:
        """Write what has changed, and in quiet times only as often as the heartbeat needs."""
        told = (self.report.state, self.report.reason, self.report.step, self._counts)
        now = time.monotonic()
        if told != self._last_told or now - self._last_told_at >= HEARTBEAT_SECONDS:
            self._last_told, self._last_told_at = told, now
            await self.write_status()
        else:
            self._counts = await asyncio.to_thread(self.board.counts)

    def _write_status_files(self, now: datetime) -> None:
        report, waiting = self.report, self._counts["total_queued"]
        training = report.training_status(waiting=waiting, now=now)
        write_status(self.paths.training_status, training, now=now, valid_for=STATUS_VALID_SECONDS)
        completed = report.quests_completed
        battle = report.battle_status(campaign=completed, total_campaigns=completed + waiting, now=now)
        write_status(self.paths.battle_status, battle, now=now, valid_for=STATUS_VALID_SECONDS)
        file = report.quest.file if report.quest else None
        self.control_files.write_state(report.state, current_file=file, reason=report.reason, now=now)

    # --- what the web asks ------------------------------------------------------------------------------------------

    async def snapshot(self) -> dict[str, Any]:
        """See `tavern/routes.py` for its shape."""
        counts = await asyncio.to_thread(self.board.counts)
        stored = await asyncio.to_thread(stored_part, self._saga, self.ledger)
        live = live_part(self.report, waiting=counts["total_queued"], version=self._version, now=datetime.now(UTC))
        lanes = ("processing", "awaiting_seal", "completed", "failed")
        queue = {**{name: counts["queued"][name] for name in ("high", "normal", "low")}, "inbox": self._intake.waiting}
        return {**live, **stored, "queue": queue | {name: counts[name] for name in lanes}}

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(read_status, self.paths.training_status, now=datetime.now(UTC))

    async def queue(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.board.queue_view)

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        if action == "skip" and await asyncio.to_thread(self.board.processing) is None:
            raise Conflict("No quest is running, so there is nothing to skip.")
        now = datetime.now(UTC)
        await asyncio.to_thread(self.control_files.write, action, reason or "asked for over HTTP", now=now)
        return {"success": True, "action": action, "message": f"{action} takes effect at the next step boundary"}

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        now = datetime.now(UTC)
        work: dict[str, Callable[[], Quest | Path | None]] = {
            "retry": lambda: self.board.retry(quest, priority, now=now),
            "remove": lambda: self.board.remove(quest),
            "move": lambda: self.board.move(quest, priority or "normal"),
        }
        done = await asyncio.to_thread(work[action])
        self._note_news()
        name = done.name if done is not None else quest
        await self._events.tell(f"quest_{action}", f"{name}: {action}", now)
        return {"success": True, "action": action, "quest": name}

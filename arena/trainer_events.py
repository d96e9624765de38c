"""What the trainer says becomes moves on the quest board, ledger records, metrics and events.

Every handler may run twice for the same fact (a daemon or a child may die in between) and then changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

from arena.gatekeepers.rejection import write_rejection
from arena.live_report import LiveReport
from arena.protocol import (
    CheckpointSaved,
    Claimed,
    Event,
    Loading,
    Progress,
    QuestEnded,
    Ready,
    Refused,
    SaveFailed,
    State,
    Trouble,
    Validation,
)
from arena.quest_board import QuestBoard
from arena.save_policy import SavePolicy
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.errors import RealmError
from core.saga import Saga
from vault.checkpoints import CheckpointStore

logger = logging.getLogger(__name__)

END_WORDS = {"learned": "is learned", "skipped": "was skipped", "withdrawn": "was withdrawn", "lost": "was lost"}


class TrainerEvents:
    """Handles one event at a time, in order."""

    def __init__(
        self,
        *,
        board: QuestBoard,
        ledger: CheckpointLedger,
        store: CheckpointStore,
        saga: Saga,
        report: LiveReport,
        policy: SavePolicy,
    ) -> None:
        self._board = board
        self._ledger = ledger
        self._store = store
        self._saga = saga
        self._report = report
        self._policy = policy
        self.in_trainer: list[str] = []
        """Quests that the trainer has or will replay, in order; nothing is claimed while there are any."""
        self.unsealed_since: dict[str, float] = {}
        """Ended quests without a seal, with the monotonic time of their end."""
        self._first_steps: dict[str, tuple[int, float | None]] = {}
        self._unmoved: list[QuestEnded] = []
        """Ended quests whose files could not be moved yet (full disk); retried, and nothing is claimed meanwhile."""

    @property
    def busy(self) -> bool:
        """True while a new claim must wait."""
        return bool(self.in_trainer or self._unmoved)

    async def handle(self, event: Event) -> None:
        now = datetime.now(UTC)
        match event:
            case Loading():
                self._report.enter("starting", now, event.what)
            case Ready():
                await self._on_ready(event, now)
            case State():
                self._report.enter(event.state, now, event.reason)
            case Claimed():
                await self._on_claimed(event, now)
            case Refused():
                await self._on_refused(event, now)
            case Progress():
                await self._on_progress(event, now)
            case Validation():
                self._report.validation_loss = event.loss
                points = [(event.step, event.loss)]
                await asyncio.to_thread(self._saga.put_points, "val_loss", points, now=now)
            case QuestEnded():
                await self._on_ended(event, now)
            case CheckpointSaved():
                await self._on_saved(event, now)
            case SaveFailed():
                self._policy.note_save(max(event.seconds, 1.0), time.monotonic())
                await self.tell("save_failed", f"A checkpoint could not be saved: {event.reason}", now)
            case Trouble():
                await self.tell(event.what, event.message, now, quest_id=event.quest_id)
            case _:
                pass

    async def tell(self, kind: str, message: str, now: datetime, **data: Any) -> None:
        """Add an event to the saga; one that the disk does not take stays in the log, and training goes on."""
        logger.info("%s", message, extra={"event": kind})
        try:
            await asyncio.to_thread(self._saga.append, kind, message, now=now, data=data or None)
        except RealmError as error:
            logger.warning("event %s is not in the saga: %s", kind, error, extra={"event": "saga_failed"})

    async def retry_moves(self) -> None:
        """Move what a failing disk left behind."""
        for event in list(self._unmoved):
            self._unmoved.remove(event)
            await self._on_ended(event, datetime.now(UTC))

    def forget_trainer(self) -> None:
        """The child is gone: what it had is told anew by the next `Ready`."""
        self.in_trainer.clear()
        self._report.quest = None

    # --- handlers --------------------------------------------------------------------------------------------

    async def _on_ready(self, ready: Ready, now: datetime) -> None:
        self._report.note_ready(ready)
        # What was trained after the checkpoint is trained again, and its points are written again.
        await asyncio.to_thread(self._saga.cut_back, ready.step)
        for ended in ready.covered:
            await self._on_ended(ended, now, told_before=True)
        await asyncio.to_thread(self._seal, [ended.quest_id for ended in ready.covered], now)
        self.in_trainer = list(ready.replay)
        for quest in await asyncio.to_thread(self._board.quests, "awaiting_seal"):
            self.unsealed_since.setdefault(quest.quest_id, time.monotonic())
        where = f"from {ready.checkpoint}" if ready.checkpoint else "from the base model"
        replay = (
            f"; {len(ready.replay)} quest{'s' * (len(ready.replay) > 1)} to finish or replay" if ready.replay else ""
        )
        await self.tell(
            "trainer_ready", f"{self._report.hero_title} is awake at step {ready.step}, {where}{replay}", now
        )

    async def _on_claimed(self, claimed: Claimed, now: datetime) -> None:
        quest = await asyncio.to_thread(self._board.find, claimed.quest_id)
        name = quest.name if quest else claimed.quest_id
        self._report.note_claimed(claimed, name, now)
        if claimed.quest_id not in self.in_trainer:
            self.in_trainer.append(claimed.quest_id)
        if quest is None or quest.record.outcome is None:
            message = f"The battle against {name} begins ({claimed.rows} rows, {claimed.steps} steps)"
            await self.tell("quest_started", message, now, quest_id=claimed.quest_id, ordinal=claimed.ordinal)

    async def _on_refused(self, refused: Refused, now: datetime) -> None:
        self._drop(refused.quest_id)
        first = refused.errors[0]
        reason = f"line {first.line}: {first.message}" if first.line else first.message
        quest = await asyncio.to_thread(self._board.fail, refused.quest_id, outcome="refused", reason=reason, now=now)
        verdict = {
            "accepted": False,
            "errors": [
                {"line": error.line or None, "field": None, "message": error.message} for error in refused.errors
            ],
            "total_errors": refused.total_errors,
            "warnings": [],
            "total_warnings": 0,
            "validators": quest.record.lineage.get("validator_versions", {}),
        }
        await asyncio.to_thread(write_rejection, quest.path, verdict, now=now)
        self._report.last_outcome = "refused"
        await self.tell("quest_refused", f"{quest.name} cannot be learned: {reason}", now, quest_id=refused.quest_id)

    async def _on_progress(self, progress: Progress, now: datetime) -> None:
        self._report.note_progress(progress)
        quest = self._report.quest
        if quest is not None:
            self._first_steps[quest.quest_id] = (quest.first_step, quest.first_loss)
        losses = [(point.step, point.loss) for point in progress.points if point.loss is not None]
        rates = [(point.step, point.learning_rate) for point in progress.points]
        await asyncio.to_thread(self._put_series, losses, rates, now)

    def _put_series(self, losses: list[tuple[int, float]], rates: list[tuple[int, float]], now: datetime) -> None:
        self._saga.put_points("train_loss", losses, now=now)
        self._saga.put_points("learning_rate", rates, now=now)

    async def _on_ended(self, ended: QuestEnded, now: datetime, *, told_before: bool = False) -> None:
        self._drop(ended.quest_id)
        quest = await asyncio.to_thread(self._board.find, ended.quest_id)
        if quest is None or quest.lane in {"recently_completed", "failed"}:
            return
        news = quest.record.outcome is None
        first_step, first_loss = self._first_steps.pop(
            ended.quest_id, (quest.record.first_step, quest.record.loss_first)
        )
        try:
            await asyncio.to_thread(
                self._board.await_seal, ended.quest_id, outcome=ended.outcome, rows_learned=ended.rows_learned,
                first_step=first_step, last_step=ended.last_step or None, reason=ended.reason,
                loss_first=first_loss, loss_last=self._report.loss, now=now,
            )  # fmt: skip
        except OSError as error:
            self._unmoved.append(ended)
            logger.warning("%s could not be moved: %s", quest.name, error, extra={"event": "move_failed"})
            return
        self.unsealed_since.setdefault(ended.quest_id, time.monotonic())
        self._report.last_outcome = ended.outcome
        if news and not told_before:
            words = END_WORDS.get(ended.outcome, ended.outcome)
            why = f": {ended.reason}" if ended.reason else ""
            message = f"{quest.name} {words} ({ended.rows_learned} rows){why}"
            await self.tell(f"quest_{ended.outcome}", message, now, quest_id=ended.quest_id, step=ended.last_step)

    async def _on_saved(self, saved: CheckpointSaved, now: datetime) -> None:
        self._policy.note_save(saved.seconds, time.monotonic())
        if saved.record:
            self._report.checkpoint = saved.name
            message = f"Checkpoint {saved.name} is saved ({saved.seconds:.1f} s)"
            await self.tell("checkpoint_saved", message, now, step=saved.step, milestone=saved.milestone)
        await self.retry_moves()
        await asyncio.to_thread(self._keep_books, saved, now)

    def _keep_books(self, saved: CheckpointSaved, now: datetime) -> None:
        record = CheckpointRecord.from_json(saved.record) if saved.record else None
        if record is not None:
            self._ledger.record(record, now=now)
        self._seal(saved.covers, now)
        if record is not None:
            self._free_rolling_slot(now)

    def _seal(self, quest_ids: list[str], now: datetime) -> None:
        for quest in self._board.seal(quest_ids, now=now):
            self.unsealed_since.pop(quest.quest_id, None)
            if quest.record.outcome == "learned":
                self._report.quests_completed += 1
                message = f"{quest.record.original_name} is sealed: a checkpoint covers all it taught"
                self._saga.append("quest_sealed", message, now=now, data={"quest_id": quest.quest_id})
        for quest_id in quest_ids:
            self.unsealed_since.pop(quest_id, None)

    def _free_rolling_slot(self, now: datetime) -> None:
        """Delete older checkpoints that are no milestones, in the order of DESIGN section 3: disk, ledger, unlink."""
        head = self._store.head()
        for record in self._ledger.list_all():
            name = record.canonical_name
            if record.milestone or name == head or not record.ordinal:
                continue
            try:
                self._store.trash(name)
                self._ledger.forget(name, "a newer checkpoint took the rolling slot", now=now)
                self._store.empty_trash()
            except (OSError, RealmError) as error:
                logger.warning("%s was not deleted: %s", name, error, extra={"event": "delete_failed"})

    def _drop(self, quest_id: str) -> None:
        if quest_id in self.in_trainer:
            self.in_trainer.remove(quest_id)
        if self._report.quest is not None and self._report.quest.quest_id == quest_id:
            self._report.quest = None

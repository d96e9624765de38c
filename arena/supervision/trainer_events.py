"""What the trainer says becomes moves on the quest board, ledger records, metrics and events.

Every handler may run twice for the same fact (a daemon or a child may die in between) and then changes nothing.
A disk that refuses holds up what is to be written, never the trainer: moves, ledger and series are made up for later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from arena.blockade import Blockade
from arena.command.save_policy import SavePolicy
from arena.gatekeepers.rejection import write_rejection
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
    WentBack,
)
from arena.quest_board import QuestBoard
from arena.quests import QuestRecord
from arena.supervision.child_guard import GOES_ON, HOLDS
from arena.telling.levels import HeroLevels
from arena.telling.live_report import LiveReport
from arena.upkeep.ledger_repair import reconcile_ledger
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.crash_points import crash_point
from core.errors import NotFound, RealmError
from core.saga import News, Saga
from vault.treasury import Treasury

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
"""Pause after the saga could not be written."""
KEPT_POINTS = 10_000
"""Points of a series that wait for a full disk at most; older ones are lost."""

TOLD_TOGETHER = 64
"""Events in one transaction: others write too."""

END_WORDS = {"learned": "is learned", "skipped": "was skipped", "withdrawn": "was withdrawn", "lost": "was lost"}


@dataclass
class Course:
    """What the steps of one quest tell of it."""

    first_step: int | None
    loss_first: float | None
    loss_last: float | None


class TrainerEvents:
    """Handles one event at a time, in order."""

    def __init__(
        self,
        *,
        board: QuestBoard,
        ledger: CheckpointLedger,
        treasury: Treasury,
        saga: Saga,
        report: LiveReport,
        policy: SavePolicy,
        on_free: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_free` hears that a quest has left `processing/`, before anything else comes of its end."""
        self._on_free = on_free
        self._board = board
        self._ledger = ledger
        self._treasury = treasury
        self._saga = saga
        self._report = report
        self._policy = policy
        self.in_trainer: list[str] = []
        """Quests that the trainer has or will replay, in order; nothing is claimed while there are any."""
        self.unsealed_since: dict[str, float] = {}
        """Ended quests without a seal, with the monotonic time of their end."""
        self._courses: dict[str, Course] = {}
        """Of quests that have not ended."""
        self._unmoved: dict[str, QuestEnded | Refused] = {}
        """Ends of quests whose files could not be moved yet (full disk), by id; retried, and nothing is claimed
        meanwhile: a refused one would be tokenized and refused over and over."""
        self._cut_back_to: int | None = None
        """Step after which the saga's points must go before new ones are written."""
        self._unbooked: list[CheckpointSaved] = []
        """Checkpoints that ledger and board do not know of yet, for the same reason."""
        self._unwritten = _no_points()
        """Points of each series that are not in the saga yet."""
        self._no_points_before = float("-inf")
        self._writing = asyncio.Lock()
        self.making_up = asyncio.Lock()
        """Held while files are moved late; whoever tells a trainer where they lie holds it too."""
        self._trouble = Blockade(saga, "records")
        self._reason_before: str | None = None
        self._hold_told: str | None = None
        self._levels = HeroLevels(saga, report.hero_title)

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold up the books."""
        return [self._trouble]

    @property
    def hold(self) -> str | None:
        """Why the trainer stands still, where it cannot say so itself; None while it does not."""
        return self._hold_told if self._hold_told is not None and self._report.reason == self._hold_told else None

    @property
    def busy(self) -> bool:
        """True while a new claim must wait."""
        return bool(self.in_trainer or self._unmoved)

    async def handle(self, event: Event) -> None:
        """Act on an event. A refusing disk raises nothing here: the trainer is ended when nobody listens to it."""
        try:
            await self._handle(event)
        except (OSError, RealmError) as error:
            message = f"What the trainer says cannot be written down ({type(event).__name__}): {error}"
            await self._trouble.raise_up(message)

    async def _handle(self, event: Event) -> None:
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
            case Refused() | QuestEnded():
                await self._settle(event, now)
            case Progress():
                await self._on_progress(event, now)
            case Validation():
                self._report.validation_loss = event.loss
                await self._put_points({"val_loss": [(event.step, event.loss)]}, now)
            case CheckpointSaved():
                await self._on_saved(event, now)
            case SaveFailed():
                seconds = max(event.seconds, 1.0)
                self._policy.note_save(time.monotonic(), seconds=seconds, cost_seconds=seconds)
                await self.tell("save_failed", f"A checkpoint could not be saved: {event.reason}", now)
            case Trouble():
                self._note_hold(event)
                await self.tell(event.what, event.message, now, quest_id=event.quest_id)
            case WentBack():
                await self._on_went_back(event, now)
            case _:
                pass

    async def tell(self, kind: str, message: str, now: datetime, **data: Any) -> None:
        """Add an event to the saga; training goes on also where the disk does not take it."""
        logger.info("%s", message, extra={"event": kind})
        await asyncio.to_thread(self._saga.tell, [News(kind, message, data or None)], now=now)

    async def make_up(self) -> None:
        """Move and write down what a failing disk left behind."""
        # The trainer's own task and housekeeping may both come here.
        async with self.making_up:
            for event in list(self._unmoved.values()):
                await self._settle(event, datetime.now(UTC))
            await self._keep_all_books(datetime.now(UTC))
        await self._write_points(datetime.now(UTC))

    def forget_trainer(self) -> None:
        """The child is gone: what it had is told anew by the next one.

        That goes for ends too, by a replay or by `Ready`: moved late, their files were gone from where the next child
        was told that they lie.
        """
        self.in_trainer.clear()
        self._report.quest = None
        self._unmoved = {quest_id: end for quest_id, end in self._unmoved.items() if isinstance(end, Refused)}

    def begin_anew(self) -> None:
        """The model stands elsewhere, and no trainer lives: what was still to be written down is of another past."""
        self.forget_trainer()
        for waiting in (self._unmoved, self.unsealed_since, self._courses, self._unwritten, self._unbooked):
            waiting.clear()
        report = self._report
        report.step = report.checkpoint = report.loss = report.validation_loss = report.learning_rate = None
        report.recent.clear()

    # --- handlers --------------------------------------------------------------------------------------------

    def _note_hold(self, event: Trouble) -> None:
        """Show why a trainer stands still that cannot say so itself, until it goes on."""
        report = self._report
        if event.what in HOLDS:
            if report.reason != self._hold_told:
                self._reason_before = report.reason
            self._hold_told = event.message
            report.reason = event.message
        elif event.what == GOES_ON and report.reason == self._hold_told:
            report.reason = self._reason_before

    async def _on_ready(self, ready: Ready, now: datetime) -> None:
        # First of all: what is settled below asks for the next claim, and there is none while the trainer has these.
        self.in_trainer = list(ready.replay)
        self._report.note_ready(ready)
        self._policy.forget_asked()
        await asyncio.to_thread(self._levels.begin, ready.step)
        # What was trained after the checkpoint is trained again, and its points are written again.
        self._unwritten.clear()
        self._cut_back_to = ready.step
        # A trainer that was killed between the rename of a checkpoint and its message has told nobody of it.
        await asyncio.to_thread(reconcile_ledger, self._ledger, self._saga, now=now)
        await asyncio.to_thread(self._board.uncover, ready.replay)
        for ended in ready.covered:
            await self._settle(ended, now, told_before=True)
        await asyncio.to_thread(self._seal, [ended.quest_id for ended in ready.covered], now)
        for quest in await asyncio.to_thread(self._board.quests, "awaiting_seal"):
            self.unsealed_since.setdefault(quest.quest_id, time.monotonic())
        where = f"from {ready.checkpoint}" if ready.checkpoint else "from the base model"
        replay = (
            f"; {len(ready.replay)} quest{'s' * (len(ready.replay) > 1)} to finish or replay" if ready.replay else ""
        )
        message = f"{self._report.hero_title} is awake at step {ready.step}, {where}{replay}"
        await self.tell("trainer_ready", message, now, step=ready.step, checkpoint=ready.checkpoint)
        await self._write_points(now)

    async def _on_claimed(self, claimed: Claimed, now: datetime) -> None:
        quest = await asyncio.to_thread(self._board.find, claimed.quest_id)
        name = quest.name if quest else claimed.quest_id
        self._report.note_claimed(claimed, name, now)
        if claimed.quest_id not in self.in_trainer:
            self.in_trainer.append(claimed.quest_id)
        if quest is None or quest.record.outcome is None:
            message = f"The battle against {name} begins ({claimed.rows} rows, {claimed.steps} steps)"
            await self.tell("quest_started", message, now, quest_id=claimed.quest_id, ordinal=claimed.ordinal)

    async def _settle(self, end: QuestEnded | Refused, now: datetime, *, told_before: bool = False) -> None:
        """Move a quest to where its end leads. Until that is done it lies where it would be claimed once more."""
        news = None
        try:
            if isinstance(end, Refused):
                news = await self._on_refused(end, now)
            else:
                news = await self._on_ended(end, now, told_before=told_before)
        except NotFound as error:
            logger.info("an end is not noted: %s", error, extra={"event": "removed_by_hand"})
        except OSError as error:
            self._unmoved[end.quest_id] = end
            await self._trouble.raise_up(f"A quest that is over cannot be moved yet: {error}")
            return
        finally:
            self._drop(end.quest_id)
        self._unmoved.pop(end.quest_id, None)
        self._on_free()
        if news is not None:
            await self.tell(news.kind, news.message, now, **(news.data or {}))

    async def _on_refused(self, refused: Refused, now: datetime) -> News:
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
        try:
            await asyncio.to_thread(write_rejection, quest.path, verdict, now=now)
        except OSError as error:  # the reason stands in the sidecar and in the event too
            logger.warning("no report on %s: %s", quest.path, error, extra={"event": "report_failed"})
        self._report.last_outcome = "refused"
        message = f"{quest.name} cannot be learned: {reason}"
        return News("quest_refused", message, {"quest_id": refused.quest_id})

    async def _on_progress(self, progress: Progress, now: datetime) -> None:
        self._report.note_progress(progress)
        quest = self._report.quest
        if quest is not None and quest.quest_id == progress.quest_id:
            course = self._courses.setdefault(quest.quest_id, Course(quest.first_step, None, None))
            _follow(course, progress)
        await self._put_points(_series_of(progress), now)
        if (news := self._levels.reached(progress.step)) is not None:
            await self.tell(news.kind, news.message, now, **(news.data or {}))

    async def _put_points(self, series: dict[str, list[tuple[int, float]]], now: datetime) -> None:
        for name, points in series.items():
            self._unwritten[name].extend(points)
        if time.monotonic() >= self._no_points_before:
            await self._write_points(now)

    async def _write_points(self, now: datetime) -> None:
        async with self._writing:
            points, self._unwritten = self._unwritten, _no_points()
            try:
                if self._cut_back_to is not None:
                    await asyncio.to_thread(self._saga.cut_back, self._cut_back_to)
                    self._cut_back_to = None
                await asyncio.to_thread(self._saga.put_series, points, now=now)
            except RealmError as error:
                for name, later in self._unwritten.items():
                    points[name].extend(later)
                self._unwritten = points
                # Thousands of points are not tried again with every frame.
                self._no_points_before = time.monotonic() + RETRY_SECONDS
                await self._trouble.raise_up(f"Losses and other series are not written down for now: {error}")
                return
        if not self._unbooked and not self._unmoved:
            await self._trouble.lift("What the trainer says is written down again")

    async def _on_ended(self, ended: QuestEnded, now: datetime, *, told_before: bool = False) -> News | None:
        quest = await asyncio.to_thread(self._board.find, ended.quest_id)
        if quest is None or quest.lane == "recently_completed":
            return None
        record = quest.record
        if quest.lane == "failed" and record.rows_learned is not None:
            return None
        if told_before and (quest.lane, record.outcome) == ("awaiting_seal", ended.outcome):
            # Who tells it again has seen none of its steps.
            self.unsealed_since.setdefault(ended.quest_id, time.monotonic())
            return None
        is_new = record.outcome is None
        known = Course(record.first_step, record.loss_first, record.loss_last)
        course = self._courses.get(ended.quest_id, known)
        last_step = None if course.first_step is None else ended.last_step or record.last_step
        await asyncio.to_thread(
            self._board.await_seal, ended.quest_id, outcome=ended.outcome, rows_learned=ended.rows_learned,
            first_step=course.first_step, last_step=last_step, reason=ended.reason,
            loss_first=known.loss_first if course.loss_first is None else course.loss_first,
            loss_last=course.loss_last, now=now, tidy_later=True,
        )  # fmt: skip
        self._courses.pop(ended.quest_id, None)
        if quest.lane == "failed":
            return None
        self.unsealed_since.setdefault(ended.quest_id, time.monotonic())
        self._report.last_outcome = ended.outcome
        if not is_new or told_before:
            return None
        words = END_WORDS.get(ended.outcome, ended.outcome)
        why = f": {ended.reason}" if ended.reason else ""
        message = f"{quest.name} {words} ({ended.rows_learned} rows){why}"
        return News(f"quest_{ended.outcome}", message, {"quest_id": ended.quest_id, "step": ended.last_step})

    async def _on_saved(self, saved: CheckpointSaved, now: datetime) -> None:
        self._policy.note_save(time.monotonic(), seconds=saved.seconds, cost_seconds=saved.cost_seconds)
        if saved.record and saved.record.get("has_optimizer"):
            self._report.checkpoint = saved.name
        self._unbooked.append(saved)
        await self.make_up()

    async def _on_went_back(self, back: WentBack, now: datetime) -> None:
        self._report.checkpoint = back.checkpoint
        where = f"to {back.checkpoint} (step {back.step})" if back.checkpoint else "to the weights it began with"
        kept = f"; {', '.join(back.left_behind)} went to branches/{back.branch}" if back.left_behind else ""
        message = f"Learning goes back {where}: {back.reason}{kept}"
        await self.tell("went_back", message, now, quest_id=back.quest_id, left_behind=back.left_behind)
        reason = f"{back.reason}; kept in branches/{back.branch}"
        for name in back.left_behind:
            await asyncio.to_thread(self._ledger.forget, name, reason, now=now)

    async def _keep_all_books(self, now: datetime) -> None:
        """In the order in which the checkpoints were made; stops at the first that the disk does not take."""
        while self._unbooked:
            try:
                await asyncio.to_thread(self._keep_books, self._unbooked[0], now)
            except (OSError, RealmError) as error:
                await self._trouble.raise_up(f"A checkpoint is saved, but not written into the ledger yet: {error}")
                return
            del self._unbooked[0]

    def _keep_books(self, saved: CheckpointSaved, now: datetime) -> None:
        record = CheckpointRecord.from_json(saved.record) if saved.record else None
        if record is not None:
            # First: where the disk is full, this makes room for all the rest.
            self._treasury.free_rolling_slot(now)
            self._ledger.record(record, now=now)
            # Not before: whoever hears of it looks for it there, and would not look again.
            held = "" if record.has_optimizer else ", weights only"
            message = f"Checkpoint {saved.name} is saved ({saved.seconds:.1f} s{held})"
            news = News("checkpoint_saved", message, {"step": saved.step, "milestone": saved.milestone})
            logger.info("%s", message, extra={"event": news.kind})
            self._saga.tell([news], now=now)
            # What is left to be done may have to be tried again; this is done.
            self._unbooked[0] = replace(saved, record={})
            crash_point("books.recorded")
        self._seal(saved.covers, now)

    def _seal(self, quest_ids: list[str], now: datetime) -> None:
        news = []
        for quest in self._board.seal(quest_ids, now=now):
            self.unsealed_since.pop(quest.quest_id, None)
            if quest.record.outcome == "learned":
                self._report.quests_completed += 1
                message = f"{quest.record.original_name} is sealed: a checkpoint covers all it taught"
                news.append(News("quest_sealed", message, _sealed(quest.record)))
        crash_point("books.sealed")
        self._tell_all(news, now)
        for quest_id in quest_ids:
            self.unsealed_since.pop(quest_id, None)

    def _tell_all(self, news: list[News], now: datetime) -> None:
        try:
            for first in range(0, len(news), TOLD_TOGETHER):
                self._saga.append_all(news[first : first + TOLD_TOGETHER], now=now)
        except RealmError as error:
            logger.warning("%d events are not in the saga: %s", len(news), error, extra={"event": "saga_failed"})

    def _drop(self, quest_id: str) -> None:
        if quest_id in self.in_trainer:
            self.in_trainer.remove(quest_id)
        if self._report.quest is not None and self._report.quest.quest_id == quest_id:
            self._report.quest = None


def _series_of(progress: Progress) -> dict[str, list[tuple[int, float]]]:
    points = progress.points
    return {
        "train_loss": [(point.step, point.loss) for point in points if point.loss is not None],
        "learning_rate": [(point.step, point.learning_rate) for point in points],
        "grad_norm": [(point.step, point.grad_norm) for point in points if point.grad_norm is not None],
        "tokens_per_second": [(point.step, point.tokens / point.seconds) for point in points if point.seconds > 0],
    }


def _no_points() -> defaultdict[str, deque[tuple[int, float]]]:
    return defaultdict(lambda: deque(maxlen=KEPT_POINTS))


def _sealed(record: QuestRecord) -> dict[str, Any]:
    """What a sealed quest was like; `longest_row` has the tokens of the longest row that was measured."""
    tokens = (record.proof or {}).get("tokens") or {}
    return {
        "quest_id": record.quest_id,
        "rows": record.rows,
        "loss_last": record.loss_last,
        "longest_row": (tokens.get("length") or {}).get("max"),
    }


def _follow(course: Course, progress: Progress) -> None:
    losses = [point.loss for point in progress.points if point.loss is not None]
    if not losses:
        return
    if progress.quest_step == len(progress.points):  # else it is the rest of a quest that was cut off
        course.loss_first = losses[0]
    course.loss_last = losses[-1]

"""Taking up quests and ending them: a claim becomes a journal entry and rows in memory; an end, a line in the journal.

A new quest enters the journal only when all of it can be learned. A quest that the journal holds and the checkpoint
does not cover is prepared again from its data file, and must give the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from arena.journal import ClaimEntry, End, Journal
from arena.protocol import Claim, Claimed, Progress, QuestEnded, QuestSettings, Refused, RowError, StepPoint, Trouble
from arena.rendering import Renderer
from arena.supervision.position_file import Phase
from arena.tokens.token_cache import TokenCache
from arena.tokens.token_recipe import TokenRecipe
from arena.trainer.healing.out_of_memory import OutOfMemory, release_memory, unless_out_of_memory
from arena.trainer.situation import Situation, utc_now
from arena.trainer.stream.batching import TokenRow
from arena.trainer.stream.patient_reading import read_patiently
from arena.trainer.stream.quest_data import QuestData, QuestRefused, prepare_quest
from arena.trainer.stream.row_order import RowOrder
from core.errors import Conflict, InvalidInput

MEMORY_TRIES = 3
MEMORY_WAIT_SECONDS = 5.0
"""How often, and with what pause, a quest of the journal is prepared when memory does not suffice."""

BEFORE_ANY_CLAIM = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class ActiveQuest:
    """The quest being stepped."""

    claim: ClaimEntry
    data: QuestData
    _order: RowOrder | None = None
    _order_epoch: int = -1

    def rows_of(self, quest_step: int) -> list[TokenRow]:
        """The rows of one step, in the order in which they are learned."""
        claim, settings = self.claim, self.claim.settings
        epoch, step = divmod(quest_step, claim.steps_per_epoch)
        if self._order is None or self._order_epoch != epoch:
            self._order = RowOrder(claim.rows, seed=settings.seed, ordinal=claim.ordinal, epoch=epoch)
            self._order_epoch = epoch
        first = step * settings.rows_per_step
        positions = range(first, min(first + settings.rows_per_step, claim.rows))
        return [self.data.row(self._order.position_to_row(position)) for position in positions]


@dataclass
class ClaimClock:
    """The time that a chat template may print: that of the claim, so that a replay renders the same text (law 3)."""

    now: datetime = BEFORE_ANY_CLAIM

    def __call__(self) -> datetime:
        return self.now


class FindFile(Protocol):
    """Tells where the data of a quest lie now (`arena.trainer.stream.data_at_hand`)."""

    def __call__(self, quest_id: str, *, begun: bool) -> Path | None: ...


class QuestTaker:
    """Holds the active quest; see the module docstring."""

    def __init__(
        self,
        situation: Situation,
        renderer_for: Callable[[str], Renderer],
        clock: ClaimClock,
        tokens: TokenCache | None = None,
        find_file: FindFile = lambda quest_id, *, begun: None,
    ) -> None:
        """Without `tokens`, every quest is tokenized when it is taken up."""
        self._situation = situation
        self._renderer_for = renderer_for
        self._clock = clock
        """The clock of every renderer."""
        self._tokens = tokens
        self._find_file = find_file
        self._paths = {quest.quest_id: Path(quest.path) for quest in situation.begin.open_quests}
        self._memory_failures = 0
        """How often the quest at the cursor could not be prepared for want of memory."""
        self.active: ActiveQuest | None = None
        self.ended_before: list[str] = []
        """Claimed again though over: the daemon did not hear of their end, nor of the checkpoint that covers them."""

    def take_next(self) -> bool:
        """Go on with the journal's next quest, else with a new claim; False when there is neither."""
        situation = self._situation
        claims = situation.journal.history.claims
        if situation.cursor.ordinal in claims:
            self._take_up(claims[situation.cursor.ordinal])
            return True
        claim, situation.orders.claim = situation.orders.claim, None
        if claim is None:
            return False
        self._accept(claim)
        return True

    def data_file(self, quest_id: str) -> Path | None:
        """Where the data of a quest lay when this child was told of it."""
        return self._paths.get(quest_id)

    def end_here(self, outcome: str, reason: str) -> None:
        """Cut the journal's quest at the cursor: durable before the next quest's first step."""
        if self._situation.quest_is_over:
            return
        ordinal, quest_step = self._situation.here
        self._situation.write_down(
            End(
                seq=self._situation.journal.history.seq + 1, at=utc_now(), ordinal=ordinal, quest_step=quest_step,
                outcome=outcome, reason=reason,
            )
        )  # fmt: skip

    def finish(self) -> None:
        """Report the end of the quest at the cursor and move the cursor to the next ordinal."""
        situation = self._situation
        situation.link.send(ended(situation.journal, situation.cursor.ordinal, last_step=situation.arms.global_step))
        self.active = situation.quest_id = None
        situation.cursor.next_quest()

    def progress(self, points: list[StepPoint]) -> Progress:
        """How far the active quest is learned."""
        if self.active is None:
            raise RuntimeError("progress without a quest")
        claim, quest_step = self.active.claim, self._situation.cursor.quest_step
        return Progress(
            step=self._situation.arms.global_step, quest_id=claim.quest_id,
            epoch=min(quest_step // claim.steps_per_epoch, claim.settings.epochs - 1),
            quest_step=quest_step, quest_steps=self._situation.journal.history.steps_of(claim.ordinal),
            rows_learned=claim.rows_after(quest_step), rows_total=claim.rows * claim.settings.epochs,
            replaying=self._situation.replaying, points=points,
        )  # fmt: skip

    def _take_up(self, claim: ClaimEntry) -> None:
        """Prepare a quest of the journal again. Only data that are gone for good end it; all else may pass."""
        situation = self._situation
        # A trainer that outlived its daemon for a moment may have claimed what this one was not told of.
        path = self._paths.get(claim.quest_id) or self._find_file(claim.quest_id, begun=True)
        try:
            if path is None:
                raise FileNotFoundError(f"{claim.name} is in no lane of the quest board")
            data = self._prepare_wherever_it_lies(claim, path, claim.at)
            if isinstance(data, OutOfMemory):
                self._wait_for_memory(claim, data)
                return
        except (QuestRefused, FileNotFoundError) as error:
            reason = f"its data file is gone or changed before a checkpoint covered it: {error}"
            situation.link.send(Trouble(what="quest_lost", message=f"{claim.name}: {reason}", quest_id=claim.quest_id))
            self.end_here("lost", reason)
            return
        if data is not None:
            self._check_rows(claim, data)
            self._activate(claim, data)

    def _check_rows(self, claim: ClaimEntry, data: QuestData) -> None:
        """Raise `Conflict` where the same file gives other rows than it did: other weights come of it then (law 3)."""
        if len(data) == claim.rows:
            return
        self._situation.note(Phase.WAITING)  # no quest is to blame for what reads it
        raise Conflict(
            f"{claim.name} was learned as {claim.rows} rows, and the same file is read as {len(data)} rows now: it "
            "cannot be learned again as the journal tells it.",
            hint="Go back to the version of the realm that it was claimed with, or take it back with `realm rewind`.",
        )

    def _accept(self, wish: Claim) -> None:
        """Prepare a new quest and write its claim down."""
        situation = self._situation
        history = situation.journal.history
        known = history.ordinal_of(wish.quest_id)
        if known is not None:
            # The daemon died before it heard of the end; learning it again would break law 3.
            self.ended_before.append(wish.quest_id)
            situation.take_along(wish)
            situation.link.send(ended(situation.journal, known, last_step=situation.arms.global_step))
            return
        claimed_at = utc_now()
        try:
            data = self._prepare_wherever_it_lies(wish, Path(wish.path), claimed_at)
        except QuestRefused as error:
            situation.link.send(Refused(quest_id=wish.quest_id, errors=error.errors, total_errors=error.total))
            return
        except (FileNotFoundError, InvalidInput) as error:
            errors = [RowError(line=0, message=str(error))]
            situation.link.send(Refused(quest_id=wish.quest_id, errors=errors, total_errors=1))
            return
        if isinstance(data, OutOfMemory):
            message = f"memory does not suffice to prepare it ({data.message}); split the file, or free memory"
            errors = [RowError(line=0, message=message)]
            situation.link.send(Refused(quest_id=wish.quest_id, errors=errors, total_errors=1))
            return
        if data is None:
            return
        claim = ClaimEntry(
            seq=history.seq + 1, at=claimed_at, ordinal=situation.cursor.ordinal, quest_id=wish.quest_id,
            name=wish.name, content_hash=wish.content_hash, schema_id=wish.schema_id, rows=len(data),
            settings=situation.arms.settle(wish.settings),
        )  # fmt: skip
        if situation.write_down(claim):
            self._paths[wish.quest_id] = Path(wish.path)
            situation.take_along(wish)
            self._activate(claim, data)

    def _prepare_wherever_it_lies(
        self, claim: Claim | ClaimEntry, path: Path, claimed_at: str
    ) -> QuestData | OutOfMemory | None:
        """`_prepare`, also of a file that was moved since somebody told that it lies at `path`."""
        prepare = partial(
            self._prepare, schema_id=claim.schema_id, settings=claim.settings, content_hash=claim.content_hash,
            claimed_at=claimed_at,
        )  # fmt: skip
        while True:
            try:
                return prepare(claim.quest_id, path)
            except FileNotFoundError:
                place = self._find_file(claim.quest_id, begun=isinstance(claim, ClaimEntry))
                if place is None or place == path:
                    raise
                path = place

    def _prepare(
        self,
        quest_id: str,
        path: Path,
        schema_id: str,
        settings: QuestSettings,
        content_hash: str,
        claimed_at: str,
    ) -> QuestData | OutOfMemory | None:
        """The quest's tokens; None when a stop came in between. Raises `FileNotFoundError` when its file is gone."""
        self._clock.now = datetime.fromisoformat(claimed_at)
        renderer = read_patiently(self._situation, partial(self._renderer_for, settings.profile), quest_id)
        if renderer is None:
            return None
        entry = None
        if self._tokens is not None:
            recipe = TokenRecipe.of(
                renderer, content_hash=content_hash, schema_id=schema_id, system_prompt=settings.system_prompt,
                max_length=settings.max_length, claimed_at=claimed_at,
            )  # fmt: skip
            entry = self._tokens.entry(recipe.key)
        work = partial(
            prepare_quest, path, schema_id=schema_id, settings=settings, content_hash=content_hash,
            renderer=renderer, between_batches=self._give_up_when_stopped, entry=entry,
        )  # fmt: skip
        try:
            data = read_patiently(self._situation, partial(unless_out_of_memory, work), quest_id, path)
        except _StoppedWhilePreparing:
            return None
        if isinstance(data, OutOfMemory):
            release_memory()
        return data

    def _wait_for_memory(self, claim: ClaimEntry, failure: OutOfMemory) -> None:
        """Others may need less of it in a moment; a quest that can never be prepared is ended (D7)."""
        situation = self._situation
        self._memory_failures += 1
        reason = f"memory does not suffice to prepare it: {failure.message}"
        situation.link.send(Trouble(what="out_of_memory", message=f"{claim.name}: {reason}", quest_id=claim.quest_id))
        if self._memory_failures < MEMORY_TRIES:
            situation.note(Phase.WAITING)
            situation.orders.wait(MEMORY_WAIT_SECONDS)
            return
        self._memory_failures = 0
        self.end_here("withdrawn", f"{reason}; split the file, or give the trainer more memory")

    def _give_up_when_stopped(self) -> None:
        self._situation.position.beat()
        self._situation.orders.look()
        if self._situation.orders.stop_reason is not None:
            raise _StoppedWhilePreparing

    def _activate(self, claim: ClaimEntry, data: QuestData) -> None:
        situation = self._situation
        self._memory_failures = 0
        self.active = ActiveQuest(claim=claim, data=data)
        situation.quest_id = claim.quest_id
        situation.link.send(
            Claimed(
                quest_id=claim.quest_id, ordinal=claim.ordinal, rows=claim.rows,
                epochs=claim.settings.epochs, steps=situation.journal.history.steps_of(claim.ordinal),
                first_step=situation.arms.global_step - situation.cursor.quest_step,
                # Half of it may be learned already; the daemon must not show zero until the next step (F4, F5).
                quest_step=situation.cursor.quest_step, rows_learned=claim.rows_after(situation.cursor.quest_step),
            )
        )  # fmt: skip
        if situation.cursor.quest_step:
            situation.link.send(self.progress([]))


class _StoppedWhilePreparing(Exception):
    """A stop arrived while a quest was being tokenized."""


def ended(journal: Journal, ordinal: int, *, last_step: int) -> QuestEnded:
    """The event that tells the end of a quest."""
    history = journal.history
    end = history.ends.get(ordinal)
    return QuestEnded(
        quest_id=history.claims[ordinal].quest_id, ordinal=ordinal, outcome=history.outcome_of(ordinal),
        rows_learned=history.rows_learned(ordinal), last_step=last_step, reason=end.reason if end else None,
    )  # fmt: skip

"""One battle that never ends: which step comes next, and what happens between two steps.

`Battle.steps()` is the data source of the one `Trainer.train()` call. Each time the Trainer asks for the next step, the
previous one is complete (optimizer stepped, gradients cleared, `global_step` counted), so every wish of the daemon,
every save and every evaluation happens there. The generator blocks while the board is empty or the trainer is paused.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import torch

from arena.journal import Dropped
from arena.protocol import QuestSettings, Ready, StepPoint, Trouble
from arena.supervision.position_file import Phase
from arena.trainer.batching import TokenRow
from arena.trainer.quest_taking import ActiveQuest, QuestTaker
from arena.trainer.row_order import RowOrder
from arena.trainer.saving import Saver
from arena.trainer.situation import LOOK_SECONDS, Situation, utc_now
from core.crash_points import crash_point

MAX_DROPPED_IN_A_ROW = 3


@dataclass
class StepPlan:
    """One optimizer step: what to learn, and what came of it."""

    ordinal: int
    quest_step: int
    rows: list[TokenRow]
    settings: QuestSettings
    learning_rate: float
    learn: bool
    """False replays a journaled step whose gradients were dropped."""
    loss: torch.Tensor | None = None
    """Mean cross-entropy per target token, nats; filled in by the engine."""
    grad_norm: float | None = None
    """Global gradient norm before clipping."""
    dropped: bool = False
    """The engine found the gradients not finite and cleared them."""


class Battle:
    """The trainer child between two steps; see the module docstring."""

    def __init__(
        self, situation: Situation, taker: QuestTaker, saver: Saver, *, ready: Ready, resume_from: str | None
    ) -> None:
        self.situation = situation
        self.resume_from = resume_from
        """Checkpoint directory to resume from; None starts from the base model."""
        self._taker = taker
        self._saver = saver
        self._ready = ready

    @property
    def unsaved(self) -> bool:
        """True when the battle ended without the checkpoint that it should have ended with."""
        return self._saver.unsaved

    def steps(self) -> Iterator[StepPlan]:
        """The endless source of steps; ends after a stop, when everything is saved."""
        situation = self.situation
        situation.note(Phase.WAITING)
        situation.link.send(msgspec.structs.replace(self._ready, step=situation.arms.global_step))
        self._saver.begin()
        while self._boundary():
            quest = self._taker.active
            if quest is None:
                if not self._taker.take_next():
                    self._rest("idle", reason=None)
                continue
            plan = self._plan_step(quest)
            situation.tell("replaying" if situation.replaying else "training")
            situation.note(Phase.STEPPING)
            started = time.monotonic()
            crash_point(f"battle.step.{quest.claim.name}")
            yield plan
            self._after_step(quest, plan, time.monotonic() - started)

    # --- the boundary between two steps --------------------------------------------------------------------

    def _boundary(self) -> bool:
        """Carry out the daemon's wishes; False when the battle ends here."""
        orders = self.situation.orders
        orders.look()
        self._end_quests()
        self._saver.save_when_due(self._taker.ended_before)
        while orders.pause_reason is not None and orders.stop_reason is None:
            self._rest("paused", reason=orders.pause_reason)
        if orders.stop_reason is not None:
            self._saver.save(f"stop: {orders.stop_reason}", covers_too=self._taker.ended_before)
            return False
        return True

    def _rest(self, state: str, *, reason: str | None) -> None:
        """Wait for a command, staying warm."""
        self.situation.note(Phase.WAITING)
        self.situation.tell(state, reason=reason)
        self.situation.orders.wait(LOOK_SECONDS)
        self._end_quests()
        if self.situation.orders.save_reason is not None:
            self._saver.save_when_due(self._taker.ended_before)

    def _end_quests(self) -> None:
        """End the quest at the cursor when it is skipped or over, and all after it that were taken back."""
        orders, active = self.situation.orders, self._taker.active
        skip, orders.skip = orders.skip, None
        if skip is not None and active is not None and skip.quest_id == active.claim.quest_id:
            self._taker.end_here("skipped", skip.reason)
        while self.situation.quest_is_over:
            before = self.situation.here
            self._taker.finish()
            self._saver.quest_over(before)

    # --- steps -----------------------------------------------------------------------------------------------

    def _plan_step(self, quest: ActiveQuest) -> StepPlan:
        claim, settings = quest.claim, quest.claim.settings
        ordinal, quest_step = self.situation.here
        epoch, step = divmod(quest_step, claim.steps_per_epoch)
        if quest.order is None or quest.order_epoch != epoch:
            quest.order = RowOrder(claim.rows, seed=settings.seed, ordinal=ordinal, epoch=epoch)
            quest.order_epoch = epoch
        first = step * settings.rows_per_step
        positions = range(first, min(first + settings.rows_per_step, claim.rows))
        warmed = (self.situation.arms.global_step + 1) / settings.warmup_steps if settings.warmup_steps else 1.0
        return StepPlan(
            ordinal=ordinal,
            quest_step=quest_step,
            rows=[quest.data.row(quest.order.position_to_row(position)) for position in positions],
            settings=settings,
            learning_rate=settings.learning_rate * min(1.0, warmed),
            learn=(ordinal, quest_step) not in self.situation.journal.history.dropped,
        )

    def _after_step(self, quest: ActiveQuest, plan: StepPlan, seconds: float) -> None:
        situation, cursor = self.situation, self.situation.cursor
        cursor.quest_step += 1
        if plan.dropped:
            self._note_dropped(quest, plan)
        loss = plan.loss.item() if plan.loss is not None else math.nan
        point = StepPoint(
            situation.arms.global_step, loss if math.isfinite(loss) else None, plan.learning_rate, plan.grad_norm,
            sum(len(row.token_ids) for row in plan.rows), seconds,
        )  # fmt: skip
        if point.loss is not None and not plan.dropped:
            # Of the last step that taught: a replay does not compute the others (law 3).
            cursor.train_loss = point.loss
        cursor.learning_rate = plan.learning_rate
        cursor.rows_total += len(plan.rows)
        situation.link.send(self._taker.progress([point]))

    def _note_dropped(self, quest: ActiveQuest, plan: StepPlan) -> None:
        """Journal a step that taught nothing; give the quest up when that goes on (B18)."""
        history = self.situation.journal.history
        if plan.learn:
            self._report_dropped(quest, plan)
        # Counted from the journal, so that a restart in between changes nothing (law 3).
        latest = range(plan.quest_step - MAX_DROPPED_IN_A_ROW + 1, plan.quest_step + 1)
        if all((plan.ordinal, quest_step) in history.dropped for quest_step in latest):
            self._taker.end_here("withdrawn", f"the loss was not finite in {MAX_DROPPED_IN_A_ROW} steps running")

    def _report_dropped(self, quest: ActiveQuest, plan: StepPlan) -> None:
        lines = [row.line for row in plan.rows]
        seq = self.situation.journal.history.seq + 1
        self.situation.write_down(
            Dropped(seq=seq, at=utc_now(), ordinal=plan.ordinal, quest_step=plan.quest_step, lines=lines)
        )
        where = f"{quest.claim.name}, lines {min(lines)} to {max(lines)}"
        message = (
            f"Loss or gradient was not finite at step {self.situation.arms.global_step} ({where}); "
            "nothing was learned from it."
        )
        self.situation.link.send(Trouble(what="not_finite", message=message, quest_id=quest.claim.quest_id))

"""One battle that never ends: which step comes next, and what happens between two steps.

`Battle.steps()` is the data source of the one `Trainer.train()` call. Each time the Trainer asks for the next step, the
previous one is complete (optimizer stepped, gradients cleared, `global_step` counted), so every wish of the daemon,
every save and every evaluation happens there. The generator blocks while the board is empty or the trainer is paused.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import msgspec

from arena.protocol import Ready, StepPoint
from arena.supervision.position_file import Phase
from arena.trainer.examination import Examiner
from arena.trainer.healing.healer import Healer
from arena.trainer.saving.saver import Saver
from arena.trainer.situation import LOOK_SECONDS, Situation
from arena.trainer.stream.quest_taking import ActiveQuest, QuestTaker
from arena.trainer.stream.step_plan import StepPlan as StepPlan
from core.crash_points import crash_point


class Battle:
    """The trainer child between two steps; see the module docstring."""

    def __init__(
        self,
        situation: Situation,
        taker: QuestTaker,
        saver: Saver,
        healer: Healer,
        examiner: Examiner,
        *,
        ready: Ready,
        resume_from: str | None,
    ) -> None:
        self.situation = situation
        self.resume_from = resume_from
        """Checkpoint directory to resume from; None starts from the base model."""
        self._taker = taker
        self._saver = saver
        self.healer = healer
        self._examiner = examiner
        self._ready = ready

    @property
    def unsaved(self) -> bool:
        """True when the battle ended without the checkpoint that it should have ended with."""
        return self._saver.unsaved and self.situation.worth_saving

    def steps(self) -> Iterator[StepPlan]:
        """The endless source of steps; ends after a stop, when everything is saved."""
        situation = self.situation
        situation.note(Phase.WAITING)
        situation.link.send(msgspec.structs.replace(self._ready, step=situation.arms.global_step))
        self._saver.begin()
        situation.row_notes.begin(
            situation.journal.history.genesis, situation.cursor.ordinal, situation.arms.global_step
        )
        while self._boundary():
            quest = self._taker.active
            if quest is None:
                if not self._examiner.examine_when_due() and not self._taker.take_next():
                    short = self._saver.shortage
                    self._rest("paused" if short else "idle", reason=short)
                continue
            plan = self._plan_step(quest)
            situation.tell("replaying" if situation.replaying else "training")
            situation.note(Phase.STEPPING)
            started = time.monotonic()
            crash_point(f"battle.step.{quest.claim.name}", passing=plan.quest_step + 1)
            yield plan
            self._after_step(quest, plan, time.monotonic() - started)

    # --- the boundary between two steps --------------------------------------------------------------------

    def _boundary(self) -> bool:
        """Carry out the daemon's wishes; False when the battle ends here."""
        if not self.situation.worth_saving:
            self._saver.land(self._taker.ended_before)
            return False
        orders, last_step = self.situation.orders, self.situation.begin.stop_at_step
        orders.look()
        if last_step is not None and self.situation.arms.global_step >= last_step:
            orders.stop(f"step {last_step} is made")
        self._end_quests()
        self._saver.save_when_due(self._taker.ended_before)
        while orders.stop_reason is None and (reason := self._why_paused) is not None:
            self._rest("paused", reason=reason)
        if orders.stop_reason is not None:
            self._saver.save_last(f"stop: {orders.stop_reason}", self._taker.ended_before)
            return False
        return True

    @property
    def _why_paused(self) -> str | None:
        return self.situation.orders.pause_reason or (self._saver.shortage if self._saver.holds_training else None)

    def _rest(self, state: str, *, reason: str | None) -> None:
        """Wait for a command, staying warm."""
        self.situation.note(Phase.WAITING)
        self.situation.tell(state, reason=reason)
        self.situation.orders.wait(LOOK_SECONDS)
        self._end_quests()
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
        settings = quest.claim.settings
        ordinal, quest_step = self.situation.here
        warmed = (self.situation.arms.global_step + 1) / settings.warmup_steps if settings.warmup_steps else 1.0
        history = self.situation.journal.history
        plan = StepPlan(
            ordinal=ordinal,
            quest_step=quest_step,
            rows=quest.rows_of(quest_step),
            settings=settings,
            learning_rate=settings.learning_rate * min(1.0, warmed),
            learn=not history.is_left_out((ordinal, quest_step)),
            token_budget=history.token_budget((ordinal, quest_step)),
        )
        self.healer.heed_last_death(plan)
        return plan

    def _after_step(self, quest: ActiveQuest, plan: StepPlan, seconds: float) -> None:
        situation, cursor = self.situation, self.situation.cursor
        cursor.quest_step += 1
        loss = plan.loss.item() if plan.loss is not None else math.nan
        if plan.dropped:
            cursor.steps_left_out += 1
            self.healer.note_dropped(quest, plan)
        else:
            # Of the last step that taught: a replay does not compute the others (law 3).
            cursor.train_loss = loss
            cursor.rows_total += len(plan.rows)
            situation.row_notes.note(quest.claim, quest.data, plan, situation.arms.global_step)
            self.healer.note_taught(plan, loss)
        cursor.learning_rate = plan.learning_rate
        if not situation.worth_saving:
            return
        point = StepPoint(
            situation.arms.global_step, loss if math.isfinite(loss) else None, plan.learning_rate, plan.grad_norm,
            sum(len(row.token_ids) for row in plan.rows), seconds,
        )  # fmt: skip
        situation.link.send(self._taker.progress([point]))

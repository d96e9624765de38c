"""What the trainer does about steps that do not fit into memory, or that must not teach (ADR 0012).

Every decision is a function of the journal and of what was learned, and is in the journal before anything follows from
it: whatever is killed in between comes to the same decision again.
"""

from __future__ import annotations

import math

from arena.journal import ClaimEntry, Dropped, End, MicroBatchSize, Quarantine
from arena.pass_size import lower_pass_size
from arena.protocol import Trouble
from arena.supervision.position_file import Phase
from arena.trainer.computing.packing import is_packed
from arena.trainer.healing.anomalies import OUT_OF_MEMORY, SPIKE, anomaly_of, note_usual
from arena.trainer.healing.flagged import FlaggedExamples, FlaggedRow
from arena.trainer.healing.going_back import Footing, find_footing, go_back
from arena.trainer.healing.out_of_memory import smaller_budget
from arena.trainer.saving.saver import Saver
from arena.trainer.scaling.shares import deal, shares_of
from arena.trainer.situation import Situation, utc_now
from arena.trainer.stream.data_at_hand import data_at_hand
from arena.trainer.stream.quest_taking import ActiveQuest, QuestTaker
from arena.trainer.stream.step_plan import StepPlan
from core.crash_points import crash_point
from core.errors import NotFound, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore

KILLED = "the machine had no memory left, and its kernel ended the trainer at this step"


class Healer:
    """Asked by the engine within a step, and by the battle after it."""

    def __init__(
        self,
        situation: Situation,
        taker: QuestTaker,
        saver: Saver,
        store: CheckpointStore,
        paths: RealmPaths,
        files: Files = DISK,
    ) -> None:
        self._situation = situation
        self._taker = taker
        self._saver = saver
        self._store = store
        self._paths = paths
        self._flagged = FlaggedExamples(paths.flagged_examples, files)

    # --- memory ----------------------------------------------------------------------------------------------

    def heed_last_death(self, plan: StepPlan) -> None:
        """Halve the micro-batches of the step at which the last child was killed for the memory it took."""
        death = self._situation.begin.ran_out
        if death is None or not plan.learn or (plan.ordinal, plan.quest_step) != (death.ordinal, death.quest_step):
            return
        # Halved since then: by this child's predecessor, or by the same step in this one.
        if plan.token_budget >= death.tokens:
            self._halve(plan, KILLED)

    def halve(self, plan: StepPlan, why: str) -> bool:
        """Journal smaller micro-batches for this step and the rest of its quest; False when they cannot be smaller."""
        if self._halve(plan, why):
            return True
        plan.cause = OUT_OF_MEMORY
        return False

    def _halve(self, plan: StepPlan, why: str) -> bool:
        situation = self._situation
        shares = deal(plan.rows, shares_of(plan.settings))
        packed = is_packed(plan.settings.arithmetic)
        halves = [
            smaller_budget(
                [len(row.token_ids) for row in rows if row.targets], plan.token_budget, plan.pass_tokens, packed=packed
            )
            for rows in shares
        ]
        tokens = max((half for half in halves if half is not None), default=None)
        if tokens is None:
            return False
        entry = MicroBatchSize(
            seq=situation.journal.history.seq + 1, at=utc_now(), ordinal=plan.ordinal, quest_step=plan.quest_step,
            tokens=tokens,
        )  # fmt: skip
        if not situation.write_down(entry):
            raise Unavailable("A stop came while a step was too large for the memory and the journal for the disk.")
        crash_point("heal.halved")
        situation.note(Phase.STEPPING)
        plan.token_budget = tokens
        lower_pass_size(self._paths.current_model, tokens)
        message = f"Memory did not suffice at {self._where(plan)}: {why}. It goes on with {tokens} tokens at a time."
        situation.link.send(Trouble(what="out_of_memory", message=message, quest_id=situation.quest_id))
        return True

    # --- after the gradients of a step -----------------------------------------------------------------------

    def judge(self, plan: StepPlan, grad_norm: float) -> None:
        """Decide whether the gradients of this step may teach; `grad_norm` is their norm before clipping."""
        if plan.loss is not None:
            plan.cause = anomaly_of(plan.loss.item(), grad_norm, self._situation.cursor, plan.settings)
            plan.grad_norm = grad_norm if plan.cause is None or plan.cause == SPIKE else None
        plan.dropped = plan.loss is None or plan.cause is not None

    # --- after a step ----------------------------------------------------------------------------------------

    def note_taught(self, plan: StepPlan, loss: float) -> None:
        """The step has taught: it is part of what is usual."""
        if plan.settings.spike_ratio and plan.grad_norm is not None:
            note_usual(loss, plan.grad_norm, self._situation.cursor)

    def note_dropped(self, quest: ActiveQuest, plan: StepPlan) -> None:
        """Journal and flag a step that taught nothing; where that goes on, go back or give the quest up (B18)."""
        situation, place = self._situation, (plan.ordinal, plan.quest_step)
        if plan.cause == OUT_OF_MEMORY:
            # Before the step itself: a kill in between must not let the quest go on.
            self._end(quest, plan.quest_step + 1, _too_large(plan))
        if plan.cause is not None and not self._write_dropped(plan):
            return
        dropped = situation.journal.history.dropped_by.get(place)
        self._flagged.add(
            (
                FlaggedRow(
                    quest_id=quest.claim.quest_id, file=quest.claim.name, line=row.line, quest_step=plan.quest_step,
                    reason=dropped.cause if dropped else "quarantined", loss=dropped.loss if dropped else None,
                )
                for row in plan.rows
            ),
            self._taker.data_file(quest.claim.quest_id),
        )  # fmt: skip
        if plan.ordinal not in situation.journal.history.ends:
            self._look_back(quest, plan.quest_step)

    def _write_dropped(self, plan: StepPlan) -> bool:
        situation = self._situation
        loss = plan.loss.item() if plan.loss is not None else math.nan
        entry = Dropped(
            seq=situation.journal.history.seq + 1, at=utc_now(), ordinal=plan.ordinal, quest_step=plan.quest_step,
            lines=[row.line for row in plan.rows], cause=plan.cause or "",
            loss=loss if math.isfinite(loss) else None,
        )  # fmt: skip
        if not situation.write_down(entry):
            # A checkpoint of now would hold a step less than it says.
            situation.end_unsaved("a step that taught nothing cannot be written down")
            return False
        crash_point("heal.dropped")
        message = f"{_what_happened(plan, loss)} at {self._where(plan)}; nothing was learned from it."
        situation.link.send(Trouble(what=entry.cause, message=message, quest_id=situation.quest_id))
        return True

    # --- many of them ----------------------------------------------------------------------------------------

    def _look_back(self, quest: ActiveQuest, last: int) -> None:
        """Count the steps up to `last` that taught nothing. From the journal, so that a restart changes nothing."""
        history, claim, settings = self._situation.journal.history, quest.claim, quest.claim.settings
        run = 0
        while (place := (claim.ordinal, last - run)) in history.dropped and place not in history.quarantined:
            run += 1
        taught = [step for step in range(last + 1) if not history.is_left_out((claim.ordinal, step))]
        hopeless = not taught and last + 1 == claim.steps
        if run < settings.dropped_in_a_row and not hopeless:
            return
        reason = _reason(quest.claim, run)
        # Those right before the first bad one are suspects: with what they taught, it went wrong.
        suspects = taught[-settings.dropped_in_a_row :]
        may_go_back = suspects and history.quarantines_of(claim.ordinal) < settings.rollbacks
        if may_go_back and self._quarantine(quest, suspects[0], last, reason):
            return
        self._withdraw(quest, last, reason, undo=bool(taught and settings.rollbacks))

    def _quarantine(self, quest: ActiveQuest, first: int, last: int, reason: str) -> bool:
        """Go back to before step `first`; False when no checkpoint allows it."""
        lines = sorted({row.line for step in range(first, last + 1) for row in quest.rows_of(step)})
        entry = Quarantine(
            seq=self._situation.journal.history.seq + 1, at=utc_now(), ordinal=quest.claim.ordinal, first_step=first,
            last_step=last, lines=lines, reason=f"{quest.claim.name}: {reason}",
        )  # fmt: skip
        return self._go_back((quest.claim.ordinal, first), entry)

    def _withdraw(self, quest: ActiveQuest, last: int, reason: str, *, undo: bool) -> None:
        """End the quest; with `undo` what it taught is taken back, as far as a checkpoint allows that."""
        ordinal = quest.claim.ordinal
        if not undo:
            self._end(quest, last + 1, reason)
            return
        undone = End(
            seq=self._situation.journal.history.seq + 1, at=utc_now(), ordinal=ordinal, quest_step=0,
            outcome="withdrawn", reason=f"{reason}; what it had taught is undone",
        )  # fmt: skip
        if not self._go_back((ordinal, 0), undone):
            stays = "what it had taught stays, as no checkpoint from before it can be used"
            self._end(quest, last + 1, f"{reason}; {stays}")

    def _end(self, quest: ActiveQuest, quest_step: int, reason: str) -> None:
        self._situation.write_down(
            End(
                seq=self._situation.journal.history.seq + 1, at=utc_now(), ordinal=quest.claim.ordinal,
                quest_step=quest_step, outcome="withdrawn", reason=reason,
            )
        )  # fmt: skip

    def _go_back(self, before: tuple[int, int], entry: Quarantine | End) -> bool:
        # A checkpoint that is still being written would become HEAD afterwards.
        self._saver.land(self._taker.ended_before)
        self._situation.note(Phase.WAITING)
        while (footing := self._footing(before)) is not None:
            try:
                go_back(self._situation, self._store, footing, entry)
            except NotFound:
                continue  # deleted meanwhile, to make room
            return True
        return False

    def _footing(self, before: tuple[int, int]) -> Footing | None:
        has_data = data_at_hand(self._paths, self._taker.data_file)
        return find_footing(self._store, self._situation.journal.history, before, has_data)

    def _where(self, plan: StepPlan) -> str:
        lines = [row.line for row in plan.rows]
        name = self._situation.journal.history.claims[plan.ordinal].name
        return f"step {self._situation.arms.global_step} ({name}, lines {min(lines)} to {max(lines)})"


def _what_happened(plan: StepPlan, loss: float) -> str:
    if plan.cause == OUT_OF_MEMORY:
        return "Memory did not suffice"
    if plan.cause == SPIKE:
        return f"The loss spiked to {loss:.4g}, the gradient norm to {plan.grad_norm:.4g}"
    return "Loss or gradient was not finite"


def _reason(claim: ClaimEntry, run: int) -> str:
    if run < claim.settings.dropped_in_a_row:
        return f"none of its {claim.steps} steps taught anything"
    if not claim.settings.spike_ratio:
        return f"the loss was not finite in {run} steps running"
    return f"loss or gradient was not finite, or spiked, in {run} steps running"


def _too_large(plan: StepPlan) -> str:
    longest = max(plan.rows, key=lambda row: len(row.token_ids))
    return (
        f"memory does not suffice even for one row at a time; the longest of its step is line {longest.line} with "
        f"{len(longest.token_ids)} tokens. Shorten such rows, lower hyperparams.max_length (now "
        f"{plan.settings.max_length}) or give the trainer more memory; a smaller trainer.micro_batch_tokens is no help"
    )

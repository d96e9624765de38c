"""When the trainer saves and measures, and what each checkpoint covers.

The daemon asks for rolling checkpoints (`arena.save_policy`); milestones, the one after a recovery and the last one
before the end are the trainer's own. A save that fails costs its time and nothing else.
"""

from __future__ import annotations

import logging
import time

from arena.protocol import CheckpointSaved, SaveFailed, Validation
from arena.supervision.position_file import Phase
from arena.trainer.situation import Situation

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60.0
"""After a failed save that nobody asked for, try again this much later at the earliest."""


class Saver:
    """Makes checkpoints at step boundaries and tells the daemon what they cover."""

    def __init__(self, situation: Situation, *, measures: bool) -> None:
        self._situation = situation
        self._measures = measures
        """False when there are no held-out rows."""
        self._saved_at = situation.here
        """Cursor of the last valid checkpoint; at first the one that this child started from."""
        self._recovering = situation.position.was_unclean or situation.replaying
        self._no_retry_before = float("-inf")
        self._evaluated_step = -1
        self._milestone_step = 0
        self.unsaved = False
        """True after the last save failed."""

    def begin(self) -> None:
        """The state is loaded: the step that it stands at was saved before."""
        self._milestone_step = self._situation.arms.global_step

    def quest_over(self, cursor_before: tuple[int, int]) -> None:
        """The cursor went on to the next quest without a step."""
        if self._saved_at == cursor_before:
            # No step since the last checkpoint: it seals this quest too, by journal alone.
            self._saved_at = self._situation.here

    def save_when_due(self, covers_too: list[str]) -> None:
        """Make the checkpoint that is due at this step boundary, and measure when it is time."""
        orders, begin, step = self._situation.orders, self._situation.begin, self._situation.arms.global_step
        caught_up = self._recovering and not self._situation.replaying
        if step % begin.save_steps == 0 and step != self._milestone_step:
            self._milestone_step = step
            self.save("milestone", milestone=True, covers_too=covers_too)
        elif caught_up and self._situation.here == self._saved_at:
            self._recovering = False
        elif caught_up and time.monotonic() >= self._no_retry_before:
            self.save("replay caught up after a crash", covers_too=covers_too)
        if orders.save_reason is not None:
            self.save(orders.save_reason, covers_too=covers_too)
        if step % begin.eval_steps == 0 and step > 0:
            self._evaluate()

    def save(self, reason: str, *, milestone: bool = False, covers_too: list[str]) -> None:
        """Make a checkpoint and tell what it covers; `covers_too` is emptied once that was told."""
        situation = self._situation
        situation.orders.save_reason = None
        started = time.monotonic()
        if situation.here == self._saved_at and not milestone:
            self.unsaved = False
            self._announce(situation.cursor.checkpoint, {}, milestone=False, seconds=0.0, covers_too=covers_too)
            return
        self._evaluate()
        situation.note(Phase.WAITING)
        situation.tell("saving")
        claims, cursor = situation.journal.history.claims, situation.cursor
        learned_last = claims.get(cursor.ordinal if cursor.quest_step else cursor.ordinal - 1)
        try:
            record = situation.arms.save(cursor, learned_last, milestone=milestone)
        except OSError as error:
            logger.warning("save failed: %s", error, extra={"event": "save_failed"})
            self.unsaved = True
            seconds = time.monotonic() - started
            self._no_retry_before = time.monotonic() + max(RETRY_SECONDS, 20 * seconds)
            situation.link.send(SaveFailed(reason=f"{reason}: {error}", seconds=seconds))
            return
        self._saved_at = situation.here
        self.unsaved = False
        # A rolling save in mid-replay is no reason to leave out the one that ends the danger of a livelock.
        self._recovering = self._recovering and situation.replaying
        cursor.checkpoint = record.canonical_name
        logger.info("saved %s (%s)", record.canonical_name, reason, extra={"event": "checkpoint_saved"})
        seconds = time.monotonic() - started
        self._announce(
            record.canonical_name, record.to_json(), milestone=milestone, seconds=seconds, covers_too=covers_too
        )

    def _announce(
        self, name: str | None, record: dict[str, object], *, milestone: bool, seconds: float, covers_too: list[str]
    ) -> None:
        cursor, claims = self._situation.cursor, self._situation.journal.history.claims
        first, cursor.announced = cursor.announced, cursor.ordinal
        covers = [claims[ordinal].quest_id for ordinal in range(first, cursor.ordinal)]
        covers += [quest_id for quest_id in covers_too if quest_id not in covers]
        covers_too.clear()
        self._situation.link.send(
            CheckpointSaved(
                name=name,
                step=self._situation.arms.global_step,
                covers=covers,
                milestone=milestone,
                seconds=seconds,
                record=record,
            )
        )

    def _evaluate(self) -> None:
        """Measure the loss on held-out rows, once per step at most; changes nothing that training sees."""
        situation, step = self._situation, self._situation.arms.global_step
        if not self._measures or step == self._evaluated_step:
            return
        self._evaluated_step = step
        situation.note(Phase.WAITING)
        situation.tell("evaluating")
        measured = situation.arms.validation_loss()
        if measured is not None:
            loss, rows = measured
            situation.cursor.val_loss = loss
            situation.link.send(Validation(step=step, loss=loss, rows=rows))

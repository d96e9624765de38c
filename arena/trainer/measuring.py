"""Measures the loss on held-out rows at step boundaries; changes nothing that training sees."""

from __future__ import annotations

import math

from arena.protocol import Trouble, Validation
from arena.supervision.position_file import Phase
from arena.trainer.situation import Situation


class Measuring:
    """Once per step at most."""

    def __init__(self, situation: Situation, *, has_rows: bool) -> None:
        self._situation = situation
        self._has_rows = has_rows
        """False when there are no held-out rows."""
        self._measured_step = -1
        self._was_finite = True

    def measure_when_due(self) -> None:
        step = self._situation.arms.global_step
        if step % self._situation.begin.eval_steps == 0 and step > 0:
            self.measure()

    def measure(self) -> None:
        """Note the loss for the next checkpoint and tell the daemon."""
        situation, step = self._situation, self._situation.arms.global_step
        if not self._has_rows or step == self._measured_step:
            return
        self._measured_step = step
        situation.note(Phase.WAITING)
        situation.tell("evaluating")
        measured = situation.arms.validation_loss()
        if measured is not None:
            self._note(step, *measured)

    def _note(self, step: int, loss: float, rows: int) -> None:
        situation, is_finite = self._situation, math.isfinite(loss)
        # No JSON holds another number: neither the cursor in a checkpoint nor what the daemon is told.
        situation.cursor.val_loss = loss if is_finite else None
        if is_finite:
            situation.link.send(Validation(step=step, loss=loss, rows=rows))
        elif self._was_finite:
            message = f"The loss on the held-out rows is not finite any more (step {step}): the weights may be broken."
            situation.link.send(Trouble(what="evaluation_not_finite", message=message))
        self._was_finite = is_finite

"""Measures the loss on held-out rows at step boundaries; changes nothing that training sees."""

from __future__ import annotations

from arena.protocol import Validation
from arena.supervision.position_file import Phase
from arena.trainer.situation import Situation


class Measuring:
    """Once per step at most."""

    def __init__(self, situation: Situation, *, has_rows: bool) -> None:
        self._situation = situation
        self._has_rows = has_rows
        """False when there are no held-out rows."""
        self._measured_step = -1

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
            loss, rows = measured
            situation.cursor.val_loss = loss
            situation.link.send(Validation(step=step, loss=loss, rows=rows))

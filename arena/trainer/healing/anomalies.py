"""Which steps must not teach: loss or gradient not finite, or far out of line with the quest's own latest steps.

A step is a spike when all of this holds, since a row that is only hard has to be learned:

- the quest has made `WARM_UP` steps that taught, so that its own level is known;
- its loss is above `LEAST_LOSS` and above that of every step of the quest before;
- loss and gradient norm both exceed the median of the latest steps by the factor `spike_ratio`, and by
  `spike_deviations` robust standard deviations (1.4826 × the median distance from the median) of their logarithms:
  losses have long tails, the longer the fewer rows a step has.

A pure function of the settings in the claim and of what was learned before, which the cursor holds: a replay finds the
same. Steps that taught nothing never enter.
"""

from __future__ import annotations

import math
from statistics import median

from arena.cursor import Cursor
from arena.protocol import QuestSettings

NOT_FINITE = "not_finite"
SPIKE = "spike"
OUT_OF_MEMORY = "out_of_memory"

WARM_UP = 20
"""Steps of a quest that are not judged, since a new subject begins with a loss of its own."""
WINDOW = 64
"""Steps that make up what is usual."""
LEAST_LOSS = 1.0
"""Nats per target token; below it nothing is broken, however sure the model was before."""
SMALLEST = 1e-30
"""Stands for a loss or norm of 0, which has no logarithm."""
ROBUST_DEVIATION = 1.4826
"""Turns the median distance from the median of a normal distribution into its standard deviation."""


def anomaly_of(loss: float, grad_norm: float, cursor: Cursor, settings: QuestSettings) -> str | None:
    """`NOT_FINITE` or `SPIKE` for a step at the cursor that must not teach, else None."""
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        return NOT_FINITE
    if not settings.spike_ratio or len(cursor.usual) < WARM_UP:
        return None
    if loss <= LEAST_LOSS or loss <= (cursor.peak_loss or 0.0):
        return None
    losses, norms = zip(*cursor.usual, strict=True)
    out_of_line = _is_out_of_line(loss, losses, settings) and _is_out_of_line(grad_norm, norms, settings)
    return SPIKE if out_of_line else None


def note_usual(loss: float, grad_norm: float, cursor: Cursor) -> None:
    """A step of the quest at the cursor has taught."""
    cursor.usual = (*cursor.usual[-(WINDOW - 1) :], (loss, grad_norm))
    cursor.peak_loss = loss if cursor.peak_loss is None else max(cursor.peak_loss, loss)


def _is_out_of_line(value: float, usual: tuple[float, ...], settings: QuestSettings) -> bool:
    logarithms = [_log(each) for each in usual]
    middle = median(logarithms)
    deviation = ROBUST_DEVIATION * median(abs(each - middle) for each in logarithms)
    return _log(value) - middle > max(_log(settings.spike_ratio), settings.spike_deviations * deviation)


def _log(value: float) -> float:
    return math.log(max(value, SMALLEST))

"""Compares what a step was expected to take with what the trainer has taken, and says so in the log.

On a CPU that is the whole process: the trial of how many tokens are best, and copies for saves beside training, count.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import TrainerCallback

from arena.disk.gauge import megabytes
from arena.memory.estimate import MemoryEstimate
from arena.memory.machine import peak_memory

logger = logging.getLogger(__name__)

GROWN = 1.1
"""The peak is told again once it has grown by so much."""
LOOK_EVERY = 16
"""Steps between two looks; each of the first ones is looked at, when most memory is taken for the first time."""


class MemoryWatch(TrainerCallback):
    """Looks between two steps; on a CPU a look is a read of `/proc`, too much for each of many small steps."""

    def __init__(self, estimate: MemoryEstimate | None, device: str, *, before: int) -> None:
        """`before` is what the process had in memory at most before it loaded the model; bytes."""
        self._estimate = estimate
        self._device = device
        self._before = before
        self._steps = 0
        self.peak: int | None = None
        """Bytes, the model's own, once looked at: of the GPU, or of this process beyond `before`."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._steps += 1
        if self._steps > LOOK_EVERY and self._steps % LOOK_EVERY:
            return
        peak = self._measure()
        if peak is None or (self.peak is not None and peak <= GROWN * self.peak):
            return
        self.peak = peak
        expected = megabytes(self._estimate.total) if self._estimate else "an unknown amount"
        logger.info(
            "memory at its peak so far: %s; a step was expected to take up to %s", megabytes(peak), expected,
            extra={
                "event": "memory_peak", "step": state.global_step, "peak_bytes": peak,
                "expected_bytes": self._estimate.total if self._estimate else None,
            },
        )  # fmt: skip

    def _measure(self) -> int | None:
        if self._device == "cuda":
            return torch.cuda.max_memory_allocated()
        peak = peak_memory()
        return peak - self._before if peak is not None else None

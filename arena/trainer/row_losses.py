"""What each row of a step was learned with, gathered beside the step's loss on the device: nothing waits for it."""

from __future__ import annotations

import numpy as np
import torch

from arena.trainer.stream.batching import MicroBatch, TokenRow


class RowLosses:
    """Of the rows of one step, while its micro-batches are gone through."""

    def __init__(self, rows: list[TokenRow], targets: list[int], device: torch.device) -> None:
        """`targets` are those of each row."""
        self._numbers = {row.line: number for number, row in enumerate(rows)}
        self._sums = torch.zeros(len(rows), device=device)
        self._targets = torch.from_numpy(np.array(targets, dtype=np.float32))

    def add(self, batch: MicroBatch) -> None:
        """The rows of a micro-batch whose forward pass is made; of one that tells nothing, nothing is known."""
        device = self._sums.device
        numbers = np.array([self._numbers[line] for line in batch.lines], dtype=np.int64)
        rows = np.repeat(numbers, np.array(batch.counts, dtype=np.int64))
        index = torch.from_numpy(rows).to(device, non_blocking=True)
        each = torch.cat(batch.each) if batch.each else torch.full((len(rows),), torch.nan, device=device)
        self._sums.index_add_(0, index, each)

    def means(self) -> torch.Tensor:
        """float32[rows]: mean cross-entropy per target, nats; 0 for rows that none of the micro-batches had."""
        return self._sums / self._targets.to(self._sums.device, non_blocking=True)

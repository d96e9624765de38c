"""Finds out how many tokens are best put through the model at once: by forward and backward passes of growing size.

A pass takes a time of its own, whatever goes through it (calls, gradients of all weights), and a time for each token.
Beyond some size more tokens gain nothing and only take memory. The trial is short and leaves weights, gradients,
optimizer and random state as they were.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace
from transformers import PreTrainedModel

from arena.memory.machine import free_memory
from arena.pass_size import PassSize, keep_pass_size, read_pass_size
from arena.protocol import QuestSettings
from arena.trainer.computing.packing import make_packed_batches
from arena.trainer.computing.threads import told_threads
from arena.trainer.healing.out_of_memory import OutOfMemory, release_memory, unless_out_of_memory
from arena.trainer.stream.batching import FEWEST_PASSES, TokenRow, make_micro_batches
from arena.trainer.target_loss import SummedLoss
from core.files import DISK, Files

logger = logging.getLogger(__name__)

ROW_TOKENS = 128
"""Length of the rows that are tried, about that of a chat of some sentences, where the model takes as many."""
LARGEST = {"cpu": 8192, "cuda": 1 << 18}
"""Tokens of a pass that are tried at most."""
UNTRIED = 2048
"""Tokens of a pass on a machine so slow that one row says all that there is time for."""
PASS_TOKENS = 64
"""What a pass takes beside its tokens, counted in tokens, where it is not measured: that of a small model on a CPU."""
WORTH_IT = 1.03
"""More tokens at once must be faster by so much."""
PATIENCE_SECONDS = 2.0
"""For the whole trial, if the first pass leaves anything of it."""
REPEATS = 2
"""Passes of each size, of which the quicker one counts."""
PART_OF_FREE = 0.5
"""Of the free memory that the activations of a pass may take; targets, logits and other programs take theirs, too."""


@dataclass(frozen=True)
class Trial:
    """What goes through what."""

    network: PreTrainedModel
    summed_loss: SummedLoss
    arithmetic: Callable[[], AbstractContextManager[Any]]
    """Autocast, as in training."""
    beat: Callable[[], None]
    """A sign of life."""
    packs: bool = False
    """Whether rows lie behind each other."""
    compiled: bool = False
    """Whether kernels are made for the layers."""
    row_tokens: int = ROW_TOKENS
    """Length of the rows that are tried."""
    moments_bytes: int = 0
    """What the optimizer has still to take of the free memory, with its first step."""

    @property
    def machine(self) -> str:
        """What the outcome depends on beside the model."""
        device = self.network.device
        with self.arithmetic():
            how = ["bf16" if torch.is_autocast_enabled(device.type) else "fp32"]
        how += ["packed"] if self.packs else []
        how += ["compiled"] if self.compiled else []
        how += ["gradient checkpointing"] if self.network.is_activation_checkpointing else []
        if device.type == "cuda":
            return ", ".join([torch.cuda.get_device_name(device), *how])
        return ", ".join([device.type, told_threads(), *how])

    def best(self) -> tuple[int, int]:
        """Tokens of a pass at most, and what a pass takes beside its tokens, counted in tokens."""
        began = time.monotonic()
        with left_as_it_was(self.network):
            most_rows = self._most_tokens() // self.row_tokens
            taken: dict[int, float] = {}
            rows = 1
            while rows <= most_rows:
                if (seconds := self._seconds(rows)) is None:
                    most_rows = rows // 2
                    break
                taken[rows] = seconds
                rows *= 2
                # Twice as much takes twice as long.
                if time.monotonic() - began + REPEATS * 2 * seconds > PATIENCE_SECONDS:
                    break
        if len(taken) < 2:
            return min(UNTRIED, max(1, most_rows) * self.row_tokens), PASS_TOKENS
        quickest = min(seconds / rows for rows, seconds in taken.items())
        best = next(rows for rows, seconds in taken.items() if seconds / rows <= quickest * WORTH_IT)
        each = quickest / self.row_tokens
        return best * self.row_tokens, max(1, round(taken[1] / each) - self.row_tokens)

    def _most_tokens(self) -> int:
        """How many are tried at most: of so many, what is kept for the backward pass is expected to fit."""
        kept: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            if isinstance(unless_out_of_memory(lambda: self._pass(1)), OutOfMemory):
                return 0
        weights = {weight.untyped_storage().data_ptr() for weight in self.network.parameters()}
        a_row = sum(size for place, size in kept.items() if place not in weights)
        device = self.network.device
        free = free_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0]
        room = PART_OF_FREE * max(0, free - self.moments_bytes)
        return min(LARGEST[device.type], int(room / max(1, a_row)) * self.row_tokens)

    def _seconds(self, rows: int) -> float | None:
        """What the quickest of some passes took; None when one did not fit into memory."""
        least = float("inf")
        for _ in range(REPEATS):
            self.beat()
            began = time.monotonic()
            if isinstance(unless_out_of_memory(lambda: self._pass(rows)), OutOfMemory):
                self.network.zero_grad(set_to_none=True)
                release_memory()
                return None
            least = min(least, time.monotonic() - began)
        return least

    def _pass(self, rows: int) -> None:
        device = self.network.device
        vocabulary = self.network.config.get_text_config().vocab_size
        # Every second token is a target, as in a chat of questions and answers.
        row = TokenRow(
            line=1,
            token_ids=np.arange(self.row_tokens, dtype=np.int32) % vocabulary,
            trained=np.arange(self.row_tokens) % 2 == 1,
        )
        size = rows * self.row_tokens
        (batch,) = (
            make_packed_batches([row] * rows, token_budget=size, device=device)
            if self.packs
            else make_micro_batches([row] * rows, token_budget=size, pad_id=0, device=device)
        )
        with self.arithmetic():
            loss = self.summed_loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        if device.type == "cuda":
            torch.cuda.synchronize(device)


def settle_pass_size(settings: QuestSettings, folder: Path, trial: Trial, *, files: Files = DISK) -> QuestSettings:
    """The settings with numbers in the place of what they leave open; what is measured is kept in `folder`.

    Where the tokens of a pass are given, its cost is taken to be the usual one: whoever gives them wants no trial.
    """
    if settings.micro_batch_tokens:
        usual = PASS_TOKENS if trial.network.device.type == "cpu" else FEWEST_PASSES
        return replace(settings, pass_tokens=settings.pass_tokens or usual)
    size = read_pass_size(folder)
    if size is None or size.machine != trial.machine:
        tokens, pass_tokens = trial.best()
        size = PassSize(machine=trial.machine, tokens=tokens, pass_tokens=pass_tokens)
        keep_pass_size(folder, size, files=files)
        logger.info(
            "%d tokens at a time are best on %s; a pass takes as long as %d more", tokens, trial.machine, pass_tokens,
            extra={"event": "pass_size_measured", "tokens": tokens, "pass_tokens": pass_tokens},
        )  # fmt: skip
    return replace(settings, micro_batch_tokens=size.tokens, pass_tokens=size.pass_tokens)


@contextmanager
def left_as_it_was(network: PreTrainedModel) -> Iterator[None]:
    """Training mode inside; afterwards no gradients, and mode and random state of before."""
    was_training = network.training
    network.train()
    try:
        with torch.random.fork_rng(devices=[network.device] if network.device.type == "cuda" else []):
            yield
    finally:
        network.zero_grad(set_to_none=True)
        network.train(was_training)

"""What a checkpoint holds: training as it stood at one step boundary, kept apart in memory while training goes on.

A copy takes as much memory as the checkpoint is large (12 bytes a trained parameter with AdamW) until it is written;
that of a small one is kept for the next (`copying`). Where it is not to be had, the state is handed out in place, and
whoever writes it must not let training go on meanwhile.
"""

from __future__ import annotations

import copy
import logging
import random
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState

from arena.cursor import Cursor
from arena.journal import ClaimEntry
from arena.trainer.adapters import weights_to_save
from arena.trainer.saving.copying import Copier, Rebuilder
from arena.trainer.saving.moulds import Image
from core.checkpoint_records import checkpoint_name

logger = logging.getLogger(__name__)

KEPT_LOG_ENTRIES = 100
"""HF's log history grows for ever otherwise, and with it every save."""


@dataclass(frozen=True)
class EngineState:
    """The engine's part. Tensors that share memory in training (tied weights) do so here too."""

    network: PreTrainedModel
    """For its class and configuration; its weights are those below."""
    tokenizer: PreTrainedTokenizerBase
    weights: dict[str, torch.Tensor] | Image
    """All of them, or those of its adapters."""
    optimizer: dict[str, Any] | Image
    scheduler: dict[str, Any]
    random: dict[str, Any]
    trainer_state: TrainerState
    in_place: bool
    """True when the tensors are those that training changes with its next step."""
    copier: Copier | None = None
    """Wants to see the file that is made of weights which are no image."""


@dataclass(frozen=True)
class SaveFacts:
    """The battle's part: small, and kept until the checkpoint is told of."""

    step: int
    taken_at: datetime
    """Aware."""
    cursor: Cursor
    """A copy."""
    claim: ClaimEntry | None
    """The quest that was learned last."""
    journal_bytes: int
    """Length of the journal; it only grows, so its first bytes are its copy of that moment."""
    milestone: bool
    resumable: bool
    """False leaves out optimizer and random states: weights to use, not to go on from."""
    covers_too: tuple[str, ...]
    """Quests that were claimed again though they had ended before."""
    curriculum: dict[str, Any] | None = None
    """What the daemon wants to find in the checkpoint; None writes nothing."""

    @property
    def name(self) -> str:
        """The canonical directory name, in local time."""
        return checkpoint_name(self.step, self.taken_at.astimezone())


def take_engine_state(
    *,
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    trainer_state: TrainerState,
    in_place: bool,
    copier: Copier,
) -> EngineState:
    """The state at this step boundary: a copy in main memory, or in place when that is wished or there is no room.

    The copy before it must not be in use any more, as this one is made in its memory.
    """
    state: tuple[Any, Any] = weights_to_save(network), optimizer.state_dict()
    if not in_place:
        try:
            state = copier.copy(*state)
        except (MemoryError, RuntimeError, OSError) as error:
            logger.info("no copy, so training waits for this save: %s", error, extra={"event": "save_in_place"})
            in_place = True
    if in_place:
        rebuilder = Rebuilder(lambda storage: storage)
        state = rebuilder(state[0]), rebuilder(state[1])
    trainer_state.log_history = trainer_state.log_history[-KEPT_LOG_ENTRIES:]
    return EngineState(
        network=network, tokenizer=tokenizer, weights=state[0], optimizer=state[1],
        scheduler=copy.deepcopy(scheduler.state_dict()), random=_random_states(),
        trainer_state=copy.deepcopy(trainer_state), in_place=in_place, copier=copier,
    )  # fmt: skip


def _random_states() -> dict[str, Any]:
    """Every generator in the form in which `Trainer` reads it back, of types that `weights_only=True` loads."""
    kind, keys, *rest = np.random.get_state()
    states: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (kind, np.asarray(keys).tolist(), *rest),
        "cpu": torch.random.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.random.get_rng_state()
    return states

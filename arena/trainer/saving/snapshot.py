"""What a checkpoint holds: training as it stood at one step boundary, kept apart in memory while training goes on.

A copy takes as much memory as the checkpoint is large (12 bytes a trained parameter with AdamW) until it is written;
that of a small one is kept for the next. Where it is not to be had, the state is handed out in place, and whoever
writes it must not let training go on meanwhile.
"""

from __future__ import annotations

import copy
import ctypes
import logging
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psutil
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState

from arena.cursor import Cursor
from arena.journal import ClaimEntry
from arena.trainer.adapters import weights_to_save
from core.checkpoint_records import checkpoint_name

logger = logging.getLogger(__name__)

KEPT_LOG_ENTRIES = 100
"""HF's log history grows for ever otherwise, and with it every save."""

MEMORY_MARGIN = 1.25
"""A copy is made where this many times its size is free: a step needs some memory too."""


SPARED_BYTES = 256 << 20
"""A copy of up to this size stays in memory: asking the system for the pages anew takes longer than the copying."""


class Spares:
    """Memory of the last copy, free again once that is written; one per engine."""

    def __init__(self) -> None:
        self._free: dict[int, list[torch.UntypedStorage]] = defaultdict(list)

    def take(self, size: int) -> torch.UntypedStorage:
        """Memory of `size` bytes in main memory, with anything in it."""
        fitting = self._free[size]
        return fitting.pop() if fitting else torch.UntypedStorage(size)  # type: ignore[no-untyped-call]

    def keep(self, storages: Iterable[torch.UntypedStorage]) -> None:
        """The next copy may be made in these; what was left over of earlier ones goes."""
        self._free.clear()
        storages = list(storages)
        if sum(storage.nbytes() for storage in storages) <= SPARED_BYTES:
            for storage in storages:
                self._free[storage.nbytes()].append(storage)


@dataclass(frozen=True)
class EngineState:
    """The engine's part. Tensors that share memory in training (tied weights) do so here too."""

    network: PreTrainedModel
    """For its class and configuration; its weights are those below."""
    tokenizer: PreTrainedTokenizerBase
    weights: dict[str, torch.Tensor]
    """All of them, or those of its adapters."""
    optimizer: dict[str, Any]
    scheduler: dict[str, Any]
    random: dict[str, Any]
    trainer_state: TrainerState
    in_place: bool
    """True when the tensors are those that training changes with its next step."""


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
    spares: Spares,
) -> EngineState:
    """The state at this step boundary: a copy in main memory, or in place when that is wished or there is no room.

    The copy before it must not be in use any more, as it lies in `spares`.
    """
    weights, moments = weights_to_save(network), optimizer.state_dict()
    tensors: Any = (weights, moments)
    if not in_place and not _fits(_Rebuilder().measured(tensors)):
        logger.info("no memory for a copy of the state: training waits for this save", extra={"event": "save_in_place"})
        in_place = True
    try:
        rebuilder = _Rebuilder(None if in_place else spares)
        weights, moments = rebuilder(tensors)
        if not in_place:
            spares.keep(rebuilder.storages)
    except (MemoryError, RuntimeError) as error:  # torch says the latter where memory is limited for this process
        logger.info("the state is not copied: %s", error, extra={"event": "save_in_place"})
        in_place = True
        weights, moments = _Rebuilder()(tensors)
    trainer_state.log_history = trainer_state.log_history[-KEPT_LOG_ENTRIES:]
    return EngineState(
        network=network, tokenizer=tokenizer, weights=weights, optimizer=moments,
        scheduler=copy.deepcopy(scheduler.state_dict()), random=_random_states(),
        trainer_state=copy.deepcopy(trainer_state), in_place=in_place,
    )  # fmt: skip


class _Rebuilder:
    """Builds nested state anew, alike whether or not tensors are copied, so that it pickles to equal bytes."""

    def __init__(self, spares: Spares | None = None) -> None:
        """Without `spares` nothing is copied."""
        self._spares = spares
        self._storages: dict[tuple[torch.device, int], torch.UntypedStorage] = {}

    def __call__(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._tensor(value)
        if isinstance(value, dict):
            return {key: self(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self(each) for each in value)
        return copy.deepcopy(value)

    @property
    def storages(self) -> Iterable[torch.UntypedStorage]:
        """The memory of all tensors so far, each piece once."""
        return self._storages.values()

    def measured(self, value: Any) -> int:
        """Bytes of all tensors in `value`, shared memory counted once."""
        self(value)
        return sum(storage.nbytes() for storage in self._storages.values())

    def _tensor(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        key = (storage.device, storage.data_ptr())
        if self._spares is None:
            self._storages.setdefault(key, storage)
            return tensor
        if key not in self._storages or not key[1]:
            self._storages[key] = self._spares.take(storage.nbytes())
            _copy(storage, self._storages[key])
        empty = torch.empty(0, dtype=tensor.dtype)
        return empty.set_(self._storages[key], tensor.storage_offset(), tensor.size(), tensor.stride())


def _copy(source: torch.UntypedStorage, target: torch.UntypedStorage) -> None:
    """With one thread from main memory to main memory, which need not wait for others.

    torch shares out each of hundreds of small pieces to all its threads. On a quiet machine that is faster (11 ms for
    50 MB, against 17), but where other programs keep the cores busy, each time the last thread is waited for: a second.
    """
    if source.device.type == "cpu":
        ctypes.memmove(target.data_ptr(), source.data_ptr(), source.nbytes())
    else:
        target.copy_(source)


def _fits(size: int) -> bool:
    return bool(psutil.virtual_memory().available >= size * MEMORY_MARGIN)


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

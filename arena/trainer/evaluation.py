"""Loss on held-out rows: `data/validation/*.jsonl`, the same rows every time, without touching training.

Runs at step boundaries inside `fork_rng`, so that the weights of a run with and without it are equal (law 3).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.row_reader import read_rows
from arena.protocol import QuestSettings
from arena.rendering import Renderer
from arena.trainer.engine import BattleTrainer
from arena.trainer.healing.out_of_memory import (
    OutOfMemory,
    release_memory,
    smaller_budget,
    unless_out_of_memory,
)
from arena.trainer.stream.batching import TokenRow, make_micro_batches
from arena.trainer.stream.quest_data import tokenize
from core.errors import InvalidInput, RealmError

logger = logging.getLogger(__name__)


def load_validation_rows(folder: Path, *, renderer: Renderer, settings: QuestSettings, limit: int) -> list[TokenRow]:
    """The first `limit` rows with targets, over the files in name order.

    Files that fail the gates or cannot be rendered are left out: they must not keep the trainer from starting.
    """
    found: list[TokenRow] = []
    for file in sorted(folder.glob("*.jsonl")):
        if len(found) >= limit:
            break
        try:
            found += _rows_of(file, renderer, settings, limit - len(found))
        except (OSError, RealmError) as error:
            logger.warning("%s is not used for validation: %s", file.name, error, extra={"event": "bad_validation"})
    return found


def _rows_of(file: Path, renderer: Renderer, settings: QuestSettings, limit: int) -> list[TokenRow]:
    verdict = inspect_file(str(file))
    if not verdict["accepted"]:
        raise InvalidInput("it fails the gates")
    rows = tokenize(
        read_rows(file, verdict["schema_id"]), renderer=renderer, settings=settings, after_batch=lambda: None
    )
    return list(islice((row for row in rows if row.targets), limit))


class ValidationSet:
    """Held-out rows, measured on demand."""

    def __init__(self, rows: list[TokenRow], settings: QuestSettings, *, tell: Callable[[str, str], None]) -> None:
        self.rows = rows
        self._settings = settings
        self._token_budget = settings.micro_batch_tokens
        self._tell = tell
        """Takes the kind of an event and a sentence."""

    def loss(self, trainer: BattleTrainer) -> tuple[float, int] | None:
        """Mean cross-entropy per target token (nats) and the number of rows; None without rows or memory (D7)."""
        if not self.rows:
            return None
        self._token_budget = self._token_budget or trainer.settle(self._settings).micro_batch_tokens
        while isinstance(outcome := unless_out_of_memory(partial(self._summed, trainer)), OutOfMemory):
            release_memory()
            smaller = smaller_budget([len(row.token_ids) for row in self.rows], self._token_budget)
            if smaller is None:
                self._tell("evaluation_left_out", f"The held-out rows do not fit into memory: {outcome.message}.")
                return None
            self._token_budget = smaller
        return outcome / sum(row.targets for row in self.rows), len(self.rows)

    def _summed(self, trainer: BattleTrainer) -> float:
        model, device = trainer.network, trainer.args.device
        cuda_devices = [device] if device.type == "cuda" else []
        was_training = model.training
        model.train(False)
        total = torch.zeros((), device=device, dtype=torch.float64)
        try:
            with torch.random.fork_rng(devices=cuda_devices), torch.no_grad(), trainer.arithmetic():
                for batch in make_micro_batches(
                    self.rows,
                    token_budget=self._token_budget,
                    pad_id=trainer.pad_id(),
                    device=device,
                ):
                    trainer.beat()
                    total += trainer.summed_loss(batch)
        finally:
            model.train(was_training)
        return total.item()

"""One optimizer step, from what is to be learned to what came of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from arena.protocol import QuestSettings
from arena.trainer.stream.batching import TokenRow


@dataclass
class StepPlan:
    """One optimizer step: what to learn, and what came of it."""

    ordinal: int
    quest_step: int
    rows: list[TokenRow]
    settings: QuestSettings
    learning_rate: float
    learn: bool
    """False replays a journaled step whose gradients were dropped."""
    token_budget: int = 0
    """Padded tokens of a micro-batch at most; 0 stands for that of the settings."""
    loss: torch.Tensor | None = None
    """Mean cross-entropy per target token, nats; filled in by the engine."""
    row_losses: torch.Tensor | None = None
    """float32[rows]: the same of each row; filled in with it."""
    grad_norm: float | None = None
    """Global gradient norm before clipping."""
    dropped: bool = False
    """The gradients were thrown away, or never made."""
    cause: str | None = None
    """Why this step was dropped, when the journal does not say so yet; see `arena.journal.Dropped`."""

    @property
    def pass_tokens(self) -> int:
        """What one more pass is taken to cost, in tokens; `UNWEIGHED` in a claim of before."""
        return self.settings.pass_tokens

    def __post_init__(self) -> None:
        self.token_budget = self.token_budget or self.settings.micro_batch_tokens

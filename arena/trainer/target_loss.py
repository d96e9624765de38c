"""Cross-entropy over target tokens only: hidden states first, `lm_head` where there is something to predict.

Chats spend most tokens on prompts; their logits are never computed. Large sets of targets go through `lm_head` in
chunks, so that a big vocabulary never needs all logits at once. Models whose logits are more than `lm_head(hidden)`
(scaled, capped) are recognised by watching one forward pass at load; they take the full forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from arena.trainer.stream.batching import MicroBatch

CHUNK_LOGITS = 1 << 25
"""Logits held at once at most (elements); 128 MiB in fp32."""

SummedLoss = Callable[[MicroBatch], torch.Tensor]
"""Sum of the cross-entropy over a micro-batch's targets, nats; a scalar with gradient. That of each target, without
gradient, is left in `MicroBatch.each`."""


def summed_loss_of(model: PreTrainedModel, *, chunk_logits: int = CHUNK_LOGITS) -> SummedLoss:
    """The cheapest correct loss for this model."""
    head = _plain_head(model)
    if head is None:
        return lambda batch: _full_logits_loss(model, batch)
    rows = max(1, chunk_logits // model.config.get_text_config().vocab_size)
    return lambda batch: _target_only_loss(model, head, batch, rows)


def _plain_head(model: PreTrainedModel) -> nn.Module | None:
    """The output layer, when the model's logits are exactly what it makes of the base model's hidden states.

    Compared bit for bit within one forward pass: a cap of 30 changes the small logits of a fresh model by less
    than any tolerance for rounding.
    """
    head: nn.Module | None = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is None or model.base_model is model:
        return None
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    probe = torch.arange(8, device=model.device).unsqueeze(0) % model.config.get_text_config().vocab_size
    hook = head.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    was_training = model.training
    model.train(False)
    try:
        with torch.no_grad():
            logits = model(input_ids=probe, use_cache=False).logits
            hidden = _hidden_states(model, probe, {})
    finally:
        hook.remove()
        model.train(was_training)
    if len(seen) != 1:
        return None
    head_input, head_output = seen[0]
    if not torch.equal(logits, head_output.to(logits.dtype)) or head_input.shape != hidden.shape:
        return None
    return head if torch.allclose(head_input, hidden, rtol=1e-4, atol=1e-5) else None


def _hidden_states(model: PreTrainedModel, input_ids: torch.Tensor, layout: dict[str, Any]) -> torch.Tensor:
    hidden: torch.Tensor = model.base_model(input_ids=input_ids, use_cache=False, **layout).last_hidden_state
    return hidden


def _target_only_loss(model: PreTrainedModel, head: nn.Module, batch: MicroBatch, rows: int) -> torch.Tensor:
    hidden = _hidden_states(model, batch.input_ids, batch.layout)
    # Each position is picked at most once, so the backward scatter adds nothing twice: deterministic.
    wanted = hidden.flatten(0, 1).index_select(0, batch.predicting)
    if len(wanted) <= rows:
        loss, each = _cross_entropy(head(wanted), batch.targets)
        batch.each.append(each)
        return loss
    parts = []
    for part, targets in zip(torch.split(wanted, rows), torch.split(batch.targets, rows), strict=True):
        loss, each = checkpoint(_after_head, head, part, targets, use_reentrant=False)
        batch.each.append(each)
        parts.append(loss)
    return torch.stack(parts).sum()


def _after_head(head: nn.Module, hidden: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return _cross_entropy(head(hidden), targets)


def _cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum, and that of each target without gradient.

    In the two steps of which torch makes it up, so that what is told of each target costs no second look at the logits.
    """
    likely = nn.functional.log_softmax(logits.float(), dim=-1)
    each = nn.functional.nll_loss(likely.detach(), targets, reduction="none")
    return nn.functional.nll_loss(likely, targets, reduction="sum"), each


def _full_logits_loss(model: PreTrainedModel, batch: MicroBatch) -> torch.Tensor:
    logits = model(input_ids=batch.input_ids, use_cache=False, **batch.layout).logits
    wanted = logits.flatten(0, 1).index_select(0, batch.predicting)
    loss, each = _cross_entropy(wanted, batch.targets)
    batch.each.append(each)
    return loss

"""The loss over targets only: the same number and the same gradient as with all logits, for every kind of model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    PreTrainedModel,
)

from arena.trainer.stream.batching import MicroBatch, make_micro_batches
from arena.trainer.target_loss import summed_loss_of
from tests.arena.trainer.tiny_hero import chat, token_rows

SIZES = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 32,
    "max_position_embeddings": 256,
    "pad_token_id": 256,
    "bos_token_id": 257,
    "eos_token_id": 258,
}


@pytest.fixture(scope="module")
def batch(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> MicroBatch:
    rows = token_rows(tiny_model, tmp_path_factory.mktemp("rows"), [chat(seed, turns=2) for seed in range(4)])
    (whole,) = make_micro_batches(rows, token_budget=10**6, pad_id=256, device=torch.device("cpu"))
    return whole


def stock_loss(model: PreTrainedModel, batch: MicroBatch) -> torch.Tensor:
    """What transformers computes itself, from labels."""
    labels = torch.full_like(batch.input_ids, -100)
    labels.view(-1)[batch.predicting + 1] = batch.targets
    mean: torch.Tensor = model(input_ids=batch.input_ids, labels=labels, use_cache=False).loss
    return mean * len(batch.targets)


def gradients(model: PreTrainedModel, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_equal_to_stock(model: PreTrainedModel, batch: MicroBatch, ours: torch.Tensor) -> None:
    theirs = stock_loss(model, batch)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
    mine, wanted = gradients(model, ours), gradients(model, theirs)
    assert mine.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(mine[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


def count_full_passes(model: PreTrainedModel) -> list[None]:
    passes: list[None] = []
    model.register_forward_hook(lambda *_: passes.append(None))
    return passes


def test_the_hero_computes_logits_at_targets_only_and_gets_the_stock_gradient(
    tiny_model: Path, batch: MicroBatch
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    loss = summed_loss_of(model)
    passes = count_full_passes(model)
    ours = loss(batch)
    assert passes == []
    assert_equal_to_stock(model, batch, ours)


def test_chunks_change_neither_loss_nor_gradient(tiny_model: Path, batch: MicroBatch) -> None:
    """Chunks bound the memory of a large vocabulary; the model's own vocabulary has 259 entries."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    logit_rows = []
    model.get_output_embeddings().register_forward_hook(lambda _, inputs, output: logit_rows.append(output.shape[0]))
    whole = gradients(model, summed_loss_of(model)(batch))
    logit_rows.clear()
    loss = summed_loss_of(model, chunk_logits=259 * 7)(batch)
    chunked = gradients(model, loss)
    assert max(logit_rows[1:]) == 7
    for name, gradient in whole.items():
        torch.testing.assert_close(chunked[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


@pytest.mark.parametrize("kind", ["gemma2", "cohere", "granite"])
def test_models_that_cap_or_scale_their_logits_keep_doing_so(kind: str, batch: MicroBatch) -> None:
    """A cap of 30 does not show in the small logits of a fresh model; it does once the model has learned."""
    torch.manual_seed(0)
    model: PreTrainedModel
    if kind == "gemma2":
        model = Gemma2ForCausalLM(Gemma2Config(**SIZES, attn_implementation="eager"))
    elif kind == "cohere":
        model = CohereForCausalLM(CohereConfig(**{k: v for k, v in SIZES.items() if k != "head_dim"}))
    else:
        sizes = {k: v for k, v in SIZES.items() if k != "head_dim"}
        model = GraniteForCausalLM(GraniteConfig(**sizes, logits_scaling=8.0))
    loss = summed_loss_of(model)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(60)  # type: ignore[no-untyped-call]
    passes = count_full_passes(model)
    ours = loss(batch)
    assert len(passes) == 1
    assert_equal_to_stock(model, batch, ours)

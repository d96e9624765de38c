"""A model switched between the arithmetics of claims, and gradient checkpointing, which must change no bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from arena.protocol import Arithmetic
from arena.trainer.computing.arithmetic import Computing
from arena.trainer.computing.packing import PackedBatch, pack
from arena.trainer.stream.batching import make_micro_batches
from tests.arena.trainer.tiny_hero import chat, token_rows

CPU = torch.device("cpu")


def load(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder)
    return model.train()


def learned(model: PreTrainedModel, computing: Computing, folder: Path) -> dict[str, torch.Tensor]:
    """Gradients of one pass, padded or packed as it is set now."""
    rows = token_rows(folder, folder.parent, [chat(seed) for seed in range(4)])
    if computing.packs:
        batch = pack(rows, CPU)
    else:
        (batch,) = make_micro_batches(rows, token_budget=10**6, pad_id=256, device=CPU)
    layout = batch.layout if isinstance(batch, PackedBatch) else {}
    torch.manual_seed(7)
    with computing.autocast():
        logits = model(input_ids=batch.input_ids, use_cache=False, **layout).logits
    wanted = logits.flatten(0, 1).index_select(0, batch.predicting).float()
    model.zero_grad()
    torch.nn.functional.cross_entropy(wanted, batch.targets).backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_each_claim_is_computed_its_own_way_whatever_came_before(tiny_model: Path) -> None:
    """Law 3: a replay may meet claims of several settings in one life."""
    ways = [
        Arithmetic(),
        Arithmetic(precision="bf16"),
        Arithmetic(attention="rows"),
        Arithmetic(precision="bf16", attention="rows"),
    ]
    alone = []
    for way in ways:
        model = load(tiny_model)
        alone.append(learned(model, Computing(model, usual=way), tiny_model))
    assert not any(same(one, other) for place, one in enumerate(alone) for other in alone[:place])

    model = load(tiny_model)
    computing = Computing(model, usual=ways[3])
    for place in (2, 0, 1, 3, 0, 2):
        computing.take(ways[place])
        assert same(learned(model, computing, tiny_model), alone[place])
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_a_claim_of_before_is_plain_and_in_the_precision_of_the_hero(tiny_model: Path) -> None:
    model = load(tiny_model)
    computing = Computing(model, usual=Arithmetic(precision="bf16", attention="rows"))
    computing.take(None)
    assert not computing.packs
    with computing.autocast():
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
        assert torch.is_autocast_enabled("cpu")


def test_tf32_is_switched_with_the_claim(tiny_model: Path) -> None:
    model = load(tiny_model)
    computing = Computing(model, usual=Arithmetic(tf32=True))
    assert torch.backends.cuda.matmul.fp32_precision == "tf32"
    computing.take(Arithmetic())
    assert torch.backends.cuda.matmul.fp32_precision == "ieee"


def test_a_checkpoint_says_nothing_of_how_it_was_computed(tiny_model: Path, tmp_path: Path) -> None:
    """Another program could not load a model with an attention that only the realm knows."""
    model = load(tiny_model)
    Computing(model, usual=Arithmetic(attention="rows"), gradient_checkpointing=True)
    model.save_pretrained(tmp_path)
    assert "realm" not in (tmp_path / "config.json").read_text()
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config._attn_implementation == "sdpa"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("attention", ["padded", "rows"])
def test_gradient_checkpointing_changes_not_one_bit(dropout_model: Path, attention: str, precision: str) -> None:
    """Dropout included: it may depend on the memory that is free, as the journal says nothing of it."""
    way = Arithmetic(precision=precision, attention=attention)
    kept, again = load(dropout_model), load(dropout_model)
    wanted = learned(kept, Computing(kept, usual=way), dropout_model)
    passes: list[None] = []
    again.base_model.layers[0].mlp.register_forward_pre_hook(lambda *_: passes.append(None))
    found = learned(again, Computing(again, usual=way, gradient_checkpointing=True), dropout_model)
    assert len(passes) == 2, "nothing was computed again"
    assert found.keys() == wanted.keys()
    assert same(found, wanted)

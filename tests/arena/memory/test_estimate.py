"""The estimate of a step's memory against what torch keeps, and against the measured peak of a process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from arena.heroes import load_hero
from arena.memory.estimate import CHUNK_LOGITS, estimate_memory, fits, fitting_estimate, most_tokens
from arena.memory.model_sizes import ModelSizes, parameters_of_seedling, sizes_from, sizes_of_hero, with_adapters
from arena.protocol import Lora
from arena.trainer import target_loss
from arena.trainer.adapters import add_adapter
from arena.trainer.computing.arithmetic import autocast
from core.paths import CHECKOUT, RealmPaths
from core.settings import Settings
from tests.arena.trainer.tiny_hero import settings

SIZES = {
    "vocab_size": 512, "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "intermediate_size": 192, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip


def kept_by_torch(kind: str, layers: int, tokens: int, precision: str, lora: Lora | None = None) -> int:
    """Bytes that autograd keeps of a forward pass beside the weights."""
    if kind == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**{**SIZES, "num_hidden_layers": layers})).train()
    else:
        model = LlamaForCausalLM(LlamaConfig(**{**SIZES, "num_hidden_layers": layers})).train()
    if lora is not None:
        add_adapter(model, lora, base_model=kind)
    kept: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    ids = torch.arange(tokens).remainder(500).view(4, -1)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor), autocast(precision, ids.device):
        states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    assert states.requires_grad
    return sum(storage.nbytes() for place, storage in kept.items() if place not in weights)


def in_two_layers(measure: Callable[[int, int], int]) -> int:
    """What two layers take of 512 tokens: all that does not grow with both cancels out."""
    return (measure(4, 1024) - measure(2, 1024)) - (measure(4, 512) - measure(2, 512))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("kind", "tolerance"), [("qwen3", 0.02), ("llama", 0.2)])
def test_the_activations_of_a_layer_are_what_torch_keeps(kind: str, tolerance: float, precision: str) -> None:
    """Llama has no norms of queries and keys, for which too much is reckoned."""

    def expected(layers: int, tokens: int) -> int:
        sizes = sizes_from({**SIZES, "num_hidden_layers": layers}, 0)
        assert sizes is not None
        one = settings(max_length=tokens, micro_batch_tokens=tokens)
        told = estimate_memory(sizes, one, precision=precision, gradient_checkpointing=False)
        assert told.tokens == tokens
        return told.activations

    kept = in_two_layers(lambda layers, tokens: kept_by_torch(kind, layers, tokens, precision))
    assert in_two_layers(expected) == pytest.approx(kept, rel=tolerance)


@pytest.mark.parametrize(
    ("precision", "dropout", "tolerance"), [("fp32", 0.0, 0.02), ("fp32", 0.1, 0.02), ("bf16", 0.0, 0.1)]
)
def test_adapters_keep_what_comes_down_and_nothing_of_frozen_norms(
    precision: str, dropout: float, tolerance: float
) -> None:
    lora = Lora(rank=16, alpha=32, dropout=dropout, target_modules=None, rslora=False, seed=0)
    hidden, inner = SIZES["hidden_size"], SIZES["intermediate_size"]
    queries, keys = (64, hidden), (32, hidden)
    matrices = [queries, keys, keys, (hidden, 64), (inner, hidden), (inner, hidden), (hidden, inner)]

    def expected(layers: int, tokens: int) -> int:
        base = sizes_from({**SIZES, "num_hidden_layers": layers}, 0)
        assert base is not None
        one = settings(max_length=tokens, micro_batch_tokens=tokens)
        sizes = with_adapters(base, layers * matrices, lora)
        return estimate_memory(sizes, one, precision=precision, gradient_checkpointing=False).activations

    kept = in_two_layers(lambda layers, tokens: kept_by_torch("qwen3", layers, tokens, precision, lora))
    assert in_two_layers(expected) == pytest.approx(kept, rel=tolerance)


PEAK = """
import json, sys
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from arena.memory.machine import peak_memory
from arena.protocol import Arithmetic
from arena.trainer.computing.arithmetic import Computing
from arena.trainer.stream.batching import MicroBatch
from arena.trainer.target_loss import summed_loss_of

sizes, tokens = json.loads(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
one = torch.nn.Linear(64, 64)
one(torch.ones(64, 64)).sum().backward()
torch.optim.AdamW(one.parameters(), fused=True).step()
before = peak_memory()
model = Qwen3ForCausalLM(Qwen3Config(**sizes)).train()
optimizer = torch.optim.AdamW(model.parameters(), fused=True)
loss = summed_loss_of(model)
ids = torch.arange(tokens).remainder(sizes["vocab_size"]).view(8, -1)
batch = MicroBatch(input_ids=ids, predicting=torch.arange(tokens), targets=ids.flatten())
peaks = []
# The one that takes less comes first: a peak never falls.
for checkpointing in (True, False):
    computing = Computing(model, usual=Arithmetic(), gradient_checkpointing=checkpointing)
    if not checkpointing:
        model.activation_checkpointing_disable()
    for step in range(2 if checkpointing else 1):
        (loss(batch) / tokens).backward()
        optimizer.step()
        optimizer.zero_grad()
    peaks.append(peak_memory() - before)
print(json.dumps([sum(weight.numel() for weight in model.parameters()), *peaks]))
"""


def test_the_peak_of_a_process_is_what_was_expected() -> None:
    """D7, D14: within a quarter, what is too large for one pass is known before it ends the process."""
    large = {
        **SIZES, "vocab_size": 8192, "hidden_size": 256, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 32, "intermediate_size": 768,
    }  # fmt: skip
    tokens = 1024
    done = subprocess.run(
        [sys.executable, "-c", PEAK, json.dumps([large, tokens])],
        capture_output=True, text=True, cwd=CHECKOUT, check=False,
    )  # fmt: skip
    assert not done.returncode, done.stderr
    parameters, again, plain = json.loads(done.stdout)
    sizes = sizes_from(large, parameters)
    assert sizes is not None
    one = settings(max_length=tokens, micro_batch_tokens=tokens)
    for peak, checkpointing in ((again, True), (plain, False)):
        told = estimate_memory(sizes, one, precision="fp32", gradient_checkpointing=checkpointing)
        assert peak == pytest.approx(told.total, rel=0.25), told


def test_logits_are_held_in_the_parts_that_the_trainer_makes() -> None:
    assert CHUNK_LOGITS == target_loss.CHUNK_LOGITS
    sizes = ModelSizes(1000, 1, 8, 8, 8, 8, 150_000)
    one = settings(max_length=4096, micro_batch_tokens=100_000, batch_size=64)
    assert estimate_memory(sizes, one, precision="fp32", gradient_checkpointing=False).logits <= 12 * CHUNK_LOGITS


def test_the_largest_micro_batch_is_bounded_by_budget_rows_and_the_longest_row() -> None:
    assert most_tokens(settings(max_length=256, micro_batch_tokens=4096, batch_size=2)) == 2 * 2 * 256
    assert most_tokens(settings(max_length=256, micro_batch_tokens=512, batch_size=64)) == 512
    assert most_tokens(settings(max_length=1024, micro_batch_tokens=512)) == 1024, "a longer row still passes"


def test_activations_are_computed_again_only_where_they_do_not_fit() -> None:
    sizes = ModelSizes(1_000_000, 24, 1024, 2048, 1024, 3072, 1000)
    one = settings(max_length=2048, micro_batch_tokens=4096, batch_size=8)

    def chosen(wish: str, free_bytes: int) -> bool:
        return fitting_estimate(sizes, one, precision="bf16", wish=wish, free_bytes=free_bytes).gradient_checkpointing

    plain = estimate_memory(sizes, one, precision="bf16", gradient_checkpointing=False)
    again = estimate_memory(sizes, one, precision="bf16", gradient_checkpointing=True)
    assert again.total < plain.total / 4
    assert fits(plain, 2 * plain.total)
    assert [chosen("auto", 2 * plain.total), chosen("auto", plain.total)] == [False, True]
    assert [chosen("never", 1), chosen("always", 10**15)] == [False, True]


def test_the_sizes_of_heroes_are_known_where_their_models_are(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path)
    seedling = load_hero(paths, "seedling")
    sizes = sizes_of_hero(seedling, Settings(), paths)
    assert sizes == ModelSizes(673_216, 3, 128, 128, 128, 384, 259)
    assert seedling.recipe is not None
    assert parameters_of_seedling(seedling.recipe) == 673_216
    assert sizes_of_hero(load_hero(paths, "dio"), Settings(), paths) is None


def test_a_config_of_another_kind_tells_no_sizes() -> None:
    gpt2 = {"n_embd": 64, "n_head": 4, "n_layer": 2, "vocab_size": 300}
    assert sizes_from(gpt2, 7) == ModelSizes(7, 2, 64, 64, 64, 256, 300)
    assert sizes_from({"text_config": gpt2, "vision_config": {}}, 7) == sizes_from(gpt2, 7)
    assert sizes_from({"d_model": 64}, 7) is None
    assert sizes_from({**gpt2, "n_embd": "wide"}, 7) is None

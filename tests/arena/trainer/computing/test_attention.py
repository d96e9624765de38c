"""Attention within packed rows: what rows alone give, no row sees another, and models that cannot are found out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2MoeConfig,
    Qwen2MoeForCausalLM,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from arena.trainer.computing.arithmetic import autocast
from arena.trainer.computing.attention import KERNELS, _attend, implementation_of
from arena.trainer.computing.packing import PackedBatch, pack
from arena.trainer.computing.suitability import why_not_packed
from arena.trainer.stream.batching import TokenRow
from tests.arena.trainer.computing.cpu_kernel import calls, give_cpu_a_kernel
from tests.arena.trainer.tiny_hero import chat, token_rows

CPU = torch.device("cpu")
SIZES = {
    "vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
    "intermediate_size": 32, "max_position_embeddings": 256,
}  # fmt: skip

Gradients = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def rows(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[TokenRow]:
    return token_rows(tiny_model, tmp_path_factory.mktemp("rows"), [chat(seed, turns=2) for seed in range(5)])


def states(model: PreTrainedModel, batch: PackedBatch, layout: bool = True) -> torch.Tensor:
    told = batch.layout if layout else {}
    found: torch.Tensor = model.base_model(input_ids=batch.input_ids, use_cache=False, **told).last_hidden_state
    return found


def gradients(model: PreTrainedModel, compute: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, Gradients]:
    """Hidden states of all tokens, and gradients of a sum in which every one of them counts differently."""
    model.zero_grad()
    found = compute()
    (found.float() * torch.linspace(-1, 1, found.shape[1])[:, None]).sum().backward()
    named = model.base_model.named_parameters()
    return found.detach(), {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def apart_and_together(
    model: PreTrainedModel, rows: list[TokenRow], attention: str, precision: str
) -> tuple[tuple[torch.Tensor, Gradients], tuple[torch.Tensor, Gradients]]:
    def alone() -> torch.Tensor:
        with autocast(precision, CPU):
            return torch.cat([states(model, pack([row], CPU), layout=False) for row in rows], dim=1)

    def packed() -> torch.Tensor:
        with autocast(precision, CPU):
            return states(model, pack(rows, CPU))

    apart = gradients(model, alone)
    model.set_attn_implementation(implementation_of(attention))
    return apart, gradients(model, packed)


def assert_close(found: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance * float(wanted.abs().max()))


def test_rows_packed_come_out_and_teach_as_rows_alone(tiny_model: Path, rows: list[TokenRow]) -> None:
    """fp32, rtol 1e-5: the same sums in another order."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    (alone, wanted), (packed, found) = apart_and_together(model, rows, "rows", "fp32")
    assert_close(packed, alone, 1e-5)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert_close(found[name], gradient, 1e-5)


def test_the_kernel_is_called_as_its_contract_asks_and_gives_the_gradient_of_rows_alone(
    tiny_model: Path, rows: list[TokenRow]
) -> None:
    """On a CPU everything but the kernel itself; under autocast queries and keys arrive in fp32 and must be cast."""
    give_cpu_a_kernel()
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    before = len(calls)
    (alone, wanted), (packed, found) = apart_and_together(model, rows, "varlen", "bf16")
    assert calls[before:] == [sum(len(row.token_ids) for row in rows)] * model.config.num_hidden_layers
    assert_close(packed, alone, 3e-2)
    for name, gradient in wanted.items():
        assert found[name].dtype == torch.float32
        assert_close(found[name], gradient, 6e-2)


@pytest.mark.parametrize(("attention", "precision"), [("rows", "fp32"), ("rows", "bf16"), ("varlen", "bf16")])
def test_no_row_sees_another(tiny_model: Path, rows: list[TokenRow], attention: str, precision: str) -> None:
    """Not a bit of a row's states changes with what stands before or behind it."""
    give_cpu_a_kernel()
    model = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    model.set_attn_implementation(implementation_of(attention))
    others = [TokenRow(line=1, token_ids=row.token_ids[::-1].copy(), trained=row.trained) for row in rows]
    start = len(rows[0].token_ids) + len(rows[1].token_ids)
    end = start + len(rows[2].token_ids)
    with torch.no_grad(), autocast(precision, CPU):
        first = states(model, pack(rows, CPU))
        second = states(model, pack([*others[:2], rows[2], *others[3:]], CPU))
    assert torch.equal(first[:, start:end], second[:, start:end])
    assert not torch.equal(first, second)


def make(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**SIZES))
    if kind == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=300, n_positions=64, n_embd=16, n_layer=2, n_head=2))
    if kind == "mistral":
        return MistralForCausalLM(MistralConfig(**SIZES, sliding_window=8))
    if kind == "gemma2":
        return Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, attn_implementation="eager"))
    if kind == "qwen2_moe":  # its windows are in its masks alone, and longer than any row of a short trial
        config = Qwen2MoeConfig(
            **SIZES, moe_intermediate_size=8, shared_expert_intermediate_size=8, num_experts=2, use_sliding_window=True,
            sliding_window=16, layer_types=["sliding_attention", "full_attention"],
        )  # fmt: skip
        return Qwen2MoeForCausalLM(config)
    if kind == "bloom":
        return BloomForCausalLM(BloomConfig(vocab_size=300, hidden_size=16, n_layer=2, n_head=2))
    return MambaForCausalLM(MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=2, state_size=4))


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("llama", None),
        ("gpt2", None),
        ("mistral", "sliding_window"),
        ("gemma2", "sliding_attention"),
        ("qwen2_moe", "sliding_attention"),
        ("bloom", ""),
        ("mamba", ""),
    ],
)
def test_models_that_want_more_of_attention_are_not_packed(kind: str, why: str | None) -> None:
    """Windows, caps, linear biases, and states that run on over the ends of rows."""
    model = make(kind)
    before = model.config._attn_implementation
    state = torch.get_rng_state()
    found = why_not_packed(model, "rows", "fp32")
    assert (found is None) == (why is None), found
    assert (why or "") in (found or "")
    assert model.config._attn_implementation == before
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_the_kernel_is_not_used_where_attention_has_dropout_and_rows_are(dropout_model: Path) -> None:
    give_cpu_a_kernel()
    model = AutoModelForCausalLM.from_pretrained(dropout_model)
    assert why_not_packed(model, "varlen", "bf16") == "the kernel knows no dropout"
    assert why_not_packed(model, "rows", "bf16") is None


def test_a_device_that_is_full_for_a_moment_says_nothing_of_the_model(tiny_model: Path) -> None:
    """A claim that is to be made again must not be given up for it."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model)

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    handle = model.lm_head.register_forward_pre_hook(full), model.base_model.register_forward_pre_hook(full)
    with pytest.raises(torch.OutOfMemoryError):
        why_not_packed(model, "rows", "fp32")
    for each in handle:
        each.remove()
    assert why_not_packed(model, "rows", "fp32") is None


def test_a_kernel_without_a_way_back_is_not_used(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each quest of such a model failed at its first step."""

    class Forward(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, query: torch.Tensor) -> torch.Tensor:
            return query.transpose(1, 2)

        @staticmethod
        def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("backward is not supported for this head size")

    def one_way(query: torch.Tensor, *told: Any) -> torch.Tensor:
        return cast(torch.Tensor, Forward.apply(KERNELS["rows"](query, *told).transpose(1, 2)))

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "realm_rows", partial(_attend, one_way))
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert why_not_packed(model, "rows", "fp32") == "backward is not supported for this head size"

"""Generation: the same answers alone and together, where they end, and that nothing is left behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, LogitsProcessor, PreTrainedModel

from arena.protocol import Arithmetic
from arena.trainer import generation
from arena.trainer.adapters import add_adapter
from arena.trainer.computing.arithmetic import Computing
from arena.trainer.generation import Manner, answer
from arena.trainer.loading.model_loading import read_model
from tests.arena.trainer.lora_hero import LORA, make_base

STOP = 10
"""A byte that the model writes now and then."""
MANNER = Manner(stop_ids=frozenset({STOP}), max_new_tokens=24, max_length=200)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    """With dropout, and with scores that are far from each other."""
    return read_model(make_base(tmp_path_factory.mktemp("base") / "model"), torch.float32).train()


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    dice = random.Random(3)
    lengths = [3, 40, 9, 9, 1, 23, 40, 12, 66, 5]
    return [[dice.randrange(256) for _ in range(length)] for length in lengths]


@pytest.fixture(scope="module")
def absolute() -> PreTrainedModel:
    """One that learns places in a row by heart, up to `max_length`: a wrong one shows, and there is none beyond."""
    torch.manual_seed(2)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 259, "n_positions": MANNER.max_length}
    return GPT2LMHeadModel(GPT2Config(**sizes, initializer_range=0.4, bos_token_id=256, eos_token_id=256)).train()


def stopping_after(model: PreTrainedModel, prompts: list[list[int]]) -> Manner:
    """A manner whose stop token ends some of the answers in their midst."""
    free = answer(model, prompts, replace(MANNER, stop_ids=frozenset()))
    written = [token for tokens in free for token in set(tokens or [])]
    return replace(MANNER, stop_ids=frozenset({max(set(written), key=written.count)}))


def test_an_answer_is_the_same_alone_and_among_others(model: PreTrainedModel, prompts: list[list[int]]) -> None:
    """Token for token, in fp32: filling, order and company of prompts are no part of a question."""
    manner = stopping_after(model, prompts)
    together = answer(model, prompts, manner)
    assert together == [answer(model, [prompt], manner)[0] for prompt in prompts]
    assert together == answer(model, prompts[::-1], manner)[::-1]
    lengths = [len(tokens or []) for tokens in together]
    assert min(lengths) < 24 == max(lengths), "some end by themselves, others are cut"
    assert not any(manner.stop_ids & set(tokens or []) for tokens in together)


def test_each_prompt_has_the_places_that_it_has_alone(absolute: PreTrainedModel, prompts: list[list[int]]) -> None:
    given, manner = [*prompts[:4], [7] * 190], replace(MANNER, stop_ids=frozenset())
    together = answer(absolute, given, manner)
    assert together == [answer(absolute, [prompt], manner)[0] for prompt in given]
    assert [len(tokens or []) for tokens in together] == [24] * 4 + [10]


def test_answers_are_those_of_transformers(model: PreTrainedModel, prompts: list[list[int]]) -> None:
    manner = stopping_after(model, prompts)
    plain = GenerationConfig(do_sample=False, max_new_tokens=24, eos_token_id=list(manner.stop_ids), pad_token_id=256)
    model.eval()
    for prompt, tokens in zip(prompts[:4], answer(model, prompts[:4], manner), strict=True):
        theirs = model.generate(torch.tensor([prompt]), generation_config=plain)[0, len(prompt) :].tolist()
        assert tokens == [token for token in theirs if token not in manner.stop_ids]
    model.train()


def test_an_answer_ends_where_the_row_has_to(model: PreTrainedModel) -> None:
    """What does not fit is unknown, and never wrong (E7)."""
    given = [[7] * 190, [7] * 199, [7] * 200, [7] * 201, []]
    lengths = [tokens and len(tokens) for tokens in answer(model, given, replace(MANNER, stop_ids=frozenset()))]
    assert lengths == [10, 1, None, None, None]


def test_neither_random_state_nor_weights_nor_mode_are_touched(
    model: PreTrainedModel, prompts: list[list[int]]
) -> None:
    """D13, and law 3: with dropout, a number drawn would show."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()

    def draw() -> None:
        torch.rand(1)

    answer(model, prompts, replace(MANNER, between=draw))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


class Stingy:
    """A machine with memory for so many tokens at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
        self.batches: list[int] = []
        decode: Callable[..., list[list[int]]] = generation._decode

        def stingy(model: PreTrainedModel, prompts: Sequence[Sequence[int]], manner: Manner) -> list[list[int]]:
            self.batches.append(len(prompts))
            if len(prompts) * max(map(len, prompts)) > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return decode(model, prompts, manner)

        monkeypatch.setattr(generation, "_decode", stingy)


def test_without_memory_batches_get_smaller_and_what_never_fits_is_unknown(
    model: PreTrainedModel, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D7: out of memory at an evaluation ended the training. E7: unanswered is not wrong."""
    wanted = answer(model, prompts, MANNER)
    stingy = Stingy(monkeypatch, tokens=64)
    found = answer(model, prompts, MANNER)
    assert found == [None if len(prompt) > 64 else tokens for prompt, tokens in zip(prompts, wanted, strict=True)]
    assert stingy.batches[:2] == [10, 5]
    assert model.training


def test_whoever_asks_is_called_before_each_token_and_may_give_up(model: PreTrainedModel) -> None:
    calls: list[int] = []

    def give_up() -> None:
        calls.append(len(calls))
        if len(calls) == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        answer(model, [[7, 8]], replace(MANNER, stop_ids=frozenset(), between=give_up))
    assert len(calls) == 5
    assert model.training


class Only(LogitsProcessor):
    """Lets the model write nothing but the number of tokens so far."""

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        only = torch.full_like(scores, -torch.inf)
        only[:, 65 + input_ids.shape[1] - self._prompt_tokens] = 0.0
        return only


def test_processors_see_the_tokens_so_far_and_change_the_next(model: PreTrainedModel, prompts: list[list[int]]) -> None:
    manner = replace(MANNER, max_new_tokens=4, processors=lambda width: [Only(width)])
    assert answer(model, prompts, manner) == [[65, 66, 67, 68]] * len(prompts)


@pytest.mark.parametrize("usual", [Arithmetic(), Arithmetic(attention="rows"), Arithmetic(precision="bf16")])
def test_however_steps_are_computed_answers_are_computed_plainly(
    model: PreTrainedModel, prompts: list[list[int]], usual: Arithmetic
) -> None:
    """Packed rows have no cache; of an arithmetic, precision alone is kept, and afterwards all of it."""
    computing = Computing(model, usual=usual)
    implementation = model.config._attn_implementation
    with computing.plainly(usual):
        told = replace(MANNER, autocast=computing.autocast)
        found = answer(model, prompts, told)
        assert model.config._attn_implementation == "sdpa"
    assert model.config._attn_implementation == implementation
    assert (computing.packs, all(found)) == (usual.attention == "rows", True)
    computing.take(Arithmetic())
    if usual.precision == "fp32":
        assert found == answer(model, prompts, MANNER)


def test_adapters_have_their_say(tmp_path: Path, prompts: list[list[int]]) -> None:
    model, prompts = read_model(make_base(tmp_path / "model"), torch.float32), prompts[:3]
    plain = answer(model, prompts, MANNER)
    add_adapter(model, LORA, base_model="base")
    assert answer(model, prompts, MANNER) == plain, "fresh ones add nothing"
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if ".lora_B." in name:
                weight.normal_()
    adapted = answer(model, prompts, MANNER)
    assert adapted != plain
    assert adapted == [answer(model, [prompt], MANNER)[0] for prompt in prompts]

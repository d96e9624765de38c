"""The copy that a checkpoint is written from while training goes on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerState

from arena.trainer.saving.copying import Copier
from arena.trainer.saving.moulds import Image, write_pickle
from arena.trainer.saving.snapshot import EngineState, take_engine_state
from vault.weights import SINGLE


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> dict[str, Any]:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    sum(weight.sum() for weight in model.parameters()).backward()
    optimizer.step()
    return {
        "network": model, "tokenizer": AutoTokenizer.from_pretrained(tiny_model), "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer), "trainer_state": TrainerState(global_step=7),
    }  # fmt: skip


@pytest.fixture
def parts(loaded: dict[str, Any]) -> dict[str, Any]:
    """What a state is taken of, by a trainer that has not saved yet."""
    return {**loaded, "copier": Copier()}


@pytest.fixture
def saved(parts: dict[str, Any], tmp_path: Path) -> Path:
    """The weights as transformers saves them; the copier has seen that."""
    parts["network"].save_pretrained(tmp_path)
    parts["copier"].learn(tmp_path / SINGLE, parts["network"].state_dict())
    return tmp_path


def learn_something(parts: dict[str, Any]) -> None:
    with torch.no_grad():
        for weight in parts["network"].parameters():
            weight += 1
        for moments in parts["optimizer"].state.values():
            moments["exp_avg"] += 1
            moments["step"] += 1


def pickled(value: Any) -> bytes:
    stream = io.BytesIO()
    write_pickle(value, stream)
    return stream.getvalue()


def images_of(state: EngineState) -> tuple[Image, Image]:
    assert isinstance(state.weights, Image)
    assert isinstance(state.optimizer, Image)
    return state.weights, state.optimizer


def places(state: EngineState) -> list[int]:
    """Where its images lie in memory."""
    return [torch.frombuffer(image.pages, dtype=torch.uint8).data_ptr() for image in images_of(state)]


def test_an_image_is_the_file_to_the_byte_and_stays_so(parts: dict[str, Any], saved: Path) -> None:
    """What training does next must not get into what is being written."""
    weights, moments = images_of(take_engine_state(**parts, in_place=False))
    before, in_place = bytes(moments.content), take_engine_state(**parts, in_place=True)
    assert bytes(weights.content) == (saved / SINGLE).read_bytes()
    assert before == pickled(in_place.optimizer)
    learn_something(parts)
    assert bytes(weights.content) == (saved / SINGLE).read_bytes()
    assert bytes(moments.content) == before
    assert pickled(in_place.optimizer) != before, "what is in place is no copy"


def test_the_next_copy_is_made_in_the_memory_of_the_last(
    parts: dict[str, Any], saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with each save; that of a large model is given back instead of being kept."""
    first = places(take_engine_state(**parts, in_place=False))
    learn_something(parts)
    monkeypatch.setattr("arena.trainer.saving.copying.KEPT_BYTES", 1000)
    second = take_engine_state(**parts, in_place=False)
    assert places(second) == first
    weights, moments = images_of(second)
    parts["network"].save_pretrained(saved)
    assert bytes(weights.content) == (saved / SINGLE).read_bytes()
    assert bytes(moments.content) == pickled(take_engine_state(**parts, in_place=True).optimizer)
    assert not {*places(take_engine_state(**parts, in_place=False))} & {*first}


def test_another_learning_rate_changes_the_file_and_not_its_place(parts: dict[str, Any], saved: Path) -> None:
    """The optimizer's file tells the rate beside the moments: what is no tensor is written anew."""
    first = take_engine_state(**parts, in_place=False)
    where, before = places(first), bytes(images_of(first)[1].content)
    for group in parts["optimizer"].param_groups:
        group["lr"] = group["lr"] / 3
    second = take_engine_state(**parts, in_place=False)
    after = bytes(images_of(second)[1].content)
    assert after == pickled(take_engine_state(**parts, in_place=True).optimizer) != before
    assert places(second) == where


def test_moments_that_come_later_get_their_place(loaded: dict[str, Any], parts: dict[str, Any]) -> None:
    """A weight without a gradient has none before it gets one."""
    weights = [torch.nn.Parameter(torch.full((5, 3), float(number))) for number in range(3)]
    optimizer = torch.optim.AdamW(weights)
    for last in (1, 3):
        torch.stack([weight.sum() for weight in weights[:last]]).sum().backward()
        optimizer.step()
        state = take_engine_state(**parts | {"optimizer": optimizer}, in_place=False)
        in_place = take_engine_state(**parts | {"optimizer": optimizer}, in_place=True)
        assert isinstance(state.optimizer, Image)
        assert bytes(state.optimizer.content) == pickled(in_place.optimizer)


def test_weights_that_are_stored_otherwise_are_left_to_transformers(parts: dict[str, Any], tmp_path: Path) -> None:
    """Some models are turned round when they are saved: the same name and size, and other bytes."""
    weights = parts["network"].state_dict()
    name, square = next((name, weight) for name, weight in weights.items() if weight.dim() == 2)
    del weights["lm_head.weight"]  # tied
    save_file(weights | {name: square.flip(0).contiguous()}, tmp_path / SINGLE)
    parts["copier"].learn(tmp_path / SINGLE, weights)
    state = take_engine_state(**parts, in_place=False)
    assert isinstance(state.weights, dict)
    assert torch.equal(state.weights[name], square)


def test_tied_weights_stay_tied_in_the_copy(parts: dict[str, Any]) -> None:
    """They would be written twice, and come back as two."""
    copied = take_engine_state(**parts, in_place=False).weights
    assert isinstance(copied, dict), "nothing was saved yet that could show the layout"
    first, second = copied["lm_head.weight"], copied["model.embed_tokens.weight"]
    assert first.data_ptr() == second.data_ptr()
    assert first.data_ptr() != parts["network"].lm_head.weight.data_ptr()


@pytest.mark.parametrize("error", [OSError(12, "Cannot allocate memory"), RuntimeError("DefaultCPUAllocator")])
def test_memory_that_is_not_given_is_done_without(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """D7: a process with a limit of its own, of which the machine knows nothing."""

    def refuse(*parts: object) -> None:
        raise error

    monkeypatch.setattr(Image, "__init__", refuse)
    state = take_engine_state(**parts, in_place=False)
    assert state.in_place
    assert isinstance(state.optimizer, dict)

"""The copy that a checkpoint is written from while training goes on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerState

from arena.trainer.saving.snapshot import EngineState, Spares, take_engine_state


@pytest.fixture(scope="module")
def parts(tiny_model: Path) -> dict[str, Any]:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    sum(weight.sum() for weight in model.parameters()).backward()
    optimizer.step()
    return {
        "network": model, "tokenizer": AutoTokenizer.from_pretrained(tiny_model), "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer), "trainer_state": TrainerState(global_step=7),
        "spares": Spares(),
    }  # fmt: skip


def pickled(state: EngineState) -> bytes:
    stream = io.BytesIO()
    torch.save([state.weights, state.optimizer, state.scheduler], stream)
    return stream.getvalue()


def test_a_copy_is_the_same_to_the_byte_and_stays_so(parts: dict[str, Any]) -> None:
    copied, in_place = take_engine_state(**parts, in_place=False), take_engine_state(**parts, in_place=True)
    before = pickled(copied)
    assert before == pickled(in_place)
    with torch.no_grad():
        for weight in parts["network"].parameters():
            weight += 1
        for moments in parts["optimizer"].state.values():
            moments["exp_avg"] += 1
    assert pickled(copied) == before
    assert pickled(in_place) != before
    assert (copied.in_place, in_place.in_place) == (False, True)


def places(state: EngineState) -> set[int]:
    """Where its tensors lie in memory."""
    moments = [value for each in state.optimizer["state"].values() for value in each.values()]
    return {tensor.untyped_storage().data_ptr() for tensor in (*state.weights.values(), *moments)}


def test_the_next_copy_is_made_in_the_memory_of_the_last(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory does not grow with each save; that of a large model is given back instead of being kept."""
    first = places(take_engine_state(**parts, in_place=False))
    with torch.no_grad():
        for weight in parts["network"].parameters():
            weight += 1
    monkeypatch.setattr("arena.trainer.saving.snapshot.SPARED_BYTES", 1000)
    second = take_engine_state(**parts, in_place=False)
    assert places(second) == first
    for name, weight in parts["network"].state_dict().items():
        assert torch.equal(second.weights[name], weight), name
    assert not places(take_engine_state(**parts, in_place=False)) & first


def test_tied_weights_stay_tied_in_the_copy(parts: dict[str, Any]) -> None:
    """They would be written twice, and come back as two."""
    copied = take_engine_state(**parts, in_place=False).weights
    first, second = copied["lm_head.weight"], copied["model.embed_tokens.weight"]
    assert first.data_ptr() == second.data_ptr()
    assert first.data_ptr() != parts["network"].lm_head.weight.data_ptr()


def test_memory_that_is_not_given_is_done_without(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """D7: a process with a limit of its own, of which the machine knows nothing."""

    def refuse(spares: Spares, size: int) -> torch.UntypedStorage:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Spares, "take", refuse)
    assert take_engine_state(**parts, in_place=False).in_place

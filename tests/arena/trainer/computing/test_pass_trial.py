"""How many tokens go through the model at once: found out once, written into each claim, and replayed from there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from transformers import AutoModelForCausalLM

from arena.pass_size import PASS_SIZE_NAME, PassSize, keep_pass_size, read_pass_size
from arena.trainer.computing import pass_trial
from arena.trainer.computing.pass_trial import PASS_TOKENS, ROW_TOKENS, UNTRIED, Trial, settle_pass_size
from arena.trainer.stream.batching import MicroBatch
from arena.trainer.target_loss import summed_loss_of
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.healing.lives import learn_all, oracle
from tests.arena.trainer.tiny_hero import settings

Loss = Callable[[MicroBatch], torch.Tensor]


def trial_of(model: Path, spoil: Callable[[Loss], Loss] = lambda loss: loss, **more: Any) -> Trial:
    network = AutoModelForCausalLM.from_pretrained(model)
    return Trial(network, spoil(summed_loss_of(network)), nullcontext, lambda: None, **more)


def card_of(tokens: int) -> Callable[[Loss], Loss]:
    """A device on which so many tokens fit."""

    def spoil(loss: Loss) -> Loss:
        def limited(batch: MicroBatch) -> torch.Tensor:
            if batch.input_ids.numel() > tokens:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return loss(batch)

        return limited

    return spoil


def test_a_trial_leaves_the_model_as_it_was(dropout_model: Path) -> None:
    """Law 3: that something was measured does not show in what is learned."""
    trial = trial_of(dropout_model)
    trial.network.train(False)
    weights = {name: weight.clone() for name, weight in trial.network.named_parameters()}
    random = torch.get_rng_state()
    tokens, pass_tokens = trial.best()
    assert tokens >= ROW_TOKENS
    assert tokens % ROW_TOKENS == 0
    assert pass_tokens >= 1
    assert torch.equal(torch.get_rng_state(), random)
    assert not trial.network.training
    for name, weight in trial.network.named_parameters():
        assert weight.grad is None
        assert torch.equal(weight, weights[name])


def test_no_more_is_taken_than_was_seen_to_fit(tiny_model: Path) -> None:
    """D7: defaults ran out of memory."""
    assert trial_of(tiny_model, card_of(2 * ROW_TOKENS)).best()[0] <= 2 * ROW_TOKENS
    assert trial_of(tiny_model, card_of(ROW_TOKENS)).best() == (ROW_TOKENS, PASS_TOKENS)
    assert trial_of(tiny_model, card_of(1)).best() == (ROW_TOKENS, PASS_TOKENS)


def test_little_memory_is_not_filled_to_find_out(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D7: on a CPU there is no error to catch; the kernel ends the process."""
    tried: list[int] = []

    def watched(loss: Loss) -> Loss:
        def noted(batch: MicroBatch) -> torch.Tensor:
            tried.append(batch.input_ids.numel())
            return loss(batch)

        return noted

    trial_of(tiny_model, watched).best()
    assert max(tried) > 2 * ROW_TOKENS
    tried.clear()
    monkeypatch.setattr(pass_trial, "free_memory", lambda: 1 << 20)
    trial_of(tiny_model, watched).best()
    assert max(tried) == ROW_TOKENS


def test_memory_that_the_optimizer_will_take_is_left_to_it(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """D7: the trial is made before the first step, and moments come with that."""
    monkeypatch.setattr(pass_trial, "free_memory", lambda: 1 << 40)
    assert trial_of(tiny_model, moments_bytes=(1 << 40) - (1 << 20)).best() == (ROW_TOKENS, PASS_TOKENS)


def test_rows_are_tried_as_they_will_be_learned(tiny_model: Path) -> None:
    """Packed where they are packed, and no longer than the model has places for."""
    shapes: list[tuple[int, ...]] = []

    def watched(loss: Loss) -> Loss:
        def noted(batch: MicroBatch) -> torch.Tensor:
            shapes.append(tuple(batch.input_ids.shape))
            return loss(batch)

        return noted

    padded = trial_of(tiny_model, watched, row_tokens=32)
    assert padded.best()[0] % 32 == 0
    assert {width for _, width in shapes} == {32}
    shapes.clear()
    packed = trial_of(tiny_model, watched, packs=True, row_tokens=32)
    packed.best()
    assert {rows for rows, _ in shapes} == {1}
    assert {width % 32 for _, width in shapes} == {0}
    assert packed.machine != padded.machine


def test_on_a_slow_machine_one_row_is_all_that_is_tried(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pass_trial, "PATIENCE_SECONDS", 0.0)
    assert trial_of(tiny_model).best() == (UNTRIED, PASS_TOKENS)


def test_what_was_measured_here_is_measured_once(tiny_model: Path, tmp_path: Path) -> None:
    trial = trial_of(tiny_model)
    first = settle_pass_size(settings(micro_batch_tokens=0), tmp_path, trial)
    assert first.micro_batch_tokens
    assert first.pass_tokens
    kept = read_pass_size(tmp_path)
    assert kept == PassSize(
        machine=trial.machine, tokens=first.micro_batch_tokens, pass_tokens=first.pass_tokens
    )  # fmt: skip
    keep_pass_size(tmp_path, msgspec.structs.replace(kept, tokens=12_345, pass_tokens=67))
    again = settle_pass_size(settings(micro_batch_tokens=0), tmp_path, trial)
    assert (again.micro_batch_tokens, again.pass_tokens) == (12_345, 67)
    keep_pass_size(tmp_path, msgspec.structs.replace(kept, machine="another", tokens=12_345))
    assert settle_pass_size(settings(micro_batch_tokens=0), tmp_path, trial).micro_batch_tokens != 12_345


def test_tokens_that_are_given_need_no_trial(tiny_model: Path, tmp_path: Path) -> None:
    settled = settle_pass_size(settings(micro_batch_tokens=512), tmp_path, trial_of(tiny_model, card_of(0)))
    assert (settled.micro_batch_tokens, settled.pass_tokens) == (512, PASS_TOKENS)
    assert list(tmp_path.iterdir()) == []


def test_a_claim_says_what_was_measured_and_a_replay_goes_by_it(tmp_path: Path, dropout_model: Path) -> None:
    """Law 3: a machine that measures otherwise comes to the same weights, bit for bit."""
    field = Field(tmp_path / "fought", dropout_model)
    keep_pass_size(field.paths.current_model, PassSize(machine="another", tokens=128, pass_tokens=1))
    learn_all(field, [field.foe("measured", 24, micro_batch_tokens=0)])
    claim = field.history.claims[1].settings
    kept = read_pass_size(field.paths.current_model)
    assert kept is not None
    assert (claim.micro_batch_tokens, claim.pass_tokens) == (kept.tokens, kept.pass_tokens)
    assert claim.micro_batch_tokens >= ROW_TOKENS
    undisturbed = oracle(tmp_path / "oracle", field)
    assert not (undisturbed.parent / PASS_SIZE_NAME).exists()
    assert_equal_weights(field.head, undisturbed)

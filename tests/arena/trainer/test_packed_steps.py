"""Steps of packed rows in the engine, and claims that are each computed their own way (ADR 0015)."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from arena.journal import MicroBatchSize
from arena.protocol import Arithmetic, Loading, Ready, Trouble
from arena.trainer.engine import BattleTrainer
from arena.trainer.target_loss import SummedLoss
from core.errors import Conflict
from tests.arena.trainer.computing.cpu_kernel import give_cpu_a_kernel
from tests.arena.trainer.driving import Field, assert_equal_weights
from tests.arena.trainer.fighting_here import fight
from tests.arena.trainer.healing.lives import learn_all, oracle
from tests.arena.trainer.in_process import living
from tests.arena.trainer.test_engine import our_gradients, stock_gradients, summoned
from tests.arena.trainer.tiny_hero import chat, token_rows

PACKED = Arithmetic(attention="rows")


@pytest.mark.parametrize("budget", [200, 10**6])
def test_the_gradient_of_a_packed_step_equals_that_of_the_stock_trainer(
    tiny_model: Path, tmp_path: Path, budget: int
) -> None:
    """fp32, rtol 1e-5, with many micro-batches and with one."""
    rows = token_rows(tiny_model, tmp_path, [chat(seed, turns=2) for seed in range(12)])
    wanted, stock_loss = stock_gradients(tiny_model, rows, tmp_path / "stock", 1)
    with summoned(tiny_model, tmp_path / "field") as engine:
        passes: list[torch.Size] = []
        engine.network.base_model.register_forward_pre_hook(
            lambda _, args, kwargs: passes.append(kwargs["input_ids"].shape), with_kwargs=True
        )
        found, loss = our_gradients(engine, rows, micro_batch_tokens=budget, arithmetic=PACKED)
    assert sum(tokens for _, tokens in passes) == sum(len(row.token_ids) for row in rows), "something was filled up"
    assert (len(passes) > 3) is (budget == 200)
    assert loss == pytest.approx(stock_loss, rel=1e-5)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


def test_the_kernel_learns_what_padded_rows_learn(tiny_model: Path, tmp_path: Path) -> None:
    """bf16, through the whole engine up to the kernel, for which the test has a stand-in."""
    give_cpu_a_kernel()
    rows = token_rows(tiny_model, tmp_path, [chat(seed) for seed in range(8)])
    with summoned(tiny_model, tmp_path / "field") as engine:
        wanted, padded_loss = our_gradients(engine, rows, arithmetic=Arithmetic(precision="bf16"))
        kernel = Arithmetic(precision="bf16", attention="varlen")
        found, loss = our_gradients(engine, rows, arithmetic=kernel)
    assert loss == pytest.approx(padded_loss, rel=1e-2)
    for name, gradient in wanted.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(found[name], gradient, rtol=0.1, atol=0.1 * scale)


def test_a_replay_computes_each_claim_as_it_was_computed(dropout_model: Path, tmp_path: Path) -> None:
    """Law 3: settings that changed between two lives change nothing of what stands in the journal."""
    field = Field(tmp_path / "field", dropout_model)
    first, second, third = (field.foe(name, 10) for name in ("first", "second", "third"))
    with living(field, packing="always") as life:
        life.claim(first)
        life.make_steps(2)
        life.slay()
    # The claim of the first quest was packed; the child that goes on with it would pad, in bf16.
    learn_all(field, [second], fp_precision="bf16")
    learn_all(field, [third], packing="always", gradient_checkpointing="always")
    arithmetics = [claim.settings.arithmetic for claim in field.history.claims.values()]
    assert arithmetics == [PACKED, Arithmetic(precision="bf16"), PACKED]
    assert_equal_weights(field.head, oracle(tmp_path / "replay", field))


def test_a_claim_that_cannot_be_computed_here_keeps_the_trainer_from_starting(tiny_model: Path, tmp_path: Path) -> None:
    field = Field(tmp_path, tiny_model)
    foe = field.foe("packed", 8)
    with living(field) as life:
        life.claim(foe)
        life.slay()
    text = field.journal.read_text()
    field.journal.write_text(text.replace('"attention":"padded"', '"attention":"varlen"'))
    with pytest.raises(Conflict, match="torch has no attention kernel for packed rows on CPU"):
        fight(field)


def test_packed_micro_batches_are_halved_by_what_they_hold(tiny_model: Path, tmp_path: Path) -> None:
    """D7: rows of unlike lengths that share a packed micro-batch would each be alone in a padded one."""
    field = Field(tmp_path, tiny_model)
    foe = field.foe("mixed", 8, batch_size=8, gradient_accumulation=1, micro_batch_tokens=1000)

    def card(trainer: BattleTrainer, loss: SummedLoss) -> SummedLoss:
        def measured(batch: object) -> torch.Tensor:
            if batch.input_ids.numel() > 90:  # type: ignore[attr-defined]
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return loss(batch)  # type: ignore[arg-type]

        return measured

    lives = learn_all(field, [foe], card, packing="always")
    assert lives.outcomes() == {"mixed": "learned"}
    sizes = [entry.tokens for entry in field.history._entries if isinstance(entry, MicroBatchSize)]
    assert sizes
    assert sizes[-1] <= 90
    assert [trouble.what for trouble in lives.said(Trouble)] == ["out_of_memory"] * len(sizes)


def test_what_a_step_takes_is_told_before_and_what_it_took_afterwards(
    tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    field = Field(tmp_path, tiny_model)
    caplog.set_level(logging.INFO, logger="arena.trainer")
    lives = learn_all(field, [field.foe("small", 12)])
    (before,) = [event.what for event in lives.said(Loading) if "a step takes" in event.what]
    assert before.startswith("computing in fp32, padded rows; a step takes up to ")
    assert "optimizer" in before
    assert lives.said(Ready)
    peaks = [record for record in caplog.records if getattr(record, "event", None) == "memory_peak"]
    assert peaks
    assert "expected" in peaks[0].getMessage()

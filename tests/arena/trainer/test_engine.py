"""One step of the engine against stock `transformers.Trainer` on the same rows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel, Trainer, TrainerCallback, TrainingArguments

from arena.supervision.position_file import PositionFile
from arena.trainer.battle import StepPlan
from arena.trainer.engine import BattleTrainer
from arena.trainer.link import DaemonLink
from arena.trainer.stream.batching import TokenRow, make_micro_batches
from arena.trainer.summoning import summon
from tests.arena.trainer.driving import Field
from tests.arena.trainer.tiny_hero import chat, settings, token_rows, write_rows

Gradients = dict[str, torch.Tensor]


@contextmanager
def summoned(model: Path, base: Path) -> Iterator[BattleTrainer]:
    """The engine as a child has it, without the child."""
    field = Field(base, model)
    write_rows(field.paths.validation / "held_out.jsonl", [chat(seed) for seed in range(20)])
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    link = DaemonLink(ours)
    position = PositionFile(field.paths.current_model / ".position")
    _, trainer = summon(field.paths, link, field.begin(), position)
    trainer.create_optimizer()
    yield trainer
    position.close()
    link.close()
    theirs.close()


@pytest.fixture
def engine(tiny_model: Path, tmp_path: Path) -> Iterator[BattleTrainer]:
    with summoned(tiny_model, tmp_path / "field") as trainer:
        yield trainer


def our_gradients(
    engine: BattleTrainer, rows: list[TokenRow], *, quest_step: int = 0, **changes: Any
) -> tuple[Gradients, float]:
    plan = StepPlan(
        ordinal=1, quest_step=quest_step, rows=rows, settings=settings(**changes), learning_rate=1e-3, learn=True
    )
    loss = engine.training_step(engine.network, plan)
    found = {name: weight.grad.clone() for name, weight in engine.network.named_parameters() if weight.grad is not None}
    engine.network.zero_grad()
    return found, loss.item()


class Rows(Dataset[dict[str, Any]]):
    def __init__(self, rows: list[TokenRow]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        row = self._rows[number]
        ids = torch.from_numpy(row.token_ids).long()
        return {"input_ids": ids, "labels": torch.where(torch.from_numpy(row.trained), ids, -100)}


def padded(rows: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    fill = torch.nn.utils.rnn.pad_sequence
    ids = fill([row["input_ids"] for row in rows], batch_first=True, padding_value=256)
    labels = fill([row["labels"] for row in rows], batch_first=True, padding_value=-100)
    mask = fill([torch.ones_like(row["input_ids"]) for row in rows], batch_first=True)
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}


class Catcher(TrainerCallback):
    def __init__(self) -> None:
        self.gradients: Gradients = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        model: PreTrainedModel = kwargs["model"]
        self.gradients = {
            name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None
        }


def stock_gradients(model: Path, rows: list[TokenRow], folder: Path, accumulation: int) -> tuple[Gradients, float]:
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=1, per_device_train_batch_size=len(rows) // accumulation,
        gradient_accumulation_steps=accumulation, max_grad_norm=0.0, use_cpu=True, save_strategy="no", report_to=[],
        disable_tqdm=True, logging_strategy="no", dataloader_pin_memory=False,
    )  # fmt: skip
    catcher = Catcher()
    trainer = Trainer(
        model=AutoModelForCausalLM.from_pretrained(model), args=arguments, train_dataset=Rows(rows),
        data_collator=padded, callbacks=[catcher],
    )  # fmt: skip
    loss = trainer.train().training_loss
    return catcher.gradients, loss


@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("accumulation", [1, 4])
def test_the_gradient_of_a_step_equals_that_of_the_stock_trainer(
    engine: BattleTrainer, tiny_model: Path, tmp_path: Path, turns: int, accumulation: int
) -> None:
    """fp32, rtol 1e-5, with one micro-batch and with many."""
    rows = token_rows(tiny_model, tmp_path, [chat(seed, turns=turns) for seed in range(12)])
    assert len({len(row.token_ids) for row in rows}) > 5
    wanted, stock_loss = stock_gradients(tiny_model, rows, tmp_path / "stock", accumulation)
    for budget in (200, 10**6):
        batches = make_micro_batches(rows, token_budget=budget, pad_id=256, device=torch.device("cpu"))
        assert (len(batches) > 3) is (budget == 200)
        found, loss = our_gradients(engine, rows, micro_batch_tokens=budget)
        assert loss == pytest.approx(stock_loss, rel=1e-5)
        assert found.keys() == wanted.keys()
        for name, gradient in wanted.items():
            torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6 * float(gradient.abs().max()))


def test_a_step_applies_the_rates_of_its_own_quest(engine: BattleTrainer, tiny_model: Path, tmp_path: Path) -> None:
    """A19: a decayed learning rate was restored from the checkpoint."""
    rows = token_rows(tiny_model, tmp_path, [chat(1)])
    assert engine.optimizer is not None
    for group in engine.optimizer.param_groups:
        group["lr"] = 0.0
    our_gradients(engine, rows, weight_decay=0.25)
    assert [group["lr"] for group in engine.optimizer.param_groups] == [1e-3, 1e-3]
    assert [group["weight_decay"] for group in engine.optimizer.param_groups] == [0.25, 0.0]


@pytest.mark.parametrize("max_norm", [1e-3, 1e9], ids=["clipped", "small-enough"])
def test_gradients_are_clipped_bit_for_bit_as_torch_does(
    engine: BattleTrainer, tiny_model: Path, tmp_path: Path, max_norm: float
) -> None:
    plan = StepPlan(
        ordinal=1, quest_step=0, rows=token_rows(tiny_model, tmp_path, [chat(1), chat(2)]),
        settings=settings(max_grad_norm=max_norm), learning_rate=1e-3, learn=True,
    )  # fmt: skip
    loss = engine.training_step(engine.network, plan)
    weights = list(engine.network.parameters())
    copies = [torch.nn.Parameter(weight.detach()) for weight in weights]
    for copy, weight in zip(copies, weights, strict=True):
        assert weight.grad is not None
        copy.grad = weight.grad.clone()
    wanted = torch.nn.utils.clip_grad_norm_(copies, max_norm)
    assert torch.equal(engine._clip_grad_norm(engine.network), wanted)
    assert (plan.loss, plan.grad_norm, plan.dropped) == (loss, wanted.item(), False)
    assert all(torch.equal(one.grad, other.grad) for one, other in zip(weights, copies, strict=True))  # type: ignore[arg-type]


def test_measuring_leaves_random_state_mode_and_gradients_alone(engine: BattleTrainer) -> None:
    """E6: an evaluation changed what training did next."""
    engine.network.train()
    before = torch.get_rng_state()
    first, second = engine.validation_loss(), engine.validation_loss()
    assert first == second
    assert first is not None
    assert first[1] == 8
    assert torch.equal(torch.get_rng_state(), before)
    assert engine.network.training
    assert all(weight.grad is None for weight in engine.network.parameters())


def test_callbacks_that_write_to_stdout_are_gone(engine: BattleTrainer) -> None:
    names = {type(callback).__name__ for callback in engine.callback_handler.callbacks}
    assert names.isdisjoint({"PrinterCallback", "ProgressCallback"})


def test_dropout_depends_on_the_place_of_a_step_in_the_journal_only(dropout_model: Path, tmp_path: Path) -> None:
    """Law 3: a replay leaves out dropped steps and withdrawn quests, which must not shift what comes after them."""
    rows = token_rows(dropout_model, tmp_path, [chat(seed) for seed in range(6)])
    with summoned(dropout_model, tmp_path / "field") as engine:
        first, _ = our_gradients(engine, rows, quest_step=5)
        other, _ = our_gradients(engine, rows, quest_step=6)
        torch.rand(7)
        again, _ = our_gradients(engine, rows, quest_step=5)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)

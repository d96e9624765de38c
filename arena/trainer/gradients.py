"""The gradients of a step, or of the part of one that a process computes by itself: forward and backward passes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from arena.trainer.computing.arithmetic import Computing
from arena.trainer.computing.packing import make_packed_batches
from arena.trainer.row_losses import RowLosses
from arena.trainer.stream.batching import MicroBatch, TokenRow, make_micro_batches
from arena.trainer.stream.counter_random import mixed
from arena.trainer.stream.step_plan import StepPlan
from arena.trainer.target_loss import SummedLoss


def add_gradients(
    plan: StepPlan,
    rows: list[TokenRow],
    share: int,
    *,
    summed_loss: SummedLoss,
    computing: Computing,
    pad_id: int,
    device: torch.device,
    beat: Callable[[], None],
) -> torch.Tensor:
    """Add to `.grad` what `rows` give of the step's mean cross-entropy over all its targets.

    `rows` are those of the step's share number `share`, where it is cut into shares, else all. Returns that part of the
    step's loss and, behind it, the mean of each row of the step (`RowLosses.means`): float32[1 + rows of the step].
    """
    # Dropout must not depend on what ran before: a replay leaves out what was withdrawn or dropped (law 3).
    torch.manual_seed(mixed(plan.settings.seed, plan.ordinal, plan.quest_step, *([share] if share else [])))
    total = torch.zeros((), device=device)
    targets_of = [row.targets for row in plan.rows]
    targets = sum(targets_of)
    row_losses = RowLosses(plan.rows, targets_of, device)
    for micro_batch in _micro_batches(plan, rows, computing, pad_id, device):
        beat()
        with computing.autocast():
            loss = summed_loss(micro_batch) / targets
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
        row_losses.add(micro_batch)
    return torch.cat((total.reshape(1), row_losses.means()))


def _micro_batches(
    plan: StepPlan, rows: list[TokenRow], computing: Computing, pad_id: int, device: torch.device
) -> list[MicroBatch]:
    if computing.packs:
        return make_packed_batches(rows, token_budget=plan.token_budget, device=device)
    return make_micro_batches(
        rows, token_budget=plan.token_budget, pass_tokens=plan.pass_tokens, pad_id=pad_id, device=device
    )

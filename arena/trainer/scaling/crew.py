"""Who makes the steps of the battle: this process alone, or the first of several together with the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from arena.trainer.scaling.company import Company
from arena.trainer.scaling.exchange import Compute, add_up_alone, add_up_together
from arena.trainer.scaling.plans import Drop, Gradients, Replicate, Update
from arena.trainer.scaling.replica import moments_layout, replicate
from arena.trainer.stream.step_plan import StepPlan


class Crew(Protocol):
    """What the engine asks for."""

    def begin(self, network: nn.Module, optimizer: Optimizer) -> None:
        """Weights and moments are loaded; no step is made yet."""

    def add_up(self, plan: StepPlan, weights: Sequence[torch.Tensor], shares: int, compute: Compute) -> torch.Tensor:
        """The gradients of all shares of a step end in `.grad`; returns the numbers of `compute`, added up."""

    def finish(self, plan: StepPlan, norm: float) -> None:
        """It is decided whether the gradients teach; they are not clipped yet, and `norm` is theirs."""


class Alone:
    """The usual one."""

    def begin(self, network: nn.Module, optimizer: Optimizer) -> None:
        pass

    def add_up(self, plan: StepPlan, weights: Sequence[torch.Tensor], shares: int, compute: Compute) -> torch.Tensor:
        return add_up_alone(weights, shares, compute)

    def finish(self, plan: StepPlan, norm: float) -> None:
        pass


class Leader:
    """The first process of a company; what the others do is `scaling.follower`."""

    def __init__(self, company: Company) -> None:
        self._company = company

    def begin(self, network: nn.Module, optimizer: Optimizer) -> None:
        moments = moments_layout(optimizer)
        with self._company.together(Replicate(moments=moments)):
            replicate(network, optimizer, moments, self._company)

    def add_up(self, plan: StepPlan, weights: Sequence[torch.Tensor], shares: int, compute: Compute) -> torch.Tensor:
        with self._company.together(Gradients.of(plan)):
            return add_up_together(weights, shares, compute, self._company, numbers=1 + len(plan.rows))

    def finish(self, plan: StepPlan, norm: float) -> None:
        settings = plan.settings
        if plan.dropped:
            self._company.tell(Drop())
        else:
            self._company.tell(
                Update(
                    learning_rate=plan.learning_rate, weight_decay=settings.weight_decay, norm=norm,
                    max_norm=settings.max_grad_norm,
                )
            )  # fmt: skip

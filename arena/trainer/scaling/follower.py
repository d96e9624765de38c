"""Every process of a trainer but the first: a replica of model and optimizer that does what it is told.

It reads no quests, writes no files and talks to nobody else. It ends when it is sent home, when the first process is
gone, or with an error of its own, for which torchrun then ends all of them.
"""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import torch
from torch.nn.utils import clip_grads_with_norm_
from transformers import Trainer

from arena.trainer.computing.arithmetic import Computing
from arena.trainer.engine import apply_rates, training_arguments
from arena.trainer.gradients import add_gradients
from arena.trainer.healing.out_of_memory import died_of_memory, release_memory
from arena.trainer.scaling.company import Company, PartnerLost
from arena.trainer.scaling.exchange import add_up_together
from arena.trainer.scaling.membership import Membership
from arena.trainer.scaling.plans import Drop, End, Enlist, Gradients, Plan, Replicate, Update
from arena.trainer.scaling.replica import replicate
from arena.trainer.scaling.shares import deal, shares_of
from arena.trainer.summoning import load_hero, quieten_transformers, set_threads
from arena.trainer.target_loss import summed_loss_of
from core.errors import Conflict, RealmError
from core.paths import RealmPaths

logger = logging.getLogger(__name__)

LEFT_TO_THE_FIRST = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""Torchrun passes these on to all; the first process saves, and then sends the others home."""


def follow(paths: RealmPaths, membership: Membership) -> int:
    """Serve until the end; the exit code is 1 after an error of this process' own."""
    told_as = f"process {membership.rank}: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=told_as)
    quieten_transformers()
    if not membership.wait_for_call():
        return 0
    try:
        company = Company(membership)
        for number in LEFT_TO_THE_FIRST:
            signal.signal(number, signal.SIG_IGN)
        _serve(paths, company)
    except PartnerLost as lost:
        logger.warning("%s", lost)
        return 0
    except Exception as error:  # whatever it is, the first process must be able to tell it
        logger.exception("process %d failed", membership.rank)
        reason = str(error) if isinstance(error, RealmError) else f"{type(error).__name__}: {error}"
        membership.note_failure(reason, out_of_memory=died_of_memory(error))
        return 1
    return 0


def _serve(paths: RealmPaths, company: Company) -> None:
    enlist = company.next_plan()
    if not isinstance(enlist, Enlist):
        raise RuntimeError(f"{type(enlist).__name__} before Enlist")
    replica = Replica(paths, enlist, company)
    while not isinstance(plan := company.next_plan(), End):
        replica.obey(plan)


class Replica:
    """Model and optimizer, equal to those of the first process before and after each step."""

    def __init__(self, paths: RealmPaths, enlist: Enlist, company: Company) -> None:
        begin = enlist.begin
        if enlist.device == "cuda" and not torch.cuda.is_available():
            raise Conflict(
                f"there is no CUDA device of its own for each of {company.size} processes.",
                hint="Lower distributed.processes, or set trainer.device to cpu.",
            )
        set_threads(begin)
        checkpoint = Path(enlist.checkpoint) if enlist.checkpoint else None
        # Weights come from the first process, those of adapters too: from which seed they were drawn is no matter here.
        self._network = load_hero(paths, begin, enlist.device, checkpoint, begin.lora).model
        self._network.train()
        self._company = company
        self._computing = Computing(
            self._network, usual=enlist.usual, gradient_checkpointing=enlist.gradient_checkpointing
        )
        self._summed_loss = summed_loss_of(self._network)
        self._pad_id = enlist.pad_id
        # The same optimizer as that of the engine, with the same weights in the same groups.
        arguments = training_arguments(paths.current_model, device=enlist.device, seed=begin.seed)
        self._optimizer: torch.optim.Optimizer = Trainer(model=self._network, args=arguments).create_optimizer()
        company.connect(self._network.device)

    def obey(self, plan: Plan) -> None:
        """Carry out one plan."""
        match plan:
            case Replicate(moments=moments):
                replicate(self._network, self._optimizer, moments, self._company)
            case Gradients():
                self._add_up(plan)
            case Update():
                self._update(plan)
            case Drop():
                self._clear()
            case _:
                raise RuntimeError(f"{type(plan).__name__} was not expected")

    def _add_up(self, told: Gradients) -> None:
        plan = told.step()
        shares = deal(plan.rows, shares_of(plan.settings))
        self._computing.take(plan.settings.arithmetic)

        def compute(share: int) -> torch.Tensor:
            return add_gradients(
                plan, shares[share], share, summed_loss=self._summed_loss, computing=self._computing,
                pad_id=self._pad_id, device=self._network.device, beat=lambda: None,
            )  # fmt: skip

        weights = [weight for weight in self._network.parameters() if weight.requires_grad]
        try:
            add_up_together(weights, len(shares), compute, self._company, numbers=1 + len(plan.rows))
        except MemoryError:
            # The first process makes the step again, with smaller micro-batches.
            release_memory()

    def _update(self, plan: Update) -> None:
        apply_rates(self._optimizer, plan.learning_rate, plan.weight_decay)
        if plan.norm > plan.max_norm:
            clip_grads_with_norm_(list(self._network.parameters()), plan.max_norm, torch.tensor(plan.norm))
        self._optimizer.step()
        self._clear()

    def _clear(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)

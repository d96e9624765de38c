"""The engine: `transformers.Trainer` over the battle's endless stream of steps.

What is overridden, and why: the data loader (never prepared by accelerate, which looks one batch ahead and so makes
the last step of a quest wait for the next quest); the step (a list of micro-batches, loss over targets only); clipping
(it drops gradients that are not finite); saving (staged, hashed, renamed). Everything else is the stock loop.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from msgspec.structs import replace
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer
from torch.utils.data import DataLoader, IterableDataset
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerControl,
    TrainingArguments,
)

from arena.protocol import Arithmetic, Begin, QuestSettings
from arena.supervision.position_file import Phase
from arena.trainer.battle import Battle
from arena.trainer.computing.arithmetic import Computing
from arena.trainer.computing.pass_trial import ROW_TOKENS, Trial, settle_pass_size
from arena.trainer.generation import Manner, answer
from arena.trainer.gradients import add_gradients
from arena.trainer.healing.out_of_memory import OutOfMemory, release_memory, unless_out_of_memory
from arena.trainer.saving.copying import Copier
from arena.trainer.saving.snapshot import EngineState, take_engine_state
from arena.trainer.scaling.company import Company
from arena.trainer.scaling.crew import Alone, Crew, Leader
from arena.trainer.scaling.plans import Enlist
from arena.trainer.scaling.shares import deal, shares_of
from arena.trainer.stream.step_plan import StepPlan
from arena.trainer.target_loss import summed_loss_of

ENDLESS = 10**12
"""Steps of the one `train()` call; the stream ends it, not this number."""


Evaluation = Callable[["BattleTrainer"], tuple[float, int] | None]


class QuestStream(IterableDataset[StepPlan]):
    """The battle's steps as a torch data set; single use, in the main process."""

    def __init__(self, battle: Battle, begin: Callable[[], None], control: Callable[[], TrainerControl]) -> None:
        self._battle = battle
        self._begin = begin
        self._control = control

    def __iter__(self) -> Iterator[StepPlan]:
        self._begin()
        yield from self._battle.steps()
        # A stream that just ends lets the Trainer spin through all of `max_steps`.
        self._control().should_training_stop = True


def training_arguments(output_dir: Path, *, device: str, seed: int) -> TrainingArguments:
    """Arguments of the endless `train()` call; what varies per quest is applied at each step instead."""
    return TrainingArguments(
        output_dir=str(output_dir),
        max_steps=ENDLESS,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=1,
        ignore_data_skip=True,
        optim="adamw_torch_fused",
        lr_scheduler_type="constant",
        use_cpu=device == "cpu",
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=False,
    )


def apply_rates(optimizer: Optimizer, learning_rate: float, weight_decay: float) -> None:
    """Of the next step; norms and biases never decay."""
    decaying, constant = optimizer.param_groups
    decaying["lr"] = constant["lr"] = learning_rate
    decaying["weight_decay"] = weight_decay


class BattleTrainer(Trainer):
    """One training loop for daemon and one-off runs alike."""

    def __init__(
        self,
        *,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        args: TrainingArguments,
        computing: Computing,
        battle: Battle,
        evaluation: Evaluation,
    ) -> None:
        super().__init__(model=model, args=args, processing_class=tokenizer)
        # Both write to stdout, which is a log here.
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.network = model
        self.tokenizer = tokenizer
        self.summed_loss = summed_loss_of(model)
        self._computing = computing
        self._battle = battle
        self._evaluation = evaluation
        self._crew: Crew = Alone()
        self._plan: StepPlan | None = None
        self._copier = Copier()
        battle.situation.arms = self

    def lead(self, company: Company, begin: Begin) -> None:
        """Make the steps together with these processes; called before `train`, and followed by it."""
        self._crew = Leader(company)
        enlist = Enlist(
            begin=replace(begin, open_quests=[]), checkpoint=self._battle.resume_from, device=self.args.device.type,
            usual=self.usual, gradient_checkpointing=self._computing.gradient_checkpointing,
            pad_id=self.pad_id(),
        )  # fmt: skip
        with company.together(enlist):
            company.connect(self.args.device)

    # --- what the battle asks for (situation.Arms) ----------------------------------------------------------------

    @property
    def global_step(self) -> int:
        step: int = self.state.global_step
        return step

    @property
    def usual(self) -> Arithmetic:
        """How the steps of new claims are computed."""
        return self._computing.usual

    def snapshot(self, *, in_place: bool) -> EngineState:
        if self.optimizer is None:
            raise RuntimeError("a save before the optimizer was made")
        return take_engine_state(
            network=self.network, tokenizer=self.tokenizer, optimizer=self.optimizer, scheduler=self.lr_scheduler,
            trainer_state=self.state, in_place=in_place, copier=self._copier,
        )  # fmt: skip

    def validation_loss(self) -> tuple[float, int] | None:
        return self._evaluation(self)

    def answers(
        self, prompts: Sequence[Sequence[int]], manner: Manner, arithmetic: Arithmetic | None
    ) -> list[list[int] | None]:
        """What the model writes after each prompt, computed as far as may be as a step of this arithmetic."""
        with self._computing.plainly(arithmetic):
            return answer(self.network, prompts, dataclasses.replace(manner, autocast=self.arithmetic))

    def settle(self, settings: QuestSettings) -> QuestSettings:
        """With what a claim says that the settings leave to the trainer."""
        if self.args.output_dir is None:
            raise RuntimeError("a trainer without a directory")
        # The quest before may be one of a replay, computed otherwise.
        self._computing.take(self.usual)
        begun = self.optimizer is not None and self.optimizer.state
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        trial = Trial(
            self.network, self.summed_loss, self.arithmetic, self.beat,
            packs=self._computing.packs, compiled=self.usual.compiled,
            row_tokens=min(ROW_TOKENS, settings.max_length),
            moments_bytes=0 if begun else 2 * sum(weight.nbytes for weight in trained),
        )  # fmt: skip
        settled = settle_pass_size(settings, Path(self.args.output_dir), trial)
        return replace(settled, arithmetic=self.usual)

    # --- overridden parts of the training loop -------------------------------------------------------------------

    def get_train_dataloader(self) -> DataLoader[StepPlan]:
        # A generator of its own: `iter(DataLoader)` draws from the global one otherwise, and resume differs.
        return DataLoader(
            QuestStream(self._battle, self._begin, lambda: self.control),
            batch_size=None,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # typed for batches, called with single items
            generator=torch.Generator(),
        )

    def training_step(  # type: ignore[override]  # a step is a plan of rows here, not a dict of tensors
        self, model: torch.nn.Module, inputs: StepPlan, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Gradients of the mean cross-entropy over all targets of the step; returns that mean, detached."""
        if not model.training:
            model.train()
        self._plan = inputs
        self._apply_rates(inputs)
        self._compute_as(inputs.settings.arithmetic)
        nothing = torch.zeros((), device=self.args.device)
        if not inputs.learn:
            return nothing
        attempt = partial(self._gradients, inputs)
        while isinstance(outcome := unless_out_of_memory(attempt), OutOfMemory):
            model.zero_grad(set_to_none=True)
            release_memory()
            if not self._battle.healer.halve(inputs, outcome.message):
                return nothing
        inputs.loss, inputs.row_losses = outcome[0], outcome[1:]
        return inputs.loss

    def _compute_as(self, arithmetic: Arithmetic | None) -> None:
        if not self._computing.has_to_compile(arithmetic):
            self._computing.take(arithmetic)
            return
        # A compiler gives no sign of life, and no quest is to blame for it (ADR 0013).
        self._battle.situation.note(Phase.WAITING)
        self._computing.take(arithmetic)
        self._battle.situation.note(Phase.STEPPING)

    def _begin(self) -> None:
        """All is loaded, and the first step is about to be made."""
        if self.optimizer is None:
            raise RuntimeError("a battle before the optimizer was made")
        self._crew.begin(self.network, self.optimizer)

    def _gradients(self, plan: StepPlan) -> torch.Tensor:
        """Forward and backward of the whole step, from its first micro-batch on; returns as `add_gradients`."""
        shares = deal(plan.rows, shares_of(plan.settings))

        def compute(share: int) -> torch.Tensor:
            return add_gradients(
                plan, shares[share], share, summed_loss=self.summed_loss, computing=self._computing,
                pad_id=self.pad_id(), device=self.args.device, beat=self.beat,
            )  # fmt: skip

        weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        return self._crew.add_up(plan, weights, len(shares), compute)

    def beat(self) -> None:
        """A sign of life in the midst of a step or an evaluation (ADR 0013)."""
        self._battle.situation.position.beat()

    def _apply_rates(self, plan: StepPlan) -> None:
        """The quest's own rates beat whatever a checkpoint or the scheduler put there (A19)."""
        if self.optimizer is None:
            raise RuntimeError("a step before the optimizer was made")
        apply_rates(self.optimizer, plan.learning_rate, plan.settings.weight_decay)

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Autocast of the precision of the quest; weights stay fp32."""
        return self._computing.autocast()

    def _clip_grad_norm(self, model: torch.nn.Module) -> torch.Tensor:
        """Clip to the quest's norm; gradients that must not teach are dropped, and so is the optimizer's step."""
        plan = self._plan
        if plan is None:
            raise RuntimeError("clipping without a step")
        weights = list(model.parameters())
        norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
        if plan.loss is not None and plan.row_losses is not None:
            # The one time in a step that the device is waited for: what follows needs these numbers here.
            told = torch.cat((plan.loss.reshape(1), norm.reshape(1), plan.row_losses)).cpu()
            plan.loss, norm, plan.row_losses = told[0], told[1], told[2:]
        size = norm.item()
        self._battle.healer.judge(plan, size)
        self._crew.finish(plan, size)
        if plan.dropped:
            # Without gradients AdamW leaves weights and moments alone.
            model.zero_grad(set_to_none=True)
        elif size > plan.settings.max_grad_norm:
            clip_grads_with_norm_(weights, plan.settings.max_grad_norm, norm)
        return norm

    def _get_num_items_in_batch(self, batch_samples: list[StepPlan], device: torch.device) -> None:
        """Not counted here: `training_step` divides by the targets itself."""

    def floating_point_ops(self, inputs: object) -> int:
        return 0

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        """The model was loaded from this checkpoint already."""

    def pad_id(self) -> int:
        """The token that fills up shorter rows."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id or 0)


def _as_it_is(plan: StepPlan) -> StepPlan:
    return plan

"""Fits a model to its machine when a trainer starts: how it is computed, what that takes, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from transformers import PreTrainedModel

from arena.disk.gauge import megabytes
from arena.journal import ClaimEntry
from arena.memory.estimate import MemoryEstimate, fits, fitting_estimate, with_measured_pass
from arena.memory.model_sizes import sizes_from, with_adapters
from arena.protocol import Begin, QuestSettings
from arena.trainer.adapters import adapted_matrices, count_trained
from arena.trainer.computing.arithmetic import Computing, why_not_compiled
from arena.trainer.computing.capability import Capability
from arena.trainer.computing.compiling import CompiledLayers
from arena.trainer.computing.settling import Wishes, check_claims, settle, told
from arena.trainer.computing.suitability import why_not_packed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What a trainer goes on with."""

    computing: Computing
    estimate: MemoryEstimate | None
    """None when the sizes of the model are not known."""

    @property
    def told(self) -> str:
        """For people."""
        needs = self.estimate.told if self.estimate else "an unknown amount of memory"
        return f"computing in {told(self.computing.usual)}; a step takes up to {needs}"


def fit(
    begin: Begin,
    current_model: Path,
    model: PreTrainedModel,
    machine: Capability,
    claims: Iterable[ClaimEntry],
    tell: Callable[[str, str], None],
) -> Fitted:
    """Settle everything; `claims` are those of the journal that are to be made again.

    `tell` takes the kind of an event and a sentence. Raises `Conflict` for a claim that cannot be computed as it says.
    """
    obstacle = lru_cache(partial(why_not_packed, model))
    layers = CompiledLayers(model)
    compiling = partial(why_not_compiled, model, layers)
    check_claims(claims, machine, obstacle, compiling)
    wishes = Wishes(begin.fp_precision, begin.packing, begin.tf32, begin.processes, begin.compile)
    arithmetic, notes = settle(wishes, machine, obstacle, compiling)
    if begin.compile and not arithmetic.compiled:
        # An event: whoever has wished for it waits for the speed.
        tell("not_compiled", f"{notes.pop()}; training goes on without it.")
    always = begin.gradient_checkpointing == "always"
    if always and not model.supports_gradient_checkpointing:
        notes.append("trainer.gradient_checkpointing is left out, as the model does not know it")
    for note in notes:
        logger.warning(note, extra={"event": "computed_otherwise"})
    estimate = _estimate(begin, with_measured_pass(begin.defaults, current_model), model, machine)
    if estimate is not None and not fits(estimate, machine.free_bytes, held=True):
        free = megabytes(machine.free_bytes)
        message = (
            f"A step may not fit into memory: it takes up to {estimate.told}, and {free} are free beside the weights. "
            "Should it not, it is made in smaller parts; trainer.micro_batch_tokens and hyperparams.max_length "
            "decide how large they are."
        )
        tell("memory_short", message)
    by_wish = always and model.supports_gradient_checkpointing
    checkpointing = estimate.gradient_checkpointing if estimate else by_wish
    computing = Computing(model, usual=arithmetic, gradient_checkpointing=checkpointing, layers=layers)
    fitted = Fitted(computing, estimate)
    logger.info(
        "%s", fitted.told,
        extra={"event": "computing", "expected_bytes": estimate.total if estimate else None},
    )  # fmt: skip
    return fitted


def _estimate(
    begin: Begin, settings: QuestSettings, model: PreTrainedModel, machine: Capability
) -> MemoryEstimate | None:
    parameters = sum(weight.numel() for weight in model.parameters())
    adapters = count_trained(model) if begin.lora else 0
    sizes = sizes_from(model.config.to_dict(), parameters - adapters)
    if sizes is None:
        return None
    if begin.lora is not None:
        sizes = with_adapters(sizes, adapted_matrices(model), begin.lora)
    wish = begin.gradient_checkpointing if model.supports_gradient_checkpointing else "never"
    return fitting_estimate(
        sizes, settings, precision=begin.fp_precision, wish=wish, free_bytes=machine.free_bytes, held=True
    )

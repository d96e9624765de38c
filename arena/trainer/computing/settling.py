"""From what the settings wish to what is done: settled once per trainer, by machine and model.

New claims get the settled arithmetic written down. A claim of the journal is computed as it says, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from arena.journal import ClaimEntry
from arena.protocol import Arithmetic
from arena.trainer.computing.capability import Capability
from arena.trainer.computing.packing import PADDED
from core.errors import Conflict

Obstacle = Callable[[str, str], str | None]
"""Why a model cannot be trained with an attention in a precision; None when it can."""
CompilingObstacle = Callable[[Arithmetic], str | None]
"""Why no kernels can be made for a model and an arithmetic that wants them; None when they are made."""


@dataclass(frozen=True)
class Wishes:
    """What the settings say; see `core.settings.TrainerSettings`."""

    precision: str
    packing: str = "never"
    tf32: bool = False
    shares: int = 1
    compile: bool = False


def settle(
    wishes: Wishes, machine: Capability, obstacle: Obstacle, compiling: CompilingObstacle = lambda arithmetic: None
) -> tuple[Arithmetic, list[str]]:
    """How new claims are computed, and what is not as it was wished, for people."""
    notes = []
    if wishes.precision == "bf16" and not machine.bf16:
        notes.append(f"{machine.name} has no instructions for bf16: it is computed, but slower than fp32")
    if wishes.tf32 and not machine.tf32:
        notes.append(f"trainer.tf32 is left out, as {machine.name} has no TF32")
    attention, why = _attention(wishes, machine, obstacle)
    if why is not None:
        notes.append(why)
    arithmetic = Arithmetic(
        precision=wishes.precision, tf32=wishes.tf32 and machine.tf32, attention=attention, shares=wishes.shares
    )
    if wishes.compile:
        compiled = replace(arithmetic, compiled=True)
        why = machine.uncompilable or compiling(compiled)
        if why is None:
            return compiled, notes
        notes.append(f"trainer.compile is left out: {why}")
    return arithmetic, notes


def _attention(wishes: Wishes, machine: Capability, obstacle: Obstacle) -> tuple[str, str | None]:
    if wishes.packing == "never":
        return PADDED, None
    why = None
    if machine.varlen and wishes.precision == "bf16":
        why = obstacle("varlen", wishes.precision)
        if why is None:
            return "varlen", None
    # A call for each row costs a CPU less than padding does; a GPU waits for as many kernels in each layer.
    if wishes.packing == "always" or machine.device == "cpu":
        why = obstacle("rows", wishes.precision)
        if why is None:
            return "rows", None
    return PADDED, f"rows are padded, not packed: {why}" if why else None


def check_claims(
    claims: Iterable[ClaimEntry],
    machine: Capability,
    obstacle: Obstacle,
    compiling: CompilingObstacle = lambda arithmetic: None,
) -> None:
    """Raise `Conflict` for the first claim that is to be made again and cannot be computed here as it was before."""
    for claim in claims:
        arithmetic = claim.settings.arithmetic
        if arithmetic is None:
            continue
        why = None
        if arithmetic.tf32 and not machine.tf32:
            why = f"{machine.name} has no TF32"
        elif arithmetic.attention == "varlen" and not machine.varlen:
            why = f"torch has no attention kernel for packed rows on {machine.name}"
        elif arithmetic.attention != PADDED:
            why = obstacle(arithmetic.attention, arithmetic.precision)
        if why is None and arithmetic.compiled:
            why = machine.uncompilable or compiling(arithmetic)
        if why is not None:
            raise Conflict(
                f"{claim.name} is to be learned again as its claim says ({told(arithmetic)}), but {why}.",
                hint="Start the trainer on the machine that it trained on, or give up what no checkpoint holds with "
                "`realm rewind latest --requeue`.",
            )


def told(arithmetic: Arithmetic) -> str:
    """For people: `bf16, packed rows (varlen)`."""
    rows = "padded rows" if arithmetic.attention == PADDED else f"packed rows ({arithmetic.attention})"
    more = ["compiled"] if arithmetic.compiled else []
    more += [f"{arithmetic.shares} shares a step"] if arithmetic.shares > 1 else []
    return ", ".join([arithmetic.precision, *(["TF32"] if arithmetic.tf32 else []), rows, *more])

"""A model as a claim wants it computed: precision, attention and multiplication, switched between two steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from msgspec.structs import replace
from transformers import PreTrainedModel

from arena.protocol import Arithmetic
from arena.trainer.computing.attention import implementation_of
from arena.trainer.computing.compiling import CannotCompile, CompiledLayers
from arena.trainer.computing.packing import PADDED, is_packed


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Forward passes in this precision; weights stay fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


class Computing:
    """One per trainer, around its model."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        usual: Arithmetic,
        gradient_checkpointing: bool = False,
        layers: CompiledLayers | None = None,
    ) -> None:
        """`layers` are those of the model, if kernels may have been made for them already; raises `CannotCompile`."""
        self._model = model
        self._layers = layers or CompiledLayers(model)
        self.usual = usual
        """Of new claims; in force until another one is taken."""
        self._of_padded = model.config._attn_implementation
        self.gradient_checkpointing = gradient_checkpointing
        if gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        self._now = Arithmetic()
        self.take(usual)

    @property
    def packs(self) -> bool:
        """Whether rows lie behind each other now."""
        return is_packed(self._now)

    def take(self, arithmetic: Arithmetic | None) -> None:
        """Compute so from now on; None, as in claims of before, is plain and in the usual precision.

        Raises `CannotCompile` where there are to be kernels, and none can be made.
        """
        wanted = arithmetic or Arithmetic(precision=self.usual.precision)
        if (wanted.attention, wanted.compiled) != (self._now.attention, self._now.compiled):
            own = is_packed(wanted)
            name = implementation_of(wanted.attention, apart=wanted.compiled) if own else self._of_padded
            self._model.set_attn_implementation(name)
        # One switch for the whole process, which has one model.
        torch.backends.cuda.matmul.fp32_precision = "tf32" if wanted.tf32 else "ieee"
        before, self._now = self._now, wanted
        if wanted.compiled:
            self._layers.use(wanted, self.autocast)
        elif before.compiled:
            self._layers.leave()

    @contextmanager
    def plainly(self, arithmetic: Arithmetic | None) -> Iterator[None]:
        """Within the block, compute in this precision as any model does: rows side by side, and without kernels."""
        before, like = self._now, arithmetic or Arithmetic(precision=self.usual.precision)
        self.take(replace(like, attention=PADDED, compiled=False))
        try:
            yield
        finally:
            self.take(before)

    def has_to_compile(self, arithmetic: Arithmetic | None) -> bool:
        """Whether `take` would make kernels, which takes up to minutes."""
        return arithmetic is not None and arithmetic.compiled and not self._layers.are_made_for(arithmetic)

    def autocast(self) -> AbstractContextManager[Any]:
        """For forward passes."""
        return autocast(self._now.precision, self._model.device)


def why_not_compiled(model: PreTrainedModel, layers: CompiledLayers, arithmetic: Arithmetic) -> str | None:
    """None when there are kernels for it now, else the reason; the model is left without them."""
    computing = Computing(model, usual=Arithmetic(), layers=layers)
    try:
        computing.take(arithmetic)
    except CannotCompile as error:
        return error.message
    finally:
        computing.take(Arithmetic())
    return None

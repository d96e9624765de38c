"""Layers of a model run by kernels that torch.compile has made for an arithmetic.

Kernels follow the first shapes that they are made for, and the order of shapes is not the same after a restart. So all
of them are made before the first step, over the same few batches each time, and nothing is compiled after that: a shape
that they do not take is computed without them. What a batch comes to depends on the batch alone (ADR 0021).
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from msgspec.structs import replace
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from arena.protocol import Arithmetic
from arena.trainer.computing.packing import is_packed, pack
from arena.trainer.computing.pass_trial import left_as_it_was
from arena.trainer.healing.out_of_memory import is_out_of_memory
from arena.trainer.stream.batching import FEWEST_PASSES, MicroBatch, TokenRow, make_micro_batches
from core.errors import Conflict, first_line

logger = logging.getLogger(__name__)

BACKEND: str | Callable[..., Any] = "inductor"
OPTIONS: dict[str, str | int | bool | Callable[..., Any]] = {
    "deterministic": True,  # no choice by stopwatch
    "fallback_random": True,  # dropout draws what it draws without kernels
    "fx_graph_cache": False,  # another program may have filled it, over other shapes
    "compile_threads": 1,  # else there are processes of its own, which stay
}
PACKED_ROWS = ((*(17,) * 10, 23),)
PADDED_ROWS = ((31,) * 11, (31,))
"""Lengths of the rows of each batch that kernels are made over. One row is a shape of its own to torch. Neither lengths
nor sums are sizes that models have: torch takes equal numbers for the same number."""
OTHER_PACKED_ROWS, OTHER_PADDED_ROWS = (*(13,) * 5, 29), (19,) * 7
"""What they must take then."""


class CannotCompile(Conflict):
    """There is no way to make kernels here, or none that fit more than one shape."""


class CompiledLayers:
    """Of one model; kernels are kept for the arithmetic that they were last made for."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
        self._made_for: Arithmetic | None = None
        self._kernels: dict[type[nn.Module], Callable[..., Any]] = {}

    def use(self, arithmetic: Arithmetic, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        """Have the layers run by kernels, which are made first if need be; raises `CannotCompile`.

        The model has its attention and the machine its precision already; `autocast` is entered for forward passes.
        """
        if self.are_made_for(arithmetic):
            self._attach()
            return
        if not self._layers:
            raise CannotCompile("transformers knows no layers of this model")
        self._made_for = None
        began = time.monotonic()
        try:
            self._make(is_packed(arithmetic), autocast)
        except Exception as error:  # whatever torch, a compiler or the machine makes of it
            self.leave()
            if is_out_of_memory(error):
                raise
            raise CannotCompile(_innermost(error)) from error
        self._made_for = arithmetic
        logger.info("kernels were made in %.0f s", time.monotonic() - began, extra={"event": "kernels_made"})

    def are_made_for(self, arithmetic: Arithmetic) -> bool:
        """Whether there are kernels for it; into how many shares a step is cut is no matter to them."""
        return self._made_for is not None and replace(self._made_for, shares=arithmetic.shares) == arithmetic

    def leave(self) -> None:
        """Compute without kernels."""
        for layer in self._layers:
            vars(layer).pop("forward", None)

    def _attach(self) -> None:
        for layer in self._layers:
            layer.forward = _around(layer, self._kernels[type(layer)])

    def _make(self, packed: bool, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        torch.compiler.set_stance("default")
        # What was compiled before must not matter.
        torch.compiler.reset()
        self._kernels.clear()
        options = OPTIONS if BACKEND == "inductor" else None
        for layer in self._layers:
            # What transformers has put around it checkpoints gradients, which is done around the kernels here.
            plain = cast(Any, type(layer).forward).__wrapped__
            kind: type[nn.Module] = type(layer)
            if kind not in self._kernels:
                self._kernels[kind] = torch.compile(plain, backend=BACKEND, dynamic=True, options=options)
        self._attach()
        with left_as_it_was(self._model), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler touches what users should not
            for batch in self._batches(packed, PACKED_ROWS if packed else PADDED_ROWS):
                self._pass(batch, autocast)
            torch.compiler.set_stance("fail_on_recompile")
            for batch in self._batches(packed, [OTHER_PACKED_ROWS if packed else OTHER_PADDED_ROWS]):
                self._pass(batch, autocast)
        torch.compiler.set_stance("eager_on_recompile")

    def _batches(self, packed: bool, lengths: Sequence[Sequence[int]]) -> Iterator[MicroBatch]:
        device, vocabulary = self._model.device, self._model.config.get_text_config().vocab_size
        for each in lengths:
            ids = [np.arange(length, dtype=np.int32) % vocabulary for length in each]
            rows = [TokenRow(line=1, token_ids=own, trained=np.ones(len(own), dtype=bool)) for own in ids]
            if packed:
                yield pack(rows, device)
            else:
                yield from make_micro_batches(rows, token_budget=FEWEST_PASSES, pad_id=0, device=device)

    def _pass(self, batch: MicroBatch, autocast: Callable[[], AbstractContextManager[Any]]) -> None:
        with autocast():
            hidden = self._model.base_model(input_ids=batch.input_ids, use_cache=False, **batch.layout)
        hidden.last_hidden_state.float().sum().backward()


def _around(layer: GradientCheckpointingLayer, kernels: Callable[..., Any]) -> Callable[..., Any]:
    """The layer's forward pass. What checkpoints gradients stays around the kernels, and calls them again."""

    def forward(*inputs: Any, **told: Any) -> Any:
        if layer.gradient_checkpointing and layer.training:
            again = cast(Callable[..., Any], layer._gradient_checkpointing_func)
            return again(partial(kernels, layer, **told), *inputs)
        return kernels(layer, *inputs, **told)

    return forward


def _innermost(error: Exception) -> str:
    """What went wrong at first, in the words of whoever said it."""
    while isinstance(inner := getattr(error, "inner_exception", None), Exception):
        error = inner
    return first_line(error)

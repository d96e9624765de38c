"""Makes model and optimizer of the other processes equal to those of the first, which alone has read the moments."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.optim import Optimizer

from arena.trainer.scaling.company import Company
from arena.trainer.scaling.plans import TensorLayout


def moments_layout(optimizer: Optimizer) -> list[list[TensorLayout]]:
    """What the optimizer knows of each weight, in its own order."""
    return [
        [
            TensorLayout(name, str(value.dtype).removeprefix("torch."), list(value.shape))
            for name, value in sorted(optimizer.state.get(weight, {}).items())
        ]
        for weight in _weights(optimizer)
    ]


def replicate(network: nn.Module, optimizer: Optimizer, layout: list[list[TensorLayout]], company: Company) -> None:
    """Send, or take in, all weights, buffers and moments; all processes at the same time."""
    for tensor in (*network.parameters(), *network.buffers()):
        company.broadcast(tensor.data)
    for weight, known in zip(_weights(optimizer), layout, strict=True):
        for each in known:
            state = optimizer.state[weight]
            if company.rank:
                state[each.name] = torch.empty(each.shape, dtype=getattr(torch, each.type), device=weight.device)
            company.broadcast(state[each.name])


def _weights(optimizer: Optimizer) -> Iterator[torch.Tensor]:
    for group in optimizer.param_groups:
        yield from group["params"]

"""Two checkpoints side by side, tensor by tensor and bit by bit: the model's weights, and the optimizer's moments.

No more than two tensors are in memory at a time, so that what could be trained can also be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from safetensors import safe_open

from core.checkpoint_survey import OPTIMIZER_FILE
from vault.weights import weight_files, weights_digest

Tensors = Mapping[str, Callable[[], torch.Tensor]]
"""How to get each tensor, by its name, in the order in which they are compared."""


def compare(first: Path, second: Path) -> dict[str, Any]:
    """`{weights, optimizer}` of two checkpoint directories, each as `_compared` tells it.

    `weights` is hashed as the journal does it (`vault.weights`). Raises `InvalidInput` and `OSError` for files that
    are missing or torn.
    """
    weights = _compared(_weights(first), _weights(second))
    weights["digests"] = [weights_digest(first), weights_digest(second)]
    one, other = _moments(first), _moments(second)
    return {"weights": weights, "optimizer": {**_compared(one, other), "digests": [_digest(one), _digest(other)]}}


def _compared(first: Tensors, second: Tensors) -> dict[str, Any]:
    """Numbers are null where they are not finite, or where the shapes have nothing in common.

    Keys: `tensors` (how many there are), `first_difference` (name of the first one that differs by a bit or is missing
    on one side; None when there is none), `difference` (largest absolute difference in it), `largest_difference` (of
    all).
    """
    unlike: dict[str, float | None] = {}
    for name in [*first, *(name for name in second if name not in first)]:
        if name not in first or name not in second:
            unlike[name] = None
            continue
        one, other = first[name](), second[name]()
        if one.shape != other.shape or one.dtype != other.dtype:
            unlike[name] = None
        elif not torch.equal(_bits(one), _bits(other)):
            unlike[name] = _finite((one.double() - other.double()).abs().max().item())
    sizes = list(unlike.values())
    return {
        "tensors": len(first.keys() | second.keys()),
        "first_difference": next(iter(unlike), None),
        "difference": next(iter(sizes), 0.0),
        "largest_difference": None if None in sizes else max((size for size in sizes if size is not None), default=0.0),
    }


def _weights(folder: Path) -> Tensors:
    found: dict[str, Callable[[], torch.Tensor]] = {}
    for file in weight_files(folder):
        handle = safe_open(file, framework="pt")
        names: list[str] = list(handle.keys())  # type: ignore[no-untyped-call]
        found.update((name, partial(handle.get_tensor, name)) for name in names)
    return found


def _moments(folder: Path) -> Tensors:
    """What the optimizer keeps of each parameter; they are numbered in its own order."""
    # Mapped, not read: moments take twice the room of the weights.
    state = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True, mmap=True)["state"]
    return {
        f"{kind} of parameter {number}": partial(_as_tensor, value)
        for number, kept in sorted(state.items())
        for kind, value in sorted(kept.items())
    }


def _as_tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.tensor(value)


def _digest(tensors: Tensors) -> str:
    digest = blake3(max_threads=blake3.AUTO)
    for name, tensor in tensors.items():
        digest.update(name.encode())
        digest.update(_bits(tensor()).numpy().data)
    return digest.hexdigest()


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """Its bytes: NaN is no less equal to itself than any other number."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None

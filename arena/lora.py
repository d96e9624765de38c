"""LoRA as a hero's file and the journal tell of it, without torch: its name, what it trains, and whether peft is here.

A LoRA hero trains adapters of low rank beside frozen weights (Hu et al. 2021, arXiv:2106.09685): gradients and moments
are those of the adapters alone. What kind of adapter it is stands in the first line of the journal (ADR 0018).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from msgspec.structs import replace
from packaging.version import Version

from arena.protocol import Lora
from core.errors import Unavailable
from vault.weights import Shapes

OLDEST_PEFT = "0.21"
"""As pyproject.toml asks for."""

INSTALL = "Install it in the checkout: `.venv/bin/pip install -c constraints.txt -e '.[lora]'`."

Matrix = tuple[int, int]
"""Outputs and inputs of a linear layer."""


def check_peft() -> None:
    """Raise `Unavailable` with the command that installs it, where peft is missing or too old; imports nothing."""
    try:
        here = find_spec("peft") is not None
        found = version("peft") if here else None
    except (ImportError, PackageNotFoundError):
        found = None
    if found is None:
        raise Unavailable("The hero trains with LoRA, and the package peft is not installed.", hint=INSTALL)
    if Version(found) < Version(OLDEST_PEFT):
        raise Unavailable(f"The hero trains with LoRA, and peft {found} is older than {OLDEST_PEFT}.", hint=INSTALL)


def same_kind(one: Lora | None, other: Lora | None) -> bool:
    """True when both train the same adapters; from which numbers these begin is not looked at."""
    if one is None or other is None:
        return one is other
    return replace(one, seed=other.seed) == other


def told(lora: Lora | None) -> str:
    """For people; the same words for the same kind, and others for any other."""
    if lora is None:
        return "no LoRA"
    layers = "all linear layers" if lora.target_modules is None else ", ".join(lora.target_modules)
    scaled = "alpha {} by the root of the rank" if lora.rslora else "alpha {}"
    dropout = f", dropout {lora.dropout}" if lora.dropout else ""
    return f"LoRA of rank {lora.rank} ({scaled.format(lora.alpha)}{dropout}; {layers})"


def adapted_matrices(shapes: Shapes, lora: Lora) -> list[Matrix]:
    """The linear layers that get an adapter, by the shapes of a base model's tensors.

    Without the model at hand these are its matrices within numbered layers: embeddings and the output layer stand
    outside of them. Linear layers that a model keeps in some other way are not counted.
    """
    return [
        (shape[0], shape[1])
        for name, shape in shapes.items()
        if len(shape) == 2 and _is_adapted(name.removesuffix(".weight"), lora)
    ]


def count_trained(matrices: Iterable[Matrix], rank: int) -> int:
    """Numbers in all adapters: each layer has one matrix down to the rank and one up from it."""
    return sum(rank * (outputs + inputs) for outputs, inputs in matrices)


def kept_per_token(matrices: Iterable[Matrix], lora: Lora) -> int:
    """Numbers that adapters keep of each token for the backward pass: what came down.

    With dropout, its mask as well and what it left of the input, in whose place that is kept at times.
    """
    return sum(lora.rank + (3 * inputs // 2 if lora.dropout else 0) for _, inputs in matrices)


def _is_adapted(module: str, lora: Lora) -> bool:
    parts = module.split(".")
    if lora.target_modules is None:
        return any(part.isdigit() for part in parts)
    return any(module == name or module.endswith(f".{name}") for name in lora.target_modules)

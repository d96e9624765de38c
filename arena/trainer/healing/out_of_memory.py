"""Out of memory as an answer instead of an exception, and how small micro-batches can get.

A retry inside `except` fails again: the traceback of the error being handled keeps every tensor of the failed frames
alive. Here the error is gone before anything else is done.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from arena.trainer.computing.packing import group_by_sum
from arena.trainer.stream.batching import FEWEST_PASSES, group_by_length
from core.errors import first_line

T = TypeVar("T")

_SAID = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|std::bad_alloc"
    r"|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
)
"""What torch says in a plain `RuntimeError` of allocations outside of its CUDA allocator."""


@dataclass(frozen=True)
class OutOfMemory:
    """The work did not fit."""

    message: str
    """The first line of the error."""


def unless_out_of_memory(work: Callable[[], T]) -> T | OutOfMemory:
    """What `work` returns, or that memory did not suffice; any other error is raised."""
    try:
        return work()
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not is_out_of_memory(error):
            raise
        message = first_line(error)
    return OutOfMemory(message)


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA, host and CPU allocator."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and _SAID.search(str(error)) is not None
    )


def died_of_memory(error: BaseException) -> bool:
    """The same of an error that ends a process, which may have been raised for one of memory."""
    return is_out_of_memory(error) or (error.__cause__ is not None and is_out_of_memory(error.__cause__))


def release_memory() -> None:
    """Give back what no tensor uses any more; the caller has let go of gradients and activations."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def smaller_budget(
    lengths: Sequence[int], token_budget: int, pass_tokens: int = FEWEST_PASSES, *, packed: bool = False
) -> int | None:
    """The budget under which the largest micro-batch of rows of these lengths is halved.

    None when each row has a micro-batch of its own already. A long row that is alone says nothing of the others.
    """
    if packed:
        groups = group_by_sum(lengths, token_budget)
    else:
        groups = group_by_length(lengths, token_budget, pass_tokens)
    shared = [[lengths[number] for number in group] for group in groups if len(group) > 1]
    sizes = [sum(group) if packed else len(group) * max(group) for group in shared]
    return max(sizes) // 2 if sizes else None

"""Adds up the gradients of the shares of a step, in the order of the shares, however many processes compute them.

The usual all-reduce adds in an order that depends on how many take part. Here each process gets the same slice of
every share's gradients, adds them in order, and all of them gather the sums: as many bytes on the way, and the bits
that one process alone comes to (law 3). Shares that are more than the processes go in rounds on top of the sum so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from arena.trainer.healing.out_of_memory import OutOfMemory, is_out_of_memory, unless_out_of_memory
from arena.trainer.scaling.company import Company, OutOfStep
from core.errors import first_line

Compute = Callable[[int], torch.Tensor]
"""Adds the gradients of one share to `.grad`; returns what is added up beside them: its part of the loss, and further
numbers, as many of every share."""

BUCKET_ELEMENTS = 1 << 24
"""Of gradients that are sent together, at most if no weight is larger: 64 MiB in fp32."""


def add_up_alone(weights: Sequence[torch.Tensor], shares: int, compute: Compute) -> torch.Tensor:
    """All shares in this process: their sum ends in `.grad`. Returns the numbers of all shares, added up."""
    loss = compute(0)
    for share in range(1, shares):
        sums = [weight.grad for weight in weights]
        for weight in weights:
            weight.grad = None
        loss = loss + compute(share)
        for weight, before in zip(weights, sums, strict=True):
            if before is not None:
                weight.grad = before if weight.grad is None else before.add_(weight.grad)
    return loss


def add_up_together(
    weights: Sequence[torch.Tensor], shares: int, compute: Compute, company: Company, *, numbers: int
) -> torch.Tensor:
    """The same with all processes at once, each of which computes some shares and ends with the sum of all.

    `numbers` is how many `compute` returns.

    Raises `MemoryError` on all of them, without gradients, where one has run out of memory for its share. Where it is
    the exchange itself that finds none, the others wait for this process in vain: `OutOfStep`, and all must end.
    """
    try:
        outcome = _add_up_together(weights, shares, compute, company, numbers)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfStep(f"memory did not suffice to exchange gradients: {first_line(error)}") from error
    if isinstance(outcome, OutOfMemory):
        raise MemoryError(outcome.message)
    return outcome


def _add_up_together(
    weights: Sequence[torch.Tensor], shares: int, compute: Compute, company: Company, numbers: int
) -> torch.Tensor | OutOfMemory:
    buckets = list(_buckets(weights, company, numbers))
    used: set[int] = set()
    for first in range(0, shares, company.size):
        takers = min(company.size, shares - first)
        part = unless_out_of_memory(partial(compute, first + company.rank)) if company.rank < takers else None
        told = [isinstance(part, OutOfMemory), *(weight.grad is not None for weight in weights)]
        flags = torch.tensor(told, dtype=torch.uint8)
        company.maximum(flags)
        if flags[0]:
            _clear(weights)
            return part if isinstance(part, OutOfMemory) else OutOfMemory("another process ran out of it")
        used |= {id(weight) for weight, flag in zip(weights, flags[1:].tolist(), strict=True) if flag}
        is_last = first + takers == shares
        # One after the other: what they need beside the gradients is needed once.
        for bucket in buckets:
            bucket.add(takers, part if isinstance(part, torch.Tensor) else None)
            if is_last:
                bucket.finish(used)
        if not is_last:
            _clear(weights)
    return buckets[-1].told


class _Bucket:
    """Some weights whose gradients travel together; this process adds up a slice of them."""

    def __init__(self, weights: Sequence[torch.Tensor], company: Company, numbers: int) -> None:
        self._weights = weights
        self._company = company
        self._sizes = [weight.numel() for weight in weights]
        self._numbers = numbers
        """Behind the gradients: the loss, and what is told beside it."""
        self._slice = -(-(sum(self._sizes) + numbers) // company.size)
        self._like = weights[0]
        self._sum: torch.Tensor | None = None
        self.told = torch.zeros(numbers, device=self._like.device)

    def add(self, takers: int, told: torch.Tensor | None) -> None:
        """One round: the processes up to `takers` have gradients, and the numbers that they belong to."""
        size = self._company.size
        sent = self._like.new_empty(0) if told is None else self._flat(told)
        received = self._like.new_empty(takers * self._slice)
        self._company.exchange(
            received, sent,
            [self._slice if rank < takers else 0 for rank in range(size)],
            [0 if told is None else self._slice] * size,
        )  # fmt: skip
        parts = iter(torch.split(received, self._slice))
        total = next(parts).clone() if self._sum is None else self._sum
        for part in parts:
            total += part
        self._sum = total

    def finish(self, used: set[int]) -> None:
        """Every process gets all sums; weights that no share has used stay without a gradient."""
        if self._sum is None:
            raise RuntimeError("a step without shares")
        whole = self._like.new_empty(self._slice * self._company.size)
        self._company.gather(whole, self._sum)
        pieces = torch.split(whole[: sum(self._sizes) + self._numbers], [*self._sizes, self._numbers])
        for weight, piece in zip(self._weights, pieces, strict=False):
            if id(weight) in used:
                weight.grad = piece.view_as(weight)
        self.told = pieces[-1].clone()

    def _flat(self, told: torch.Tensor) -> torch.Tensor:
        flat = self._like.new_zeros(self._slice * self._company.size)
        parts = [*(_gradient(weight) for weight in self._weights), told]
        torch.cat(parts, out=flat[: sum(self._sizes) + self._numbers])
        return flat


def _gradient(weight: torch.Tensor) -> torch.Tensor:
    return weight.grad.reshape(-1) if weight.grad is not None else torch.zeros_like(weight).reshape(-1)


def _buckets(weights: Sequence[torch.Tensor], company: Company, numbers: int) -> Iterator[_Bucket]:
    together: list[torch.Tensor] = []
    elements = 0
    for weight in weights:
        if together and elements + weight.numel() > BUCKET_ELEMENTS:
            yield _Bucket(together, company, numbers)
            together, elements = [], 0
        together.append(weight)
        elements += weight.numel()
    yield _Bucket(together, company, numbers)


def _clear(weights: Sequence[torch.Tensor]) -> None:
    for weight in weights:
        weight.grad = None

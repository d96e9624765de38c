"""Deals the rows of one step out to shares, each of which is computed by itself.

A pure function of the rows and of the number of shares that the claim fixes (law 3): which process computes a share
changes nothing.
"""

from __future__ import annotations

from arena.protocol import QuestSettings
from arena.trainer.stream.batching import TokenRow


def shares_of(settings: QuestSettings) -> int:
    """Into how many shares the steps of a claim are cut; those of before are whole."""
    return settings.arithmetic.shares if settings.arithmetic is not None else 1


def deal(rows: list[TokenRow], shares: int) -> list[list[TokenRow]]:
    """The rows of each share, of about the same number of tokens; a share without a target is left out.

    The longest row first, each to the share that has the fewest tokens yet. Within a share they stand as they did.
    """
    if shares == 1:
        return [rows]
    useful = [number for number, row in enumerate(rows) if row.targets]
    loads = [0] * shares
    dealt: list[list[int]] = [[] for _ in range(shares)]
    for number in sorted(useful, key=lambda number: -len(rows[number].token_ids)):
        share = loads.index(min(loads))
        dealt[share].append(number)
        loads[share] += len(rows[number].token_ids)
    return [[rows[number] for number in sorted(numbers)] for numbers in dealt if numbers] or [rows]

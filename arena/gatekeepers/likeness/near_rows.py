"""Finds the rows of a file that nearly are rows of other files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from arena.gatekeepers.likeness.sketch_store import Neighbour
from arena.gatekeepers.likeness.sketching import BANDS, PLACES, Sketches

FEWEST_ALIKE = 28
"""Places of 32 from which on rows are told to be alike: about nine tenths of their stretches in common."""
TOGETHER = 1 << 16
"""Rows of other files that are compared at once, at least while there are so many."""
MOST_PAIRS = 1 << 17
"""Of rows with a band in common that are compared at once; rows from one mould have many."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """A row, and one of another file that it is like."""

    number: int
    """Of the row, from 1."""
    line: int
    name: str
    """The other file."""
    quest_id: str | None
    """None where it is no quest."""
    other_line: int
    alike: float
    """Share of the stretches in common, about: 1.0 for texts that are equal but for case and white space."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of comparing."""

    rows: int
    """Rows that were compared."""
    files: int
    """Files that they were compared with."""
    found: list[Likeness]
    """One for each row that is like another, in file order."""


def compare(own: Sketches, neighbours: Iterable[Neighbour]) -> Comparison:
    """Each row with those of all neighbours; of several that it is like, the likest of the first ones is told."""
    found: dict[int, Likeness] = {}
    files = 0
    by_band = [_Ordered(own.bands[:, band]) for band in range(BANDS)]
    for group in _groups(neighbours):
        files += len(group)
        bands = np.concatenate([neighbour.sketches.bands for neighbour in group])
        origin = np.repeat(np.arange(len(group)), [len(neighbour.sketches.lines) for neighbour in group])
        lines = np.concatenate([neighbour.sketches.lines for neighbour in group])
        for index, other, places in _alike(own.bands, by_band, bands):
            if index not in found:
                theirs = group[origin[other]]
                found[index] = Likeness(
                    int(own.numbers[index]), int(own.lines[index]), theirs.name, theirs.quest_id, int(lines[other]),
                    places / PLACES,
                )  # fmt: skip
    return Comparison(len(own.lines), files, [found[index] for index in sorted(found)])


class _Ordered:
    """One band of all rows, in order of its numbers."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.order = np.argsort(numbers, kind="stable")
        self.numbers = numbers[self.order]

    def pairs(self, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Indices of rows here and there whose numbers are equal, at most `MOST_PAIRS`."""
        first = np.searchsorted(self.numbers, others, "left")
        counts = np.searchsorted(self.numbers, others, "right") - first
        counts = np.minimum(counts, np.maximum(0, MOST_PAIRS - (counts.cumsum() - counts)))
        theirs = np.repeat(np.arange(len(others)), counts)
        within = np.arange(len(theirs)) - np.repeat(counts.cumsum() - counts, counts)
        return self.order[np.repeat(first, counts) + within], theirs


def _groups(neighbours: Iterable[Neighbour]) -> Iterator[list[Neighbour]]:
    group: list[Neighbour] = []
    rows = 0
    for neighbour in neighbours:
        group.append(neighbour)
        rows += len(neighbour.sketches.lines)
        if rows >= TOGETHER:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _alike(own: np.ndarray, by_band: list[_Ordered], others: np.ndarray) -> list[tuple[int, int, int]]:
    """Of each row of `own` that is like one of `others`: its index, that of the likest, and the places in common."""
    best, which = np.zeros(len(own), dtype=np.int64), np.zeros(len(own), dtype=np.int64)
    for band, ordered in enumerate(by_band):
        mine, theirs = ordered.pairs(others[:, band])
        places = (_as_places(own[mine]) == _as_places(others[theirs])).sum(axis=1)
        # The likest last: of several pairs of one row it is the one that stays.
        order = np.argsort(places, kind="stable")
        mine, theirs, places = mine[order], theirs[order], places[order]
        better = places > best[mine]
        best[mine[better]], which[mine[better]] = places[better], theirs[better]
    found = np.flatnonzero(best >= FEWEST_ALIKE)
    return list(zip(found.tolist(), which[found].tolist(), best[found].tolist(), strict=True))


def _as_places(bands: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(bands).view(np.uint16)

"""A row in 64 bytes, so that nearly equal rows have nearly equal bytes: a MinHash over all stretches of 8 signs.

One hash for each stretch, whose first bits choose one of 32 places, each of which keeps its least (one permutation
hashing; Li, Owen, Zhang 2012). A place that nothing fell into takes what its neighbour has. Two rows agree in about as
many places as they have stretches in common, of all that they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from arena.gatekeepers.row_reader import Row

PLACES = 32
BANDS = 8
"""Four places side by side are one band, a single number: rows that are alike have at least one in common."""
STRETCH = 8
"""Signs. Of a short text, one other sign changes most of its stretches: short rows are alike where they are equal."""
MOST_ROWS = 10_000
"""Of one file that are sketched, evenly spread."""
MOST_CHARACTERS = 1 << 15
"""Of one row that are looked at."""
BATCH_SIGNS = 1 << 18

_EDGE = "\0" * (STRETCH - 1)
_NOTHING = np.uint32(0xFFFFFFFF)
_MASK = (1 << 64) - 1
_FACTOR = 0x9E3779B97F4A7C15


class Sketches(NamedTuple):
    """Some rows of one file, in file order."""

    bands: np.ndarray
    """uint64[rows, 8]."""
    lines: np.ndarray
    """uint32[rows]: the line of each, from 1."""
    numbers: np.ndarray
    """uint32[rows]: the number of each row, from 1."""


class Sketcher:
    """Sketches the rows of one file, which has about `rows`."""

    def __init__(self, rows: int) -> None:
        self._every = max(1, -(-rows // MOST_ROWS))
        self._seen = 0
        self._texts: list[str] = []
        self._signs = 0
        self._lines: list[int] = []
        self._numbers: list[int] = []
        self._bands: list[np.ndarray] = []

    def take(self, row: Row) -> None:
        """The next row; those that say nothing but white space are left out."""
        self._seen += 1
        if (self._seen - 1) % self._every or len(self._lines) >= MOST_ROWS:
            return
        text = _compared(row)
        if not text:
            return
        self._texts.append(text)
        self._lines.append(row.line)
        self._numbers.append(self._seen)
        self._signs += len(text)
        if self._signs >= BATCH_SIGNS:
            self._sketch()

    def sketches(self) -> Sketches:
        """Those of all rows so far."""
        if self._texts:
            self._sketch()
        bands = np.concatenate(self._bands) if self._bands else np.zeros((0, BANDS), dtype=np.uint64)
        return Sketches(bands, np.array(self._lines, dtype=np.uint32), np.array(self._numbers, dtype=np.uint32))

    def _sketch(self) -> None:
        self._bands.append(sketch_texts(self._texts))
        self._texts, self._signs = [], 0


def _compared(row: Row) -> str:
    """What is compared: all turns but the system's, without regard to case and white space."""
    if row.messages is None:
        said = row.text or ""
    else:
        said = " ".join(message["content"] for message in row.messages if message["role"] != "system")
    return " ".join(said[:MOST_CHARACTERS].casefold().split())


def sketch_texts(texts: Sequence[str]) -> np.ndarray:
    """The bands of each text, uint64[texts, 8]; a function of the text alone."""
    # Edges, so that the first and the last sign stand in as many stretches as all others.
    edged = [_EDGE + text + _EDGE for text in texts]
    joined = np.frombuffer("".join(edged).encode("utf-32-le", errors="surrogatepass"), dtype="<u4")
    lengths = np.array([len(text) for text in edged], dtype=np.int64)
    hashes = _mixed(_stretches(joined))
    rows = np.repeat(np.arange(len(texts), dtype=np.int64), lengths)[: len(hashes)]
    ends = lengths.cumsum()
    inside = np.ones(len(joined), dtype=bool)
    inside[(ends[:, None] - np.arange(1, STRETCH)).ravel()] = False
    inside = inside[: len(hashes)]
    places = (hashes[inside] >> np.uint64(59)).astype(np.int64)
    least = np.full(len(texts) * PLACES, _NOTHING, dtype=np.uint32)
    np.minimum.at(least, rows[inside] * PLACES + places, hashes[inside].astype(np.uint32) & _NOTHING - np.uint32(1))
    filled = _filled(least.reshape(len(texts), PLACES))
    return np.ascontiguousarray(filled.astype(np.uint16)).view(np.uint64)


def _stretches(joined: np.ndarray) -> np.ndarray:
    """The eight signs from each place on, as one number: a polynomial, from one sign to two, four and eight."""
    values = _mixed(joined.astype(np.uint64))
    for signs, factor in ((1, _FACTOR), (2, _FACTOR**2), (4, _FACTOR**4)):
        values = values[:-signs] + values[signs:] * np.uint64(factor & _MASK)
    return values


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finalizer, as in `arena.trainer.stream.counter_random`."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ values >> np.uint64(31)
    return mixed


def _filled(least: np.ndarray) -> np.ndarray:
    """With every empty place taking what the next one to its right has, around the end."""
    filled = least.copy()
    for _ in range(PLACES - 1):
        empty = filled == _NOTHING
        if not empty.any():
            break
        filled[empty] = np.roll(filled, -1, axis=1)[empty]
    return filled

"""Chunks on their way in: neighbours are asked for at once, as a run, and each is kept as soon as it has come whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from mmap import mmap

from blake3 import blake3

from vault.transfer.landing import Chunk
from vault.transfer.listing import ListedFile

LONGEST_RUN = 16
"""Chunks. A question costs about as much as a chunk does; the longer the runs, the later the last connection ends."""
BUFFER_BYTES = 4 << 20
RUNS_FOR_EACH = 4
"""Of one connection, at the least: so that all of them end at about the same time."""


@dataclass(frozen=True)
class Run:
    """Chunks of one file that follow each other, one at least."""

    chunks: tuple[Chunk, ...]

    @property
    def file(self) -> ListedFile:
        return self.chunks[0].file

    @property
    def end(self) -> int:
        return self.chunks[-1].end


def run_length(chunks: int, connections: int) -> int:
    """How many chunks to ask for at once, where so many are missing."""
    return max(1, min(LONGEST_RUN, chunks // (connections * RUNS_FOR_EACH)))


def in_runs(chunks: Iterable[Chunk], longest: int) -> Iterator[Run]:
    """All of these chunks, neighbours together."""
    run: list[Chunk] = []
    for chunk in chunks:
        if run and (len(run) == longest or (run[-1].file, run[-1].number + 1) != (chunk.file, chunk.number)):
            yield Run(tuple(run))
            run = []
        run.append(chunk)
    if run:
        yield Run(tuple(run))


class Arriving:
    """Takes in the bytes of a run, in the order in which they come; for one thread.

    The last chunk is kept only when `finish` says so: where a run is a single chunk, its hash comes with the answer.
    """

    def __init__(self, run: Run, buffer: memoryview, keep: Callable[[Chunk, memoryview], object]) -> None:
        """`buffer` has room for one chunk."""
        self._chunks = run.chunks
        self._buffer = buffer
        self._keep = keep
        self._number = 0
        self._filled = 0

    @property
    def at(self) -> int:
        """The byte of the file that is to come next."""
        return self._chunk.start + self._filled

    def room(self) -> memoryview:
        """Where the next bytes belong."""
        chunk = self._chunk
        if self.at == chunk.end and chunk is not self._chunks[-1]:
            self.finish()
            self._number, self._filled = self._number + 1, 0
            chunk = self._chunk
        return self._buffer[self._filled : chunk.end - chunk.start]

    def took(self, count: int) -> None:
        """So many bytes were put there."""
        self._filled += count

    def digest(self) -> str:
        """Of the chunk that came last, in hex."""
        return blake3(self._buffer[: self._filled]).hexdigest()

    def drop(self) -> None:
        """The chunk that came last is to come again."""
        self._filled = 0

    def finish(self) -> None:
        """Keep the chunk that came last."""
        self._keep(self._chunk, self._buffer[: self._filled])

    @property
    def _chunk(self) -> Chunk:
        return self._chunks[self._number]


def new_buffer() -> memoryview:
    """Whole pages for what one thread takes in or reads back, one after the other."""
    return memoryview(mmap(-1, BUFFER_BYTES))

"""How far a file that is being fetched was read back: its beginning, while the rest still comes."""

from __future__ import annotations

from collections.abc import Iterable

from blake3 import blake3

from vault.chunks import CHUNK_BYTES
from vault.transfer.landing import Chunk
from vault.transfer.listing import ListedFile

WORTH_BYTES = 16 << 20
"""Of an unfinished file, less than this is not begun with."""


class ReadingBack:
    """One file; whoever asks holds the lock of its transfer."""

    def __init__(self, file: ListedFile, missing: Iterable[Chunk]) -> None:
        self.file = file
        self.is_busy = False
        """Somebody reads it, or is about to."""
        self.begin_anew(missing)

    def begin_anew(self, missing: Iterable[Chunk]) -> None:
        """Nothing was read, and these are still to come."""
        self.read = 0
        """Bytes that were hashed, from the beginning on."""
        self._digest = blake3(max_threads=blake3.AUTO)
        self._missing = {chunk.number for chunk in missing}
        self._ready = 0
        self._look_on()

    def came(self, chunk: Chunk) -> None:
        """A chunk lies there."""
        self._missing.discard(chunk.number)
        self._look_on()

    @property
    def ready(self) -> int:
        """Bytes from the beginning on that lie there without a gap."""
        return min(self._ready * CHUNK_BYTES, self.file.size)

    @property
    def is_worth_reading(self) -> bool:
        return not self._missing or self.ready - self.read >= WORTH_BYTES

    @property
    def is_read(self) -> bool:
        """Whether it has come, and was read to its end."""
        return not self._missing and self.read >= self.file.size

    def take(self, piece: memoryview) -> None:
        """What was read next; nothing, where the file ends too early."""
        self._digest.update(piece)
        self.read = self.read + len(piece) if piece else self.file.size

    @property
    def is_whole(self) -> bool:
        """Whether what was read is what the manifest says."""
        return bool(self._digest.hexdigest() == self.file.blake3)

    def _look_on(self) -> None:
        while self._ready < self.file.chunks and self._ready not in self._missing:
            self._ready += 1

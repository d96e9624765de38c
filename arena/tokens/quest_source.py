"""A quest file that is read once: hashed while its rows are made into something else."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from blake3 import blake3

from arena.tokens.token_file import Version

DRAIN_BYTES = 1 << 20


class QuestSource:
    """An open quest file as a `ByteSource`; use it in a `with`."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError`, as reading does."""
        self._file = path.open("rb", buffering=0)
        self._hasher = blake3()
        self.version = self._version_now()
        """The version that is read."""

    def __enter__(self) -> QuestSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._hasher.update(data)
        return data

    def content_hash(self) -> str:
        """BLAKE3 of the whole file, hex; what was not read so far is read now."""
        while self.read(DRAIN_BYTES):
            pass
        return self._hasher.hexdigest()

    def is_unchanged(self) -> bool:
        """Whether the file still has the version with which it was opened."""
        return self._version_now() == self.version

    def _version_now(self) -> Version:
        status = os.fstat(self._file.fileno())
        return Version(status.st_size, status.st_mtime_ns)

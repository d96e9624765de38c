"""Bytes on their way to the gates: hashed, counted, held below the limit, and copied to disk if they are unpacked."""

from __future__ import annotations

import os

from blake3 import blake3

from arena.gatekeepers.scroll_inspector import MAX_FILE_BYTES
from arena.gatekeepers.scrolls.compressed_streams import ContainerFault
from arena.gatekeepers.scrolls.json_lines import ByteSource
from arena.gatekeepers.scrolls.unpacked_file import UnpackedFile

DRAIN_BYTES = 128 * 1024


class OpenFile:
    """An open file as a `ByteSource`: its first `size` bytes, so that one which grows meanwhile has an end."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._left = size

    def read(self, size: int, /) -> bytes:
        data = os.read(self._fd, min(size, self._left))
        self._left -= len(data)
        return data


class MeasuredSource:
    """Passes `source` on. Raises `ContainerFault` when more than `MAX_FILE_BYTES` come out of it."""

    def __init__(self, source: ByteSource, copy: UnpackedFile | None = None) -> None:
        self.size = 0
        self._hasher = blake3()
        self._source = source
        self._copy = copy

    @property
    def content_hash(self) -> str:
        """BLAKE3 of what was read so far, hex."""
        return self._hasher.hexdigest()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._hasher.update(data)
        self.size += len(data)
        if self.size > MAX_FILE_BYTES:
            limit = MAX_FILE_BYTES // 1024**3
            raise ContainerFault(f"unpacked it has more than {limit} GiB, and at most {limit} GiB are read: split it")
        if self._copy is not None:
            self._copy.write(data)
        return data

    def read_to_end(self) -> None:
        """Read what is left, for the hash."""
        while self.read(DRAIN_BYTES):
            pass

"""A disk of a few megabytes, as far as the realm can see: the numbers and errors that a test wants."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from core.files import Files

MEGABYTE = 1 << 20
BLOCK = 4096


class SmallDisk(Files):
    """`free` bytes beside the reserve; every other way in which a disk can refuse is switched on by its name."""

    def __init__(self, free: int) -> None:
        self.others = 0
        """Bytes that others have taken."""
        self.size = free
        self.files_left = 100_000
        self.read_only: set[str] = set()
        """Names of the places that are mounted so."""
        self.broken: set[str] = set()
        """Names of the places that answer with EIO."""
        self.reserve: Path | None = None

    @property
    def free(self) -> int:
        held = self.reserve.lstat().st_size if self.reserve is not None and self.reserve.exists() else 0
        return max(self.size - self.others - held, 0)

    def statvfs(self, folder: Path) -> os.statvfs_result:
        found = super().statvfs(folder)
        if folder.name in self.broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder))
        flags = os.ST_RDONLY if folder.name in self.read_only else 0
        free = self.free // BLOCK
        return os.statvfs_result(
            (BLOCK, BLOCK, self.size // BLOCK, free, free, 100_000, self.files_left, self.files_left, flags,
             found.f_namemax)
        )  # fmt: skip

    def allocate(self, fd: int, size: int) -> None:
        if size > self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().allocate(fd, size)

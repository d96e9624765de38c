"""The JSON lines of a container on disk, written while the gates judge them: the file that will be learned."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Unavailable
from core.files import DISK, Files

RESERVE_BYTES = 1 << 29
"""Free space that unpacking leaves to checkpoints, status files and databases."""

WRITE_BYTES = 1 << 20
"""Collected before they are written."""

CHECK_BYTES = 64 << 20
"""Written between two looks at the free space."""


class UnpackedFile:
    """A new file that is written in order. Left as a context, it is gone unless it was kept.

    What the disk refuses is raised as `Unavailable`: it says nothing about the file that is being unpacked.
    """

    def __init__(self, path: Path, like: os.stat_result, *, files: Files = DISK) -> None:
        """Begin to write; the file gets permissions and time of the container, whose `stat` is `like`."""
        self._path = path
        self._like = like
        self._files = files
        self._pieces: list[bytes] = []
        self._pending = 0
        self._unchecked = 0
        """Bytes written since the last look at the free space."""
        self._kept = False
        self._given_up = False
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            # What a worker that was killed has left: the name was made up for this one job, which is tried again.
            path.unlink(missing_ok=True)
            self._check_room(like.st_size)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> UnpackedFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if not self._kept:
            self._path.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append."""
        if self._given_up:
            return
        self._pieces.append(data)
        self._pending += len(data)
        if self._pending >= WRITE_BYTES:
            with self._told():
                self._flush()

    def give_up(self) -> None:
        """The file was found wrong: take no more of it, and no more room for it."""
        if not self._given_up:
            self._given_up = True
            self._pieces = []
            os.ftruncate(self._fd, 0)

    def keep(self) -> None:
        """Make durable what was written, and keep it."""
        with self._told():
            self._flush()
            os.fchmod(self._fd, self._like.st_mode & 0o777)
            # The board claims by age, which is that of the data.
            os.utime(self._fd, ns=(self._like.st_atime_ns, self._like.st_mtime_ns))
            self._files.fsync(self._fd)
        self._kept = True

    def _flush(self) -> None:
        if self._unchecked >= CHECK_BYTES:
            self._check_room(CHECK_BYTES)
            self._unchecked = 0
        self._files.write(self._fd, b"".join(self._pieces))
        self._unchecked += self._pending
        self._pieces, self._pending = [], 0

    def _check_room(self, wanted: int) -> None:
        space = os.statvfs(self._path.parent)
        if space.f_bavail * space.f_frsize < wanted + RESERVE_BYTES:
            raise OSError(errno.ENOSPC, f"{RESERVE_BYTES >> 20} MB are left free for the rest of the realm")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise Unavailable(
                f"It cannot be unpacked into {self._path.parent}: {'there is no room' if is_full else error.strerror}.",
                hint="Make room; it is then taken in by itself." if is_full else None,
            ) from error

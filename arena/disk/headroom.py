"""The reserve: a file that really takes room on the disk, given up when that is full.

What it frees is for the small writes that must still succeed then: the journal's line, the move of a quest, status
files, the exit record. Other programs cannot take it before. Where a file system stores no zeros (ZFS) or writes every
change to a new place (btrfs with snapshots), the file reserves less than its size or nothing; `held_bytes` is what the
file system says that it takes, so nobody is told of a reserve that is not there.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from core.files import DISK, Files

logger = logging.getLogger(__name__)

HEADROOM = ".headroom"

STAT_BLOCK_BYTES = 512
"""Unit of `st_blocks`, whatever the file system's own is."""


NEEDED_TO_START = 8 << 20
"""Bytes for the logs and databases that a realm opens before anything else."""


def make_way(folder: Path, files: Files = DISK) -> None:
    """Give the reserve in `folder` up if a realm that starts there would find the disk full."""
    try:
        found = files.statvfs(folder)
    except OSError:
        return  # the start itself tells what is wrong there
    if found.f_bavail * found.f_frsize < NEEDED_TO_START:
        Headroom(folder, 0, files).give_up()


class Headroom:
    """The reserve in one directory."""

    def __init__(self, folder: Path, size: int, files: Files = DISK) -> None:
        """`size` in bytes."""
        self.path = folder / HEADROOM
        self._size = size
        self._files = files

    @property
    def held_bytes(self) -> int:
        """What giving it up would free; 0 while it is not held."""
        try:
            return self.path.lstat().st_blocks * STAT_BLOCK_BYTES
        except OSError:
            return 0

    def take(self) -> bool:
        """Hold the reserve; False when the disk does not give that much, and then nothing is held."""
        try:
            if self.path.lstat().st_size == self._size:
                return True
        except OSError:
            pass  # not held yet, or not to be looked at: the next call tells
        else:
            self.give_up()  # of another size than is set now
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                self._files.allocate(fd, self._size)
            finally:
                os.close(fd)
        except OSError as error:
            logger.info("no reserve is held: %s", error, extra={"event": "headroom_refused"})
            self.give_up()
            return False
        return True

    def give_up(self) -> None:
        """Free the room; nothing happens when it is not held."""
        try:
            self._files.unlink(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            logger.warning("the reserve cannot be given up: %s", error, extra={"event": "headroom_stuck"})

"""The system's memory of files: what is read to be verified has to come from the disk, and leave what others need."""

from __future__ import annotations

import os
from contextlib import suppress


def drop_from_memory(fd: int, offset: int, length: int) -> None:
    """Have the system forget these bytes of an open file, to its end where `length` is 0; where it can."""
    with suppress(OSError, AttributeError):  # not every file system and system has it
        os.posix_fadvise(fd, offset, length, os.POSIX_FADV_DONTNEED)

"""A short exclusive lock between threads and processes, on a file or directory that is never unlinked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, which is made when it is missing; not reentrant, freed when the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(os.open(path, os.O_RDWR | os.O_CREAT, 0o644)):
        yield


@contextmanager
def locked_directory(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing directory: it needs no file, so it can be had on a full disk."""
    with _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY)):
        yield


@contextmanager
def directory_locked_if_free(folder: Path) -> Iterator[bool]:
    """Hold the lock of an existing directory unless somebody else does; tells whether it is held."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _is_taken(fd)
    finally:
        os.close(fd)


@contextmanager
def _locked(fd: int) -> Iterator[None]:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _is_taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

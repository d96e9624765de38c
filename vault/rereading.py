"""Reading checkpoints again in slices, each a job of the scribe: rot is found before the checkpoint is needed.

A slice takes a fraction of a second, so that whatever else the scribe has to do gets its turn. The hash goes on from
slice to slice in the scribe's worker; where the worker has ended meanwhile, the file is begun again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from blake3 import blake3

from core.errors import InvalidInput, Unavailable
from vault.manifest import DAMAGE, check_manifest, listed_files
from vault.page_cache import drop_from_memory

_CHUNK = 1 << 20


@dataclass
class _Place:
    """How far a file is hashed."""

    path: str
    offset: int = 0
    digest: Any = field(default_factory=blake3)


_place = _Place("")


def open_checkpoint(folder: str) -> dict[str, Any]:
    """`{files: {name: {size, blake3}}, problems}` of a checkpoint, without reading its files."""
    try:
        files = listed_files(Path(folder))
    except InvalidInput:
        files = {}
    return {"files": files, "problems": check_manifest(Path(folder), deep=False)}


def read_slice(path: str, offset: int, length: int) -> dict[str, Any]:
    """Hash the next `length` bytes of a file, from `offset` on: `{offset, digest, problem}`.

    `digest` is that of the whole file once its end is reached. `offset` is where to go on: 0 when the slices before
    were read by a worker that is gone. `problem` says in words why the file cannot be read; raises `Unavailable` for
    reasons that do not lie in the file.
    """
    global _place
    if offset == 0:
        _place = _Place(path)
    elif (_place.path, _place.offset) != (path, offset):
        return {"offset": 0, "digest": None, "problem": None}
    try:
        with _yielding_the_disk():
            at_end = _read_on(_place, length)
    except FileNotFoundError:
        return {"offset": 0, "digest": None, "problem": "is missing"}
    except OSError as error:
        if error.errno not in DAMAGE:
            raise Unavailable(f"{path} cannot be read again: {error.strerror}.") from error
        return {"offset": 0, "digest": None, "problem": f"cannot be read: {error.strerror}"}
    return {"offset": _place.offset, "digest": _place.digest.hexdigest() if at_end else None, "problem": None}


def _read_on(place: _Place, length: int) -> bool:
    """Hash up to `length` bytes more; True at the end of the file."""
    # A pipe in the place of the file must not hold up the scribe.
    fd = os.open(place.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(place.path)
        first, end = place.offset, place.offset + length
        # What lies in memory says nothing of the disk, and what is read here must not drive out what others need.
        drop_from_memory(fd, first, length)
        os.lseek(fd, first, os.SEEK_SET)
        at_end = False
        while place.offset < end and not at_end:
            piece = os.read(fd, min(_CHUNK, end - place.offset))
            place.digest.update(piece)
            place.offset += len(piece)
            at_end = not piece
        drop_from_memory(fd, first, length)
    finally:
        os.close(fd)
    return at_end


@contextmanager
def _yielding_the_disk() -> Iterator[None]:
    """Read only while nobody else wants the disk, where the kernel has such a class."""
    process = psutil.Process()
    before = None
    with suppress(psutil.Error, OSError, AttributeError):
        before = process.ionice()
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
    try:
        yield
    finally:
        if before is not None:
            with suppress(psutil.Error, OSError, ValueError):
                process.ionice(before.ioclass, before.value)

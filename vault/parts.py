"""Hashing and copying assets of any size in parts, each of them a short job of the scribe (law 5).

Whatever else the scribe has to do gets its turn between two parts, and no job takes so long that it is ended. What was
cut off in the middle of a copy is gone on with by the next one of the same asset to the same place.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from blake3 import blake3

from core.crash_points import crash_point
from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.file_lock import directory_locked_if_free
from core.files import DISK
from vault.asset_jobs import STAGING
from vault.manifest import MANIFEST, ReadError, check_against, manifest_of, member_names, read_manifest
from vault.page_cache import drop_from_memory

Heavy = Callable[[str, dict[str, Any]], Any]
"""Calls `package.module:function(**kwargs)`, here or in another process."""

PART_BYTES = 64 << 20
TRIES = 3
READINGS_KEPT = 16
_PIECE = 1 << 20


# --- the jobs: JSON in and out -----------------------------------------------------------------------------------


@dataclass
class _Reading:
    """How far a file is hashed."""

    identity: tuple[int, int, int]
    offset: int = 0
    digest: Any = field(default_factory=blake3)


_readings: OrderedDict[str, _Reading] = OrderedDict()


def hash_part(job: str, path: str, offset: int, length: int) -> dict[str, Any]:
    """Hash the next `length` bytes of a file: `{offset, blake3}`, the hash once its end is reached.

    `offset` is where to go on: 0 where the parts before were read by a worker that is gone, or of another file.
    """
    with _opened(path, os.O_RDONLY) as fd:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise NotFound(f"{path} is no regular file any more.")
        identity = (status.st_ino, status.st_size, status.st_mtime_ns)
        reading = _Reading(identity) if offset == 0 else _readings.pop(job, None)
        if reading is None or (reading.identity, reading.offset) != (identity, offset):
            return {"offset": 0, "blake3": None}
        # What lies in memory says nothing of the disk, and what is read here must not drive out what others need.
        drop_from_memory(fd, offset, length)
        os.lseek(fd, offset, os.SEEK_SET)
        end = offset + length
        while reading.offset < end and (piece := os.read(fd, min(_PIECE, end - reading.offset))):
            reading.digest.update(piece)
            reading.offset += len(piece)
        drop_from_memory(fd, offset, length)
    if reading.offset >= status.st_size:
        return {"offset": reading.offset, "blake3": reading.digest.hexdigest()}
    _readings[job] = reading
    while len(_readings) > READINGS_KEPT:
        _readings.popitem(last=False)
    return {"offset": reading.offset, "blake3": None}


def copy_part(source: str, target: str, offset: int, length: int) -> dict[str, Any]:
    """Copy the next `length` bytes of a file to the same place in another: `{offset, is_done}`; durable once done."""
    with _opened(source, os.O_RDONLY) as reader, _opened(target, os.O_WRONLY | os.O_CREAT) as writer:
        os.lseek(reader, offset, os.SEEK_SET)
        os.lseek(writer, offset, os.SEEK_SET)
        end, is_done = offset + length, False
        while offset < end and not is_done:
            piece = os.read(reader, min(_PIECE, end - offset))
            DISK.write(writer, piece)
            offset += len(piece)
            is_done = not piece
        if is_done:
            DISK.truncate(writer, offset)
            DISK.fsync(writer)
            drop_from_memory(writer, 0, 0)
            status = os.fstat(reader)
            os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))
    return {"offset": offset, "is_done": is_done}


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    try:
        # A pipe in the place of a file must not hold up the scribe, and a link leads elsewhere.
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        try:
            yield fd
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{path} is not there any more.") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read or written: {error.strerror}.") from error


# --- what is made of them; in a thread, which waits for the scribe ---------------------------------------------------


def hash_file(heavy: Heavy, path: Path) -> dict[str, Any]:
    """`{size, blake3}` of a file; raises `NotFound`, or `Unavailable` for a disk that fails."""
    job, offset = uuid.uuid4().hex, 0
    for _ in range(TRIES):
        while True:
            kwargs = {"job": job, "path": str(path), "offset": offset, "length": PART_BYTES}
            told = heavy("vault.parts:hash_part", kwargs)
            offset = told["offset"]
            if told["blake3"] is not None:
                return {"size": offset, "blake3": told["blake3"]}
            if offset == 0:
                break
    raise Unavailable(f"{path} could not be read from beginning to end in {TRIES} tries.", hint="Is it being written?")


def manifest_made(heavy: Heavy, place: Path) -> dict[str, Any]:
    """The manifest of a directory or file that has none of its own; raises `Conflict` for one that holds links."""
    root = place if place.is_dir() else place.parent
    try:
        names = member_names(place)
    except InvalidInput as error:
        raise Conflict(error.message) from error
    return manifest_of({name: hash_file(heavy, root / name) for name in names})


def problems_of(heavy: Heavy, root: Path, manifest: Mapping[str, Any]) -> list[str]:
    """What is wrong with files below `root`, each of them read; raises `Unavailable` where one cannot be read now: that
    says nothing about it."""
    problems = check_against(root, manifest, deep=False)
    if unread := [problem for problem in problems if isinstance(problem, ReadError)]:
        raise Unavailable(f"{root}: {unread[0]}.", hint="Look at the disk, and try again.")
    if problems:
        return problems
    for name, entry in sorted(manifest["files"].items()):
        try:
            if hash_file(heavy, root / name)["blake3"] != entry["blake3"]:
                problems.append(f"{name} was altered")
        except NotFound:
            problems.append(f"{name} is missing")
    return problems


def copy_asset(heavy: Heavy, origin: Path, place: Path, manifest: Mapping[str, Any], staging: Path) -> bool:
    """Copy an asset to a new place, whole or not at all: to `staging` beside it, read back, compared, renamed (A30).

    False where the same asset lies there already. Raises `Conflict` where something else does, where somebody copies
    the same, or where the source is not what its manifest says; `Unavailable` where a disk fails.
    """
    if os.path.lexists(place):
        if _is_same(heavy, place, manifest):
            return False
        raise Conflict(f"Something else lies at {place}.", hint="Move it away, or choose another destination.")
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with directory_locked_if_free(staging) as is_ours:
            if not is_ours:
                raise Conflict(f"{origin.name} is being copied to {place} already.")
            try:
                _fill(heavy, origin, staging, manifest)
                crash_point("asset.copied")
                _publish(staging if origin.is_dir() else staging / next(iter(manifest["files"])), place)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise Unavailable(f"{origin} cannot be copied to {place}: {error.strerror}.") from error
    return True


def staging_of(place: Path, manifest: Mapping[str, Any]) -> Path:
    """Where a copy to `place` is made. Named by what and where to: the next one goes on with what a kill has left."""
    key = blake3(f"{place}\0{manifest['digest']}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return place.with_name(f"{STAGING}{key}")


def _fill(heavy: Heavy, origin: Path, staging: Path, manifest: Mapping[str, Any]) -> None:
    root = origin if origin.is_dir() else origin.parent
    for name, entry in manifest["files"].items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise Conflict(f"The manifest of {origin} has a wrong entry: {name!r}.")
        part = staging / name
        part.parent.mkdir(parents=True, exist_ok=True)
        begun = part.stat().st_size if part.exists() else 0
        if not (root / name).exists() and origin.exists():
            raise Conflict(f"{origin} is not what it was: {name} is missing.")
        copied = _copy_file(heavy, root / name, part, begun)
        if copied != entry and begun:
            # What a power cut has left of it is not what was written.
            copied = _copy_file(heavy, root / name, part, 0)
        if copied != entry:
            raise Conflict(f"{origin} is not what it was: {name} was altered.")
    if origin.is_dir() and (origin / MANIFEST).is_file():
        _copy_file(heavy, origin / MANIFEST, staging / MANIFEST, 0)
        if (read_manifest(staging) or {}).get("digest") != manifest["digest"]:
            raise Conflict(f"{origin} is not what it was: {MANIFEST} was altered.")
    for parent, _, _ in os.walk(staging, topdown=False):
        DISK.fsync_dir(Path(parent))


def _copy_file(heavy: Heavy, source: Path, target: Path, offset: int) -> dict[str, Any]:
    """Copy a file from `offset` on, and read the copy: `{size, blake3}`."""
    is_done = False
    while not is_done:
        kwargs = {"source": str(source), "target": str(target), "offset": offset, "length": PART_BYTES}
        told = heavy("vault.parts:copy_part", kwargs)
        offset, is_done = told["offset"], told["is_done"]
    return hash_file(heavy, target)


def _is_same(heavy: Heavy, place: Path, manifest: Mapping[str, Any]) -> bool:
    if place.is_dir():
        return not problems_of(heavy, place, manifest)
    # The copy of a file may have another name.
    return [hash_file(heavy, place)] == [*manifest["files"].values()]


def _publish(staged: Path, place: Path) -> None:
    if staged.is_dir():
        DISK.rename_dir(staged, place)
        DISK.fsync_dir(place.parent)
    else:
        DISK.move_new(staged, place)

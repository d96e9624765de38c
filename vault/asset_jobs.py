"""Work over the bytes of an asset: hashing, comparing, copying. JSON in and out, for the scribe to do it (law 5)."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blake3 import blake3

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.files import DISK
from vault.manifest import MANIFEST, check_against, check_manifest, make_manifest, read_manifest

STAGING = ".fetch-"
"""Begins the name of a copy that is not whole yet."""
ABANDONED_AFTER = timedelta(days=1)


def make(path: str) -> dict[str, Any]:
    """The manifest of a directory or file that has none of its own."""
    try:
        return make_manifest(Path(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"{error.filename or path} is not there any more.") from error
    except OSError as error:
        raise Unavailable(f"{error.filename or path} cannot be read: {error.strerror}.") from error


def check(path: str, manifest: dict[str, Any] | None) -> list[str]:
    """What is wrong with the files at `path`, each of them read; `manifest` where it lies elsewhere."""
    place = Path(path)
    if manifest is None:
        return check_manifest(place)
    try:
        return check_against(place if place.is_dir() else place.parent, manifest)
    except OSError as error:
        raise Unavailable(f"{error.filename or path} cannot be checked: {error.strerror}.") from error


def copy(source: str, target: str, manifest: dict[str, Any]) -> bool:
    """Copy an asset to a new place, whole or not at all: staged, compared with its hashes, renamed (A30).

    False where the same asset lies there already. Raises `Conflict` where something else does, or where the source is
    not what its manifest says; `Unavailable` where a disk fails.
    """
    origin, place = Path(source), Path(target)
    staging = place.with_name(f"{STAGING}{uuid.uuid4().hex}")
    try:
        if os.path.lexists(place):
            if _is_same(place, manifest):
                return False
            raise Conflict(f"Something else lies at {place}.", hint="Move it away, or choose another destination.")
        place.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            _copy_folder(origin, staging, manifest)
        else:
            staging.mkdir()
            DISK.copy(origin, staging / origin.name)
        if problems := _problems(staging, manifest):
            raise Conflict(f"{origin} is not what it was: {'; '.join(problems[:3])}.")
        _publish(staging if origin.is_dir() else staging / origin.name, place)
    except OSError as error:
        raise Unavailable(f"{origin} cannot be copied to {place}: {error.strerror}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def drop_stagings(folder: Path, now: datetime) -> None:
    """Delete what copies that were cut off have left in `folder`; one that was written to today may still go on."""
    for staging in folder.glob(f"{STAGING}*"):
        with suppress(OSError):
            written = datetime.fromtimestamp(staging.lstat().st_mtime, UTC)
            if staging.is_dir() and not staging.is_symlink() and abs(now - written) > ABANDONED_AFTER:
                shutil.rmtree(staging)


def _problems(folder: Path, manifest: dict[str, Any]) -> list[str]:
    """With its own manifest, which has come with the files, where the asset has one."""
    return check_manifest(folder) if (folder / MANIFEST).exists() else check_against(folder, manifest)


def _is_same(place: Path, manifest: dict[str, Any]) -> bool:
    if place.is_dir():
        return not check_against(place, manifest)
    # The copy of a file may have another name.
    return [*make_manifest(place)["files"].values()] == [*manifest["files"].values()]


def _copy_folder(origin: Path, staging: Path, manifest: dict[str, Any]) -> None:
    names = [*manifest["files"], *([MANIFEST] if (origin / MANIFEST).is_file() else [])]
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InvalidInput(f"The manifest of {origin} has a wrong entry: {name!r}.")
        part = staging / name
        part.parent.mkdir(parents=True, exist_ok=True)
        DISK.copy(origin / name, part)
    for parent, _, _ in os.walk(staging, topdown=False):
        DISK.fsync_dir(Path(parent))


def _publish(staged: Path, place: Path) -> None:
    if staged.is_dir():
        DISK.rename_dir(staged, place)
        DISK.fsync_dir(place.parent)
    else:
        DISK.move_new(staged, place)


def stamp_of(path: Path) -> str:
    """Changes whenever a file below `path` is written, comes or goes; by sizes, times and inodes."""
    digest = blake3()
    places = [path] if path.is_file() else sorted(each for each in path.rglob("*") if not each.is_dir())
    for each in places:
        status = each.lstat()
        name = str(each.relative_to(path)).encode("utf-8", "surrogateescape")
        digest.update(name + b"\0%d %d %d\0" % (status.st_size, status.st_mtime_ns, status.st_ino))
    return digest.hexdigest()


def own_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest that lies in an asset's directory; None where it has none."""
    return read_manifest(path) if path.is_dir() else None

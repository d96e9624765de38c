"""The manifest of a checkpoint: which files it is made of, and by their BLAKE3 hashes whether they are still whole.

`MANIFEST.json` is written last, so a directory that has one is complete (law 2); the hashes also tell a copy that was
cut short from a whole one (A30).
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from blake3 import blake3

from core.errors import InvalidInput, Unavailable
from core.files import DISK, Files

MANIFEST = "MANIFEST.json"
VERSION = 1

_CHUNK = 1 << 20
# What a read says of a damaged disk or file. Any other error (no permission, no file handles left) says nothing
# about the file, and must not get a good checkpoint thrown out.
_DAMAGE = {errno.EIO, errno.EBADMSG, errno.EUCLEAN}


def write_manifest(folder: Path, *, now: datetime | None = None, files: Files = DISK) -> dict[str, Any]:
    """Hash and fsync every file below `folder`, then write `MANIFEST.json` last; returns what it holds.

    Raises `InvalidInput` for a link or special file: a checkpoint depends on nothing outside of it.
    """
    created = now or datetime.now(UTC)
    entries: dict[str, dict[str, Any]] = {}
    for path in _members(folder):
        size, digest = _hash(path, files)
        entries[path.relative_to(folder).as_posix()] = {"size": size, "blake3": digest}
    # Deepest first: a directory's entry is safe only once its parent is synced too.
    for parent, _, _ in os.walk(folder, topdown=False):
        files.fsync_dir(Path(parent))
    manifest = {
        "version": VERSION,
        "created_at": created.isoformat(),
        "files": entries,
        "total_bytes": sum(entry["size"] for entry in entries.values()),
    }
    files.write_json(folder / MANIFEST, manifest, durable=True)
    return manifest


def check_manifest(folder: Path, *, deep: bool = True) -> list[str]:
    """What is wrong with the files of `folder`, in words; an empty list means it is whole.

    Without `deep` only presence and size are compared. Files that the manifest does not name are no problem. Raises
    `Unavailable` when the files cannot be looked at (permissions, file handles), which says nothing about them.
    """
    try:
        files, problem = _listed(folder / MANIFEST)
        if problem:
            return [problem]
        checked = (_problem(folder, name, entry, deep=deep) for name, entry in sorted(files.items()))
        return [found for found in checked if found]
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be checked: {error.strerror}.") from error


def _members(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_fail):
        folders.sort()
        for name in sorted(names) + [name for name in folders if Path(parent, name).is_symlink()]:
            path = Path(parent, name)
            if path == folder / MANIFEST:
                continue
            if not stat.S_ISREG(path.lstat().st_mode):
                raise InvalidInput(f"{path} is not a regular file; a checkpoint holds no links or devices.")
            yield path


def _fail(error: OSError) -> None:
    raise error


def _hash(path: Path, files: Files | None = None) -> tuple[int, str]:
    """Size and BLAKE3 of a file, which is fsynced first when `files` is given.

    Read piece by piece, not mapped: a mapped file that shrinks or cannot be read kills the process with SIGBUS.
    """
    digest = blake3()
    size = 0
    buffer = bytearray(_CHUNK)
    with path.open("rb", buffering=0) as handle:
        if files is not None:
            files.fsync(handle.fileno())
        while count := handle.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
            size += count
    return size, digest.hexdigest()


def _listed(path: Path) -> tuple[dict[str, Any], str | None]:
    """The entries of a manifest, or why there are none."""
    try:
        body = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, f"{MANIFEST} is missing"
    except (ValueError, RecursionError):
        return {}, f"{MANIFEST} is damaged"
    except OSError as error:
        if error.errno in _DAMAGE:
            return {}, f"{MANIFEST} cannot be read: {error.strerror}"
        raise
    if not isinstance(body, dict) or body.get("version") != VERSION or not isinstance(body.get("files"), dict):
        return {}, f"{MANIFEST} is not of version {VERSION}"
    if not body["files"]:
        return {}, f"{MANIFEST} names no files"
    return body["files"], None


def _problem(folder: Path, name: str, entry: Any, *, deep: bool) -> str | None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not isinstance(entry, dict):
        return f"{MANIFEST} has a wrong entry: {name!r}"
    path = folder / pure
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return f"{name} is not a regular file"
        if status.st_size != entry.get("size"):
            return f"{name} has {status.st_size} bytes instead of {entry.get('size')}"
        if deep and _hash(path)[1] != entry.get("blake3"):
            return f"{name} was altered"
    except (FileNotFoundError, NotADirectoryError):
        return f"{name} is missing"
    except OSError as error:
        if error.errno not in _DAMAGE:
            raise
        return f"{name} cannot be read: {error.strerror}"
    return None

"""The manifest of a checkpoint: which files it is made of, and by their BLAKE3 hashes whether they are still whole.

`MANIFEST.json` is written last, so a directory that has one is complete (law 2); the hashes also tell a copy that was
cut short from a whole one (A30). Its own `digest` covers the rest of it; a manifest from before there was one has none.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from blake3 import blake3

from core.checkpoint_records import SIDECAR
from core.errors import InvalidInput, Unavailable
from core.files import DISK, UNREADABLE, WRONG_PLACE, Files

MANIFEST = "MANIFEST.json"
VERSION = 1

QUARANTINE_NOTE = "QUARANTINE.json"
"""Says in a checkpoint that was set aside why it was."""

_KEYS = {"version", "created_at", "files", "total_bytes"}
_CHUNK = 1 << 20

OnRead = Callable[[int], object]

DAMAGE = UNREADABLE | WRONG_PLACE
"""What a read says of a damaged disk, file or name. Any other error (no permission, no file handles left) says nothing
about the file, and must not get a good checkpoint thrown out."""


class ReadError(str):
    """A problem that the disk tells of, not what it gave back: it may be gone when the file is read again."""

    __slots__ = ()


def write_manifest(
    folder: Path, *, now: datetime | None = None, files: Files = DISK, hashes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Hash and fsync every file below `folder`, then write `MANIFEST.json` last; returns what it holds.

    `hashes` are the BLAKE3 of files, by name, that are known, and the files durable: they are not read again.
    Raises `InvalidInput` for a link or special file: a checkpoint depends on nothing outside of it.
    """
    manifest = make_manifest(folder, created_at=now or datetime.now(UTC), files=files, hashes=hashes)
    # Deepest first: a directory's entry is safe only once its parent is synced too.
    for parent, _, _ in os.walk(folder, topdown=False):
        files.fsync_dir(Path(parent))
    files.write_atomic(folder / MANIFEST, _rendered(manifest), durable=True)
    return manifest


def make_manifest(
    place: Path, *, created_at: datetime | None = None, files: Files | None = None, on_read: OnRead | None = None,
    hashes: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The manifest of what lies at `place`, a directory or one file, as it is now; with `files`, all is fsynced too.

    Without `created_at`, the same bytes have the same manifest on every host. `hashes`, errors: see `write_manifest`.
    """
    root = place if place.is_dir() else place.parent
    entries: dict[str, dict[str, Any]] = {}
    for name in member_names(place):
        path, known = root / name, (hashes or {}).get(name)
        size, digest = (path.stat().st_size, known) if known else _hash(path, on_read, files=files)
        entries[name] = {"size": size, "blake3": digest}
    return manifest_of(entries, created_at)


def member_names(place: Path) -> list[str]:
    """The names that a manifest of what lies at `place` has: of all files below a directory, or of the one file."""
    return [path.relative_to(place).as_posix() for path in _members(place)] if place.is_dir() else [place.name]


def manifest_of(entries: Mapping[str, Mapping[str, Any]], created_at: datetime | None = None) -> dict[str, Any]:
    """The manifest of files whose sizes and hashes are known."""
    manifest = {
        "version": VERSION,
        "created_at": created_at.isoformat() if created_at else None,
        "files": {name: dict(entry) for name, entry in entries.items()},
        "total_bytes": sum(entry["size"] for entry in entries.values()),
    }
    return {**manifest, "digest": _digest(manifest)}


def check_against(root: Path, manifest: Mapping[str, Any], *, deep: bool = True) -> list[str]:
    """`check_manifest` of files below `root` with a manifest that lies elsewhere."""
    checked = (_problem(root, name, entry, deep, None) for name, entry in sorted(manifest["files"].items()))
    return [found for found in checked if found]


def check_manifest(folder: Path, *, deep: bool = True, on_read: OnRead | None = None) -> list[str]:
    """What is wrong with the files of `folder`, in words; an empty list means it is whole.

    Without `deep` only presence and size are compared. Files that the manifest does not name are no problem, as no
    loader gets to see them (`vault.reading`). What is a `ReadError` is not proved by that one reading. Raises
    `Unavailable` when the files cannot be looked at (permissions, file handles), which says nothing about them.
    `on_read` hears of the bytes that were hashed.
    """
    try:
        files, problem = _listed(folder / MANIFEST)
        if problem:
            return [problem]
        checked = (_problem(folder, name, entry, deep, on_read) for name, entry in sorted(files.items()))
        return [found for found in checked if found]
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be checked: {error.strerror}.") from error


def listed_files(folder: Path) -> dict[str, Any]:
    """The entries `{name: {size, blake3}}` of a manifest; raises `InvalidInput` saying what is wrong with it."""
    try:
        files, problem = _listed(folder / MANIFEST)
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    if problem:
        raise InvalidInput(f"{folder}: {problem}.")
    return files


def manifest_text(body: Any) -> bytes:
    """`MANIFEST.json` byte for byte, from what it holds on another host; raises `InvalidInput` when altered."""
    problem = _problem_of(body)
    if problem is None:
        try:
            text = _rendered(body)
        except (ValueError, RecursionError):  # a number that JSON does not hold
            problem = f"{MANIFEST} is damaged"
        else:
            problem = None if _is_as_written(text, body) else f"{MANIFEST} was altered"
    if problem:
        raise InvalidInput(f"{problem}.")
    return text


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The whole manifest of `folder`, with a `digest` also where it was written without one; None where it is missing,
    damaged or unreadable."""
    try:
        body, problem = _read(folder / MANIFEST)
    except OSError:
        return None
    return None if problem else {**body, "digest": body.get("digest") or _digest(body)}


def digest_of(manifest: Mapping[str, Any]) -> str:
    """The digest of a manifest, also of one that was written without it."""
    return str(manifest.get("digest") or _digest(dict(manifest)))


def unlisted_files(folder: Path) -> list[str]:
    """Names of what lies in `folder` although its manifest does not tell of it, links and special files included."""
    # The sidecar may have come later, and nobody loads it.
    listed = {MANIFEST, QUARANTINE_NOTE, SIDECAR, *listed_files(folder)}
    found = []
    for parent, folders, names in os.walk(folder, onerror=_fail):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        found += [Path(parent, name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(name for name in found if name not in listed)


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


def _hash(path: Path, on_read: OnRead | None = None, *, files: Files | None = None) -> tuple[int, str]:
    """Size and BLAKE3 of a file, which is fsynced first when `files` is given.

    Read piece by piece, not mapped: a mapped file that shrinks or cannot be read kills the process with SIGBUS.
    """
    digest = blake3()
    size = 0
    with path.open("rb", buffering=0) as handle:
        if files is not None:
            files.fsync(handle.fileno())
        # Most files are small, and a large buffer takes longer to get than they to read.
        buffer = bytearray(min(_CHUNK, os.fstat(handle.fileno()).st_size + 1))
        while count := handle.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
            size += count
            if on_read is not None:
                on_read(count)
    return size, digest.hexdigest()


def _rendered(manifest: dict[str, Any]) -> bytes:
    """The one way in which a manifest is written, byte by byte."""
    text = json.dumps(manifest, indent=2, allow_nan=False, ensure_ascii=False)
    return text.encode("utf-8", errors="surrogatepass") + b"\n"


def _digest(manifest: dict[str, Any]) -> str:
    return blake3(_rendered({key: value for key, value in manifest.items() if key != "digest"})).hexdigest()


def _listed(path: Path) -> tuple[dict[str, Any], str | None]:
    """The entries of a manifest, or why there are none."""
    body, problem = _read(path)
    return body.get("files", {}), problem


def _read(path: Path) -> tuple[dict[str, Any], str | None]:
    """A manifest, or why there is none."""
    try:
        # Not opened otherwise: a pipe in its place never gives an answer.
        if not stat.S_ISREG(path.lstat().st_mode):
            return {}, f"{MANIFEST} is not a regular file"
        raw = path.read_bytes()
        body = json.loads(raw)
    except FileNotFoundError:
        return {}, f"{MANIFEST} is missing"
    except (ValueError, RecursionError):
        return {}, f"{MANIFEST} is damaged"
    except OSError as error:
        return {}, _cannot_be_read(MANIFEST, error)
    if problem := _problem_of(body):
        return {}, problem
    if not _is_as_written(raw, body):
        return {}, f"{MANIFEST} was altered"
    return body, None


def _problem_of(body: Any) -> str | None:
    """Why this is no manifest at all."""
    if not isinstance(body, dict) or body.get("version") != VERSION or not isinstance(body.get("files"), dict):
        return f"{MANIFEST} is not of version {VERSION}"
    return None if body["files"] else f"{MANIFEST} names no files"


def _is_as_written(raw: bytes, body: dict[str, Any]) -> bool:
    """Whether not one byte of a manifest has changed; of one without a digest, as far as that can be told."""
    if "digest" in body:
        try:
            # Rendered again, so that neither a blank nor a name that stands twice gets by.
            return raw == _rendered(body) and body["digest"] == _digest(body)
        except ValueError:  # a number that JSON does not hold
            return False
    # A damaged name of the digest must not make it a manifest from before there was one.
    return body.keys() <= _KEYS and body.get("total_bytes", _total(body)) == _total(body)


def _total(body: dict[str, Any]) -> int:
    sizes = [entry.get("size") for entry in body["files"].values() if isinstance(entry, dict)]
    return sum(size for size in sizes if isinstance(size, int))


def _problem(folder: Path, name: str, entry: Any, deep: bool, on_read: OnRead | None) -> str | None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\0" in name or not isinstance(entry, dict):
        return f"{MANIFEST} has a wrong entry: {name!r}"
    path = folder / pure
    try:
        if link := next((above for above in reversed(pure.parents[:-1]) if (folder / above).is_symlink()), None):
            return f"{name} lies behind {link}, which is a link"
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return f"{name} is not a regular file"
        if status.st_size != entry.get("size"):
            return f"{name} has {status.st_size} bytes instead of {entry.get('size')}"
        if deep and _hash(path, on_read)[1] != entry.get("blake3"):
            return f"{name} was altered"
    except (FileNotFoundError, NotADirectoryError):
        return f"{name} is missing"
    except OSError as error:
        return _cannot_be_read(name, error)
    return None


def _cannot_be_read(name: str, error: OSError) -> str:
    """The problem that `error` is; raises it again where it is none of the file's."""
    if error.errno not in DAMAGE:
        raise error
    said = f"{name} cannot be read: {error.strerror}"
    return ReadError(said) if error.errno in UNREADABLE else said

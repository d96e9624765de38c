"""Work over all bytes of an asset at once, JSON in and out; what may be large is read in parts (`vault.parts`)."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blake3 import blake3

from core.errors import NotFound, Unavailable
from vault.manifest import make_manifest, read_manifest

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


def drop_stagings(folder: Path, now: datetime) -> None:
    """Delete what copies that were cut off have left in `folder`; one that was written to today may still go on."""
    for staging in folder.glob(f"{STAGING}*"):
        with suppress(OSError):
            written = datetime.fromtimestamp(staging.lstat().st_mtime, UTC)
            if staging.is_dir() and not staging.is_symlink() and abs(now - written) > ABANDONED_AFTER:
                shutil.rmtree(staging)


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

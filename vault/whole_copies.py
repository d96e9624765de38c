"""Whether a copy is whole: every byte of it read, now or not long ago, and not about to be deleted by anybody.

Whoever deletes a copy holds the lock of its directory from before he asks who else has one. So of two hosts that want
to rely on each other, at least one is refused (ADR 0020).
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from core.errors import Conflict, RealmError
from core.mounts import mount_of
from vault.asset_jobs import own_manifest, stamp_of
from vault.copies import Heavy, here
from vault.parts import problems_of

REMEMBERED = 256
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class WholeCopies:
    """Reads copies and remembers for a while which of them were whole; thread-safe. `heavy` reads the bytes."""

    def __init__(self, heavy: Heavy = here) -> None:
        self.heavy = heavy
        self._known: dict[Path, tuple[str, str, datetime]] = {}
        self._lock = threading.Lock()

    def verified_at(
        self, place: Path, digest: str, manifest: Mapping[str, Any] | None, now: datetime, within: timedelta
    ) -> datetime | None:
        """When all of it was read and found whole, at most so long ago; None where it is not whole or not there.

        `manifest` is that of a copy without one of its own.
        """
        try:
            stamp = stamp_of(place)
            with self._lock:
                known = self._known.get(place)
            # Either way: after a clock was set back, a day is not a year.
            if known is not None and known[:2] == (stamp, digest) and abs(now - known[2]) < within:
                return known[2]
            known_files = manifest or own_manifest(place)
            if known_files is None or problems_of(self.heavy, place if place.is_dir() else place.parent, known_files):
                return None
        except (OSError, RealmError):  # what cannot be read now proves nothing
            return None
        with self._lock:
            while len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[place] = (stamp, digest, now)
        return now


@contextmanager
def leaving(place: Path) -> Iterator[None]:
    """Mark a copy as about to be deleted; raises `Conflict` when somebody relies on it, or deletes it already."""
    with _locked(place, fcntl.LOCK_EX):
        yield


@contextmanager
def relied_on(place: Path) -> Iterator[None]:
    """Nobody who marks what he deletes deletes this copy meanwhile; raises `Conflict` when somebody does."""
    with _locked(place, fcntl.LOCK_SH):
        yield


def place_of(path: Path) -> str:
    """Which directory of which running machine this is, under whatever name: two names of one copy are one copy."""
    status = path.stat()
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        boot = os.uname().nodename
    return f"{boot}:{status.st_dev}:{status.st_ino}"


def is_own_disk(path: Path) -> bool:
    """Whether a path lies on a disk of this machine, for which its locks count; False where that cannot be told."""
    mount = mount_of(path)
    return mount is not None and not mount.is_network


def same_blocks(first: Path, second: Path) -> bool:
    """Whether every file of one copy is a hard link of that in the other: while either is there, nothing is lost."""
    try:
        names = [each.relative_to(first) for each in first.rglob("*") if each.is_file()]
        return bool(names) and all(os.path.samestat((first / n).lstat(), (second / n).lstat()) for n in names)
    except OSError:
        return False


@contextmanager
def _locked(place: Path, kind: int) -> Iterator[None]:
    try:
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise Conflict(f"{place} cannot be opened: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except OSError as error:
            raise Conflict(f"{place} is in use by somebody who deletes, or relies on what another deletes.") from error
        yield
    finally:
        with suppress(OSError):
            os.close(fd)

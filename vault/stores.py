"""The places where backups lie: below the base directory, and in every stronghold that is mounted here.

A stronghold may be a network mount, and those die: everything that is done in one is asked for with a time, and only
one piece of work at a time is done there by whichever hosts mount it, under a lock that lies in it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from core.checkpoint_records import BYTES_PER_GB
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.knocking import Knocker
from core.paths import RealmPaths
from vault.assets import LOCAL
from vault.seals import FOLDER, Seal, seals_in
from vault.storage_registry import StorageRegistry, Stronghold

LOOK_SECONDS = 20.0
"""For the list of what lies in a stronghold."""
WORK_SECONDS = 3600.0
"""For copying, reading or unlinking a backup in it."""
LOCK_SECONDS = 5.0
LOCK = ".lock"

T = TypeVar("T")


@dataclass(frozen=True)
class Store:
    """One place for backups."""

    name: str
    """Of its stronghold."""
    folder: Path
    is_automatic: bool = True
    """Whether rounds of retention keep it within its limits (`auto_cleanup` of its profile)."""
    max_bytes: int | None = None
    """Its own budget; None: that of the settings."""
    max_days: float | None = None


class Stores:
    """Those of one realm."""

    def __init__(
        self,
        paths: RealmPaths,
        registry: StorageRegistry | None = None,
        knocker: Knocker | None = None,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._paths = paths
        self._registry = registry or StorageRegistry(paths.base)
        self._knocker = knocker or Knocker()
        self._look_seconds = look_seconds

    def all(self) -> list[Store]:
        """This host's own first, then those that are mounted; raises `Unavailable` where the registry is damaged."""
        own = Store(LOCAL, self._paths.backups)
        usable = (each for each in self._registry.strongholds() if not each.in_maintenance)
        return [own, *(store for each in usable if (store := store_of(each)) is not None)]

    def get(self, name: str, *, for_backups: bool = False) -> Store:
        """One of them; raises `NotFound`, `Unavailable` for one that is not mounted or in maintenance, and `Conflict`
        for one that is not meant `for_backups`."""
        if name == LOCAL:
            return Store(LOCAL, self._paths.backups)
        stronghold = self._registry.get(name)
        store = store_of(stronghold)
        if store is None or stronghold.in_maintenance:
            why = "is in maintenance" if stronghold.in_maintenance else "is not mounted on this host"
            raise Unavailable(f"The stronghold {name} {why}.", hint="Give it a base_path, or choose another one.")
        if for_backups and not stronghold.profile.store_backups:
            raise Conflict(f"The stronghold {name} is not for backups.", hint="`store_backups` of its profile says so.")
        return store

    def seals(self, store: Store) -> list[Seal]:
        """What lies in it, oldest first; raises `Unavailable` where that cannot be told now."""
        return self.within(store, lambda: self._look(store), self._look_seconds, "looking into it")

    def within(self, store: Store, work: Callable[[], T], seconds: float = WORK_SECONDS, what: str = "work") -> T:
        """Do something in it that a dead mount may hold up; raises `Unavailable` when it does."""
        # What lies on the disk of the realm itself is waited for as everything else there.
        return work() if store.name == LOCAL else self._knocker.ask(f"{store.name} ({what})", work, seconds)

    @contextmanager
    def locked(self, store: Store) -> Iterator[None]:
        """Hold the lock of a stronghold, against all hosts that mount it; raises `Conflict` or `Unavailable`."""
        fd = self.within(store, lambda: _lock(store.folder / LOCK), LOCK_SECONDS * 2, "its lock")
        try:
            yield
        finally:
            with suppress(RealmError):  # a mount that has died meanwhile has lost the lock too
                self.within(store, lambda: os.close(fd), LOCK_SECONDS, "its lock")

    def _look(self, store: Store) -> list[Seal]:
        root = store.folder.parent
        if not root.is_dir():
            raise Unavailable(f"{root} is not there.", hint=f"Is the stronghold {store.name} mounted?")
        return list(seals_in(store.folder, store.name))


def backup_list(stores: Stores) -> dict[str, Any]:
    """All backups in reach, and the strongholds that do not answer; see `vault.answers.Backups`."""
    found: list[Seal] = []
    unreachable: dict[str, str] = {}
    for store in stores.all():
        try:
            found += stores.seals(store)
        except (OSError, RealmError) as error:
            unreachable[store.name] = str(error)
    return {"count": len(found), "backups": [seal.to_json() for seal in found], "unreachable": unreachable}


def store_of(stronghold: Stronghold) -> Store | None:
    """Where its backups lie; None for one that is not mounted here."""
    if stronghold.base_path is None:
        return None
    profile = stronghold.profile
    return Store(
        stronghold.name,
        Path(stronghold.base_path) / FOLDER,
        is_automatic=profile.auto_cleanup,
        max_bytes=None if profile.max_size_gb is None else int(profile.max_size_gb * BYTES_PER_GB),
        max_days=profile.retention_days,
    )


def _lock(file: Path) -> int:
    """An open, locked file; whoever closes it gives the lock up."""
    try:
        fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError as error:
        raise NotFound(f"There are no backups in {file.parent}.") from error
    except OSError as error:
        raise Unavailable(f"{file} cannot be opened: {error.strerror}.") from error
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(fd)
                raise Conflict(f"Somebody else works in {file.parent}.", hint="Try again when that is done.") from None
            time.sleep(0.05)
        except OSError as error:
            os.close(fd)
            raise Unavailable(f"{file.parent} knows no locks: {error.strerror}.") from error

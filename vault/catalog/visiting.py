"""The catalog of a base directory for a verb that has something to enter: one owner at a time, whoever that is.

Only the owner makes, migrates or replaces the file. Where a realm or another holder of the base directory lives, that
is the owner, and the verb writes its rows beside it; else the verb holds the directory for the moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Conflict
from core.instance import InstanceLock
from core.paths import RealmPaths
from vault.catalog.catalog import Catalog

VISIT = "realm vault, entering what was carried"
WAIT_SECONDS = 10.0
"""For another verb to have entered its own."""


@contextmanager
def visited(paths: RealmPaths) -> Iterator[Catalog]:
    """Raises `Unavailable` as `Catalog.opened` does."""
    paths.base.mkdir(parents=True, exist_ok=True)
    lock = InstanceLock(paths.lock)
    holder = InstanceLock.holder(paths.lock)
    is_owner = False
    if holder is None or holder.get("what") == VISIT:
        try:
            lock.acquire({"what": VISIT, "base_dir": str(paths.base)}, wait_seconds=WAIT_SECONDS)
            is_owner = True
        except Conflict:  # a realm has just come up
            pass
    try:
        with Catalog.opened(paths.catalog_db, paths.base, owner=is_owner, guest=not is_owner) as catalog:
            yield catalog
    finally:
        lock.release()

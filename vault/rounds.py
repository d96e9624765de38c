"""Holds the catalog of a running realm true: equal to its own disk, and to what other zones say of theirs.

The disk is looked at when the realm starts, every hour, and whenever the catalog fell behind; the zones are asked every
ten minutes, in a loop of their own, as somebody may be away.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from core.errors import RealmError
from core.tasks import every
from vault.keeper import VaultKeeper

if TYPE_CHECKING:
    from core.saga import News
    from vault.zones import Zones

logger = logging.getLogger(__name__)

RECONCILE_EVERY = timedelta(hours=1)
LOOK_SECONDS = 5.0
"""Between two looks whether the catalog fell behind."""
ZONES_SECONDS = 600.0
HUNG_SECONDS = 1800.0
"""A base directory with a hundred thousand files on a slow disk is looked through in that time."""


class CatalogRounds:
    """The rounds of one keeper; `tell` is told of a catalog that was damaged."""

    def __init__(
        self, keeper: VaultKeeper, zones: Zones | None, tell: Callable[[list[News], datetime], object]
    ) -> None:
        self._keeper = keeper
        self._zones = zones
        self._tell = tell
        self._made_at: datetime | None = None
        self._complained = False
        keeper.catalog.db.on_damage = self._on_damage
        if keeper.catalog.db.was_corrupt is not None:
            self._on_damage()

    async def run(self) -> None:
        """Look at the disk, for ever."""
        await every(LOOK_SECONDS, lambda: self.go(datetime.now(UTC)), within=HUNG_SECONDS)

    async def run_zones(self) -> None:
        """Ask the zones, for ever."""
        await every(ZONES_SECONDS, self.ask_zones, within=HUNG_SECONDS)

    async def go(self, now: datetime) -> None:
        """Look at the disk if it is time; one that does not answer is tried again the next time."""
        # Either way: after a clock was set back, an hour is not a year.
        due = self._made_at is None or abs(now - self._made_at) >= RECONCILE_EVERY
        if not (due or self._keeper.is_behind):
            return
        try:
            await asyncio.to_thread(self._keeper.reconcile)
            if due:
                await asyncio.to_thread(self._keeper.sweep, now)
        except (OSError, RealmError) as error:
            if not self._complained:
                logger.warning("the catalog is not reconciled: %s", error, extra={"event": "catalog_behind"})
            self._complained = True
            return
        self._complained = False
        self._made_at = now

    async def ask_zones(self) -> None:
        """Take over what the zones hold that answer; a mistake in the registry is logged each time."""
        if self._zones is None:
            return
        # Loaded on use: no start waits for it.
        from vault.zone_listing import take_over_listings

        ending = threading.Event()
        try:
            storages = await asyncio.to_thread(self._keeper.storage_names)
            catalog = self._keeper.catalog
            changed = await asyncio.to_thread(take_over_listings, catalog, self._zones, storages, ending)
        except (OSError, RealmError) as error:
            logger.warning("the zones are not asked: %s", error, extra={"event": "zones_unasked"})
            return
        finally:
            # The thread goes on by itself when this task is cancelled.
            ending.set()
        for zone_id, changes in changed.items():
            logger.info(
                "%s holds %d assets more, %d less", zone_id, len(changes.added), len(changes.removed),
                extra={"event": "zone_listed"},
            )  # fmt: skip

    def _on_damage(self) -> None:
        """The file was found corrupt and replaced: what could be read of it is held against the disk."""
        # Loaded on use: who only keeps a catalog needs no saga.
        from core.saga import News

        db = self._keeper.catalog.db
        self._keeper.catalog.recount()
        self._keeper.is_behind = True
        aside = db.was_corrupt.name if db.was_corrupt else None
        message = f"{db.path.name} was damaged and is set aside as {aside}; it is made anew from what lies on the disk"
        self._tell([News("database_corrupt", message, {"moved_to": str(db.was_corrupt)})], datetime.now(UTC))

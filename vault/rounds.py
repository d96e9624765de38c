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
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import RealmError, Unavailable
from core.own_threads import OwnThreads
from core.tasks import every
from vault.assets import LOCAL, Transfer
from vault.keeper import VaultKeeper

if TYPE_CHECKING:
    from core.saga import News
    from vault.catalog.catalog import Changes
    from vault.zones import Zones

logger = logging.getLogger(__name__)

RECONCILE_EVERY = timedelta(hours=1)
LOOK_SECONDS = 5.0
"""Between two looks whether the catalog fell behind."""
ZONES_SECONDS = 600.0
PATIENCE_SECONDS = 900.0
"""A base directory with a hundred thousand files on a slow disk is looked through in that time; who takes longer goes
on alone."""
HUNG_SECONDS = 1800.0

T = TypeVar("T")


def news_of(moved: Transfer) -> News:
    """What is told of an asset that was carried between this host and another, or was to be."""
    # Loaded on use: who only keeps a catalog needs no saga.
    from core.saga import News

    way = f"{moved.asset_id} from {_named(moved.from_stronghold)} to {_named(moved.to_stronghold)}"
    if not moved.success:
        return News("asset_not_carried", f"{way} did not arrive: {moved.error}", moved.to_json())
    message = f"{way}: {moved.bytes_transferred:,} bytes in {moved.duration_seconds:.1f} s, verified"
    return News("asset_carried", message, moved.to_json())


def _named(stronghold: str) -> str:
    return "here" if stronghold == LOCAL else stronghold


class CatalogRounds:
    """The rounds of one keeper; `tell` is told of a catalog that was damaged."""

    def __init__(
        self, keeper: VaultKeeper, zones: Zones | None, tell: Callable[[list[News], datetime], object]
    ) -> None:
        self._keeper = keeper
        self._zones = zones
        self._tell = tell
        self._threads = OwnThreads("looks through the vault", 2)
        self._looking: dict[str, asyncio.Future[Any]] = {}
        self._made_at: datetime | None = None
        self._complained = False
        keeper.catalog.db.on_damage = self._on_damage
        keeper.on_changed = self._on_changed
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
        if not (due or self._keeper.is_behind or self._keeper.catalog.db.is_damaged):
            return
        try:
            await self._patiently("disk", self._look, now if due else None)
        except (OSError, RealmError) as error:
            if not self._complained:
                logger.warning("the catalog is not reconciled: %s", error, extra={"event": "catalog_behind"})
            self._complained = True
            return
        self._complained = False
        self._made_at = now

    async def ask_zones(self) -> None:
        """Take over what the zones hold that answer; a mistake in the registry is logged each time."""
        zones = self._zones
        if zones is None:
            return
        # Loaded on use: no start waits for it.
        from vault.pin_book import PinBook
        from vault.zone_listing import take_over_listings
        from vault.zone_witnesses import ZoneWitnesses

        paths = self._keeper.paths
        ending = threading.Event()
        try:
            catalog, storages = self._keeper.catalog, self._keeper.storage_names
            changed = await self._patiently("zones", lambda: take_over_listings(catalog, zones, storages(), ending))
            witnesses = ZoneWitnesses(paths, zones)
            await self._patiently("pins", lambda: witnesses.take_over_pins(PinBook(paths.pins)))
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
            await asyncio.to_thread(self._tell_changed, f"the zone {zone_id}", changes)

    def _look(self, swept_at: datetime | None) -> None:
        if self._keeper.catalog.open_again() and self._keeper.catalog.db.was_corrupt is not None:
            self._on_damage()
        self._keeper.catalog.db.replace_if_damaged()
        self._keeper.reconcile()
        if swept_at is not None:
            self._keeper.sweep(swept_at)

    async def _patiently(self, what: str, work: Callable[..., T], *args: object) -> T:
        """Do it in a thread, and wait for some time; raises `Unavailable` until one that took longer has ended.

        A disk that hangs is no reason to call the whole realm hung, and none to leave a second thread in it.
        """
        before = self._looking.get(what)
        if before is not None and not before.done():
            raise Unavailable(f"The look at {what} that began earlier has not ended.")
        begun = asyncio.wrap_future(self._threads.start(partial(work, *args)))
        self._looking[what] = begun
        await asyncio.wait({begun}, timeout=PATIENCE_SECONDS)
        if not begun.done():
            begun.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise Unavailable(f"The look at {what} has not ended after {PATIENCE_SECONDS:g} s.")
        return begun.result()

    def _on_changed(self, changes: Changes) -> None:
        """Whoever has the catalog before his eyes learns that it is another. Not of the first look: what has changed
        while there was no realm is no news, and nobody has seen it yet."""
        if self._made_at is not None:
            self._tell_changed("the disk", changes)

    def _tell_changed(self, what: str, changes: Changes) -> None:
        # Loaded on use: who only keeps a catalog needs no saga.
        from core.saga import News

        counts = {"added": len(changes.added), "removed": len(changes.removed), "changed": len(changes.changed)}
        if not any(counts.values()):
            return  # what was refused is not in the catalog; it is so again at each look, for as long as it lies there
        told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        message = f"The catalog follows a look at {what}: {told}"
        self._tell([News("catalog_changed", message, counts)], datetime.now(UTC))

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

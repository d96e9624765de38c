"""What other zones hold, in this realm's catalog: their own listings, taken over as they are (A4).

A zone that answers is believed as a whole: what it no longer lists is gone. One that is away keeps what it was known to
hold, as nothing is to be concluded from silence.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.checkpoint_records import extract_step
from core.errors import Conflict, NotFound, RealmError, Unavailable
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog, Changes
from vault.zones import Zones

logger = logging.getLogger(__name__)

PAGE = 1000
TRIES = 3
"""A zone in which assets come and go while it is read is read again."""

Size = Annotated[int, Meta(ge=0, le=1 << 62)]
Time = Annotated[str, Meta(max_length=40)]
Place = Annotated[str, Meta(min_length=1, max_length=4096)]
Checksum = Annotated[str, Meta(max_length=64)]


@dataclass(frozen=True)
class _Copy:
    """One location, as a vault lists it."""

    stronghold: str
    path: Place
    status: LocationStatus
    verified_at: Time | None = None
    checksum: Checksum | None = None
    size_bytes: Size | None = None


@dataclass(frozen=True)
class _Listed:
    """One asset, as a vault or a branch officer lists it; further fields of newer versions are ignored."""

    asset_id: Annotated[str, Meta(min_length=1, max_length=300)]
    asset_type: AssetType
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    description: Annotated[str, Meta(max_length=2000)] = ""
    size_bytes: Size | None = None
    created_at: Time | None = None
    modified_at: Time | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    path: Place | None = None
    """Of a branch officer, which knows one place only."""
    checksum: Checksum | None = None
    locations: list[_Copy] = field(default_factory=list)


def take_over_listings(
    catalog: Catalog, zones: Zones, storages: Collection[str] = (), ending: threading.Event | None = None
) -> dict[str, Changes]:
    """Ask every other zone what it holds; what has changed, by zone. Waits for the network.

    What was known of a stronghold that is neither a zone nor one of the `storages` any more is struck out. Once it is
    `ending`, no further zone is asked.
    """
    registry, ending = zones.registry(), ending or threading.Event()
    changed: dict[str, Changes] = {}
    for zone_id in registry.hosts:
        if zone_id == registry.local_id:
            continue
        try:
            found = _listing(zones, zone_id, ending)
        except RealmError as error:
            logger.info("%s is not listed: %s", zone_id, error, extra={"event": "zone_unlisted"})
            continue
        changed[zone_id] = catalog.replace_stronghold(zone_id, found)
    known = {LOCAL, *registry.hosts, *storages}
    for stronghold in catalog.stats()["locations_by_stronghold"].keys() - known:
        changed[stronghold] = catalog.replace_stronghold(stronghold, [])
    return {name: changes for name, changes in changed.items() if changes}


def _listing(zones: Zones, zone_id: str, ending: threading.Event) -> list[Asset]:
    for _ in range(TRIES):
        pages = list(_pages(zones, zone_id, ending))
        if len({page["total"] for page in pages}) == 1:
            rows = [row for page in pages for row in page["assets"]]
            found = (_asset(zone_id, row) for row in rows)
            return [asset for asset in found if asset is not None]
    raise Conflict(f"What {zone_id} holds changes faster than it can be read.")


def _pages(zones: Zones, zone_id: str, ending: threading.Event) -> Iterator[dict[str, Any]]:
    offset, total = 0, 1
    while offset < total:
        if ending.is_set():
            raise Unavailable("The realm ends.")
        page = zones.assets(zone_id, asset_type=None, limit=PAGE, offset=offset)
        told = page.get("total")
        if not isinstance(told, int) or not isinstance(page.get("assets"), list):
            raise NotFound(f"{zone_id} does not list its assets as a zone does.")
        yield page
        total = told
        offset += PAGE


def _asset(zone_id: str, row: Any) -> Asset | None:
    """What a zone itself holds of an asset; None for what it only knows of, and for what cannot be believed."""
    try:
        told = msgspec.convert(row, _Listed)
    except msgspec.ValidationError as error:
        logger.warning("%s lists something odd: %s", zone_id, error, extra={"event": "listing_odd"})
        return None
    # A vault calls its own directory so, whatever else it knows of.
    copies = [copy for copy in told.locations if copy.stronghold == LOCAL]
    if told.path is not None:
        status = LocationStatus.UNVERIFIED if told.checksum is None else LocationStatus.VERIFIED
        copies = [_Copy(LOCAL, told.path, status, None, told.checksum, told.size_bytes)]
    locations = tuple(
        Location(zone_id, copy.path, copy.status, copy.verified_at, copy.checksum, copy.size_bytes) for copy in copies
    )
    if not locations:
        return None
    return Asset(
        told.asset_id, told.asset_type, told.name, told.description, told.size_bytes, told.created_at,
        told.modified_at, metadata=told.metadata, locations=locations,
        step=extract_step(told.name) if told.asset_type is AssetType.CHECKPOINT else None,
    )  # fmt: skip

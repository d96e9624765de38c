"""What other zones hold, in this realm's catalog: their own listings, taken over as they are (A4).

A zone that answers is believed as a whole: what it no longer lists is gone. One that is away keeps what it was known to
hold, as nothing is to be concluded from silence.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.checkpoint_records import extract_step, is_checkpoint_name
from core.errors import Conflict, NotFound, RealmError, Unavailable
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog, Changes
from vault.transfer.listing import is_plain_name
from vault.zones import Zones

logger = logging.getLogger(__name__)

PAGE = 1000
MOST_ASSETS = 10_000_000
"""Of one zone; whoever lists more does not end."""
ROW_BYTES = 64 << 10
"""Of one asset, as it is listed."""

ID_PREFIXES = {
    AssetType.CHECKPOINT: "checkpoint_",
    AssetType.MODEL: "model_",
    AssetType.BASE_MODEL: "model_",
    AssetType.TRAINING_DATA: "data_",
    AssetType.VALIDATION_DATA: "data_",
    AssetType.CONFIG: "config_",
    AssetType.SNAPSHOT: "snapshot_",
    AssetType.EVALUATION: "evaluation_",
    AssetType.BACKUP: "backup_",
    AssetType.LOG: "log_",
}
"""How ids begin (DESIGN section 6): none of another form may stand in the way of `latest`, a step or a name."""

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
    status: str | None = None
    """Of the copy of a branch officer; of a vault, that of the asset."""
    verified_at: Time | None = None
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
        if zone_id in storages:
            logger.warning(
                "%s is a host and a storage mounted here: it is not listed until one of them has another name", zone_id,
                extra={"event": "zone_unlisted"},
            )  # fmt: skip
            continue
        try:
            _take_over(catalog, zones, zone_id, ending, changed.setdefault(zone_id, Changes()))
        except (RealmError, ValueError) as error:
            logger.info("%s is not listed: %s", zone_id, error, extra={"event": "zone_unlisted"})
    known = {LOCAL, *registry.hosts, *storages}
    for stronghold in catalog.stats()["locations_by_stronghold"].keys() - known:
        changed[stronghold] = catalog.replace_stronghold(stronghold, [])
    return {name: changes for name, changes in changed.items() if changes}


def _take_over(catalog: Catalog, zones: Zones, zone_id: str, ending: threading.Event, changed: Changes) -> None:
    """Page by page, in the order of ids: what a page should hold and does not is struck out.

    Pages overlap by one asset: where that is another one by now, something came or went before it, and what would be
    left out could not be told from what is gone. The rest stays as it is known then, until the next round.
    """
    after, offset = "", 0
    while True:
        if ending.is_set():
            raise Unavailable("The realm ends.")
        page = zones.assets(zone_id, asset_type=None, limit=PAGE, offset=offset)
        total, rows = page.get("total"), page.get("assets")
        if type(total) is not int or not isinstance(rows, list) or total > MOST_ASSETS:
            raise NotFound(f"{zone_id} does not list its assets as a zone does.")
        ids = [row["asset_id"] for row in rows if isinstance(row, dict) and isinstance(row.get("asset_id"), str)]
        if after and ids[:1] != [after]:
            raise Conflict(f"What {zone_id} holds changes while it is read.")
        is_last = offset + PAGE >= total
        fresh = rows[1:] if after else rows
        if ids != sorted(set(ids)) or not (is_last or (fresh and ids)):
            raise NotFound(f"{zone_id} does not list its assets in their order.")
        upto = None if is_last else ids[-1]
        found = [asset for asset in (_asset(zone_id, row) for row in fresh) if asset is not None]
        some = catalog.replace_stronghold(zone_id, found, between=(after, upto))
        for kind in ("added", "changed", "removed", "refused"):
            getattr(changed, kind).extend(getattr(some, kind))
        if upto is None:
            return
        # A page may be short in the middle: what has just vanished from the disk is counted, and not told.
        after, offset = upto, offset + PAGE - 1


def _asset(zone_id: str, row: Any) -> Asset | None:
    """What a zone itself holds of an asset; None for what it only knows of, and for what cannot be believed."""
    try:
        if len(json.dumps(row, ensure_ascii=False).encode()) > ROW_BYTES:
            raise ValueError("an asset of more than 64 KiB")
        told = msgspec.convert(row, _Listed)
    except (ValueError, TypeError, RecursionError) as error:  # also half of a surrogate pair
        logger.warning("%s lists something odd: %s", zone_id, error, extra={"event": "listing_odd"})
        return None
    if (odd := _oddity(told)) is not None:
        logger.warning("%s lists %r, %s", zone_id, told.asset_id, odd, extra={"event": "listing_odd"})
        return None
    # A vault calls its own directory so, whatever else it knows of.
    copies = [copy for copy in told.locations if copy.stronghold == LOCAL]
    if told.path is not None:
        # One of an older version does not say: then nobody has said that its bytes were compared.
        known = told.status in list(LocationStatus)
        status = LocationStatus(str(told.status)) if known else LocationStatus.UNVERIFIED
        copies = [_Copy(LOCAL, told.path, status, told.verified_at, told.checksum, told.size_bytes)]
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


def _oddity(told: _Listed) -> str | None:
    """Why an entry must not come into the catalog: its name is to be that of a directory or file here, and its id is
    asked for by people."""
    if not is_plain_name(told.name):
        return f"whose name is {told.name!r}"
    plain = told.asset_id.isprintable() and not set(told.asset_id) & set("/\\")
    if not told.asset_id.startswith(ID_PREFIXES[told.asset_type]) or not plain:
        return f"which is no id of a {told.asset_type}"
    if told.asset_type is AssetType.CHECKPOINT and (
        not is_checkpoint_name(told.name)
        or told.asset_id not in (f"checkpoint_{extract_step(told.name)}", told.name.replace("-", "_", 1))
    ):
        return f"which is not the id of {told.name!r}"
    return None

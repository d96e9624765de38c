"""What has landed goes into a catalog as what it was asked for, whatever name it was given here (A4, A27).

A pull has read every file and compared it with its hash: that is why a copy is booked as verified.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from core.checkpoint_records import extract_step
from core.errors import Conflict, NotFound
from vault.asset_jobs import stamp_of
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog
from vault.catalog.finding import describe
from vault.manifest import digest_of
from vault.transfer.pull import PullReport


def book_landed(catalog: Catalog, report: PullReport, now: datetime) -> Asset:
    """Enter it, with its manifest and the stamp of its files, so that later looks know what was compared.

    An asset of other bytes that has its id already keeps it, and this one gets one of its own: the same step of
    another history has date and time in it.
    """
    asset = _landed(report, now)
    (place,) = asset.locations
    catalog.store_manifest(report.path, stamp_of(report.path), report.manifest)
    for asset_id in _ids(asset):
        drop_gone(catalog, asset_id)
        own = replace(asset, asset_id=asset_id)
        known = catalog.locate(asset_id)
        if known is not None and any(_differ(place, each) for each in known.locations):
            continue
        catalog.put(own)
        return own
    raise Conflict(f"{report.path} is there, but every id that it could have is that of other bytes.")


def drop_gone(catalog: Catalog, asset_id: str) -> None:
    """Strike out the places of this host at which nothing of an asset lies any more."""
    known = catalog.locate(asset_id)
    for place in known.locations if known else ():
        if place.stronghold == LOCAL and not os.path.lexists(place.path):
            catalog.drop_location(asset_id, LOCAL, place.path)


def _ids(asset: Asset) -> Iterator[str]:
    yield asset.asset_id
    if asset.asset_type is AssetType.CHECKPOINT and extract_step(asset.name):
        yield asset.name.replace("-", "_", 1)
    yield f"{asset.asset_id[:280]}_{(asset.locations[0].checksum or '')[:8]}"


def _differ(place: Location, known: Location) -> bool:
    is_same_place = (place.stronghold, place.path) == (known.stronghold, known.path)
    return not is_same_place and known.checksum not in (None, place.checksum) and known.status != "corrupted"


def _landed(report: PullReport, now: datetime) -> Asset:
    kind = AssetType(report.asset_type) if report.asset_type in list(AssetType) else None
    at = now.isoformat()
    try:
        found = describe(report.path, LOCAL, is_primary=True)
    except NotFound:  # archives and snapshots tell by nothing in them what they are
        if kind is None or not report.asset_id:
            raise
        modified = datetime.fromtimestamp(report.path.lstat().st_mtime, UTC).isoformat()
        location = Location(LOCAL, str(report.path), size_bytes=report.bytes_total, is_primary=True)
        found = Asset(report.asset_id, kind, report.path.name, size_bytes=report.bytes_total, created_at=modified,
                      modified_at=modified, locations=(location,))  # fmt: skip
    here = replace(found.locations[0], status=LocationStatus.VERIFIED, verified_at=at, synced_at=at,
                   checksum=digest_of(report.manifest))  # fmt: skip
    kind = kind or found.asset_type
    step = found.step
    if kind is AssetType.CHECKPOINT and step is None:
        step = extract_step(report.asset_id.replace("_", "-", 1)) or None
    asset_id = report.asset_id or found.asset_id
    return replace(found, asset_id=asset_id, asset_type=kind, step=step, locations=(here,))

"""What the VaultKeeper API sends of the catalog, as models (spec 1.9)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from core.http.answer_models import Answer

AssetKind = Literal[
    "checkpoint", "model", "base_model", "training_data", "validation_data", "config", "snapshot", "evaluation",
    "backup", "log",
]  # fmt: skip
Kind = Literal["local", "nas", "cloud", "remote"]


class LocationView(Answer):
    """One copy of an asset."""

    stronghold: str
    """`local_vault` is the realm's own directory; others are storages mounted here, or zones."""
    path: str
    status: Literal["verified", "unverified", "missing", "syncing", "corrupted"]
    verified_at: str | None
    """When its files were last compared with their hashes, ISO 8601 UTC."""
    checksum: str | None
    """BLAKE3 digest of its manifest."""
    size_bytes: int | None
    synced_at: str | None
    is_primary: bool


class AssetView(Answer):
    """One thing, with all its copies, the best first."""

    asset_id: str
    asset_type: AssetKind
    name: str
    description: str
    size_bytes: int | None
    size_gb: float | None
    """10⁹ bytes."""
    created_at: str | None
    modified_at: str | None
    status: Literal["active", "archived", "deprecated", "missing", "corrupted"]
    locations: list[LocationView]
    metadata: dict[str, Any]
    step: int | None
    """Of a checkpoint."""


class Located(Answer):
    """Where an asset lies."""

    asset_id: str
    found: bool
    locations: list[LocationView]
    """Best first: verified before unverified, then local, NAS, other hosts."""
    best_location: LocationView | None
    error: str | None
    """Why it is not found, or cannot be read."""


class AssetPage(Answer):
    """Some of the assets that fit."""

    count: int
    """On this page."""
    total: int
    """On all pages."""
    offset: int
    assets: list[AssetView]


class CheckpointPage(Answer):
    """Some of the checkpoints, newest first."""

    count: int
    total: int
    offset: int
    checkpoints: list[AssetView]


class Export(Answer):
    """The whole catalog."""

    exported_at: str
    assets: list[AssetView]


class RecentTransfer(Answer):
    """What was carried, and between which strongholds."""

    asset_id: str
    from_: str = Field(alias="from")
    to: str
    success: bool
    timestamp: str


class Disk(Answer):
    """The disk that the base directory lies on."""

    free_gb: float
    total_gb: float
    used_pct: float | None


class Counted(Answer):
    """The catalog in numbers."""

    total_assets: int
    assets_by_type: dict[str, int]
    locations_by_stronghold: dict[str, int]
    total_size_gb: float
    """Each asset counted once, however many copies there are."""
    recent_transfers: list[RecentTransfer]
    """The last ten, newest first."""


class Stats(Counted):
    """The catalog in numbers, and the room for more."""

    disk: Disk | None
    """Null where it does not tell; `/api/strongholds` has that of the others."""


class StrongholdView(Answer):
    """A place in which assets lie."""

    name: str
    type: Kind
    host: str | None
    base_path: str | None
    asset_count: int
    status: Literal["active", "offline", "degraded", "maintenance", "unknown"]
    total_gb: float | None
    used_gb: float | None
    free_gb: float | None
    usage_percent: float | None


class Strongholds(Answer):
    count: int
    strongholds: list[StrongholdView]


class TransferView(Answer):
    """How an asset was carried."""

    asset_id: str
    from_stronghold: str
    to_stronghold: str
    from_path: str
    to_path: str
    success: bool
    created_at: str
    bytes_transferred: int
    duration_seconds: float
    error: str | None


class FetchedView(Answer):
    """What came of a fetch."""

    asset_id: str
    success: bool
    local_path: str | None
    source_location: LocationView | None
    transfer: TransferView | None
    """Null where it was there already."""
    error: str | None


class Registered(Answer):
    success: bool
    asset: AssetView


class LeftOut(Answer):
    path: str
    reason: str


class Scanned(Answer):
    """What a scan has entered."""

    scanned_path: str
    registered_count: int
    asset_ids: list[str]
    skipped: list[LeftOut]


class Verification(Answer):
    """What was found of one copy."""

    stronghold: str
    path: str
    status: Literal["verified", "unverified", "missing", "syncing", "corrupted"]
    verified_at: str | None
    problems: list[str]


class Verified(Answer):
    asset_id: str
    verification_results: list[Verification]


class Rebuilt(Counted):
    """What a catalog has that was made anew from the disk."""

"""What a branch officer sends, as models: they describe the answers in the OpenAPI document (spec 1.11)."""

from __future__ import annotations

from typing import Any, Literal

from core.http.answer_models import Answer
from vault.catalog.answers import Verification


class Counted(Answer):
    """How many, and how large together."""

    count: int
    size_bytes: int


class CatalogNumbers(Answer):
    """What the catalog of a zone holds."""

    total_assets: int
    assets_by_type: dict[str, Counted]
    total_size_bytes: int
    total_size_gb: float


class Disk(Answer):
    """The disk that the zone lies on."""

    free_gb: float
    total_gb: float
    used_pct: float | None


class Status(Answer):
    """One zone."""

    status: str
    zone_id: str
    version: str
    timestamp: str
    base_dir: str
    catalog: CatalogNumbers
    disk: Disk


class Transferred(Answer):
    """A transfer to the zone that has ended."""

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


class Stats(CatalogNumbers):
    """The numbers of a zone."""

    zone_id: str
    recent_transfers: list[Transferred]


class AssetHere(Answer):
    """Something that lies in the zone."""

    asset_id: str
    asset_type: str
    name: str
    path: str
    size_bytes: int | None
    size_gb: float | None
    checksum: str | None
    """The digest of its manifest; null where nothing was hashed."""
    status: Literal["verified", "unverified", "missing", "syncing", "corrupted"]
    """Verified is what was read and compared with its hashes when it came here, and was not written since."""
    verified_at: str | None
    created_at: str | None
    modified_at: str | None
    scanned_at: str | None
    """When the zone was last scanned; null when that was before this start."""
    metadata: dict[str, Any]


class Assets(Answer):
    """A page of assets."""

    zone_id: str
    count: int
    total: int
    offset: int
    assets: list[AssetHere]


class OneAsset(Answer):
    """One asset."""

    zone_id: str
    asset: AssetHere


class TransferInfo(Answer):
    """How to get at an asset."""

    asset_id: str
    type: Literal["directory", "file"]
    path: str
    size_bytes: int | None
    transfer_method: Literal["http"]
    manifest: str
    """Path of its manifest at this officer; its files are beside that."""
    rsync_source: str | None
    """For rsync over ssh; null when the registry does not know the address of this zone."""
    message: str


class Scanned(Answer):
    """What a look at the disk has found."""

    zone_id: str
    registered: int
    """New or changed."""
    skipped: int
    errors: list[str]
    scanned_paths: list[str]


class Received(Answer):
    """Where an asset may be put, or that it is on its way."""

    zone_id: str
    asset_id: str
    destination: str
    rsync_target: str | None
    ready: bool
    transfer_id: str | None
    """Of the transfer that was begun; null without a source."""
    message: str


class Arrival(Answer):
    """An asset that is fetched, or was."""

    transfer_id: str
    asset_id: str
    source: str
    destination: str
    state: Literal["running", "done", "failed"]
    bytes_done: int | None
    bytes_total: int | None
    bytes_per_second: float | None
    started_at: str
    finished_at: str | None
    error: str | None
    error_code: str | None
    digest: str | None
    """Of the manifest of what has landed."""


class Arrivals(Answer):
    """All of them, newest first."""

    zone_id: str
    count: int
    transfers: list[Arrival]


class Verified(Answer):
    """What was found of the copies of an asset."""

    zone_id: str
    asset_id: str
    verification_results: list[Verification]

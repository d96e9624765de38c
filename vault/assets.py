"""What the catalog keeps: assets by type and id, and the places where each of them lies (spec 1.9).

An asset is one thing, whichever hosts hold a copy of it: a checkpoint, a model, a file. A location is one such copy, in
a stronghold: this realm's own directory, a storage mounted here, or another zone. Times are ISO 8601 UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from core.checkpoint_records import BYTES_PER_GB

LOCAL = "local_vault"
"""The stronghold that is the realm's own base directory."""


class AssetType(StrEnum):
    CHECKPOINT = "checkpoint"
    MODEL = "model"
    BASE_MODEL = "base_model"
    TRAINING_DATA = "training_data"
    VALIDATION_DATA = "validation_data"
    CONFIG = "config"
    SNAPSHOT = "snapshot"
    EVALUATION = "evaluation"
    BACKUP = "backup"
    LOG = "log"


class AssetStatus(StrEnum):
    """What the copies of an asset come to. Nothing deprecates an asset here, so none is that."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    """Whole copies of it lie in backups only."""
    DEPRECATED = "deprecated"
    MISSING = "missing"
    """No copy is there that could be read."""
    CORRUPTED = "corrupted"
    """Every copy that is there is damaged."""


class LocationStatus(StrEnum):
    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    MISSING = "missing"
    SYNCING = "syncing"
    CORRUPTED = "corrupted"


class StrongholdType(StrEnum):
    """What kind of storage a stronghold is; nearer ones come first."""

    LOCAL = "local"
    NAS = "nas"
    CLOUD = "cloud"
    REMOTE = "remote"


KindOf = Callable[[str], StrongholdType]
"""The kind of the stronghold of this name."""

_SEALED = re.compile(r".*/backups/.*-[0-9]{8}T[0-9]{6}Z.*/.*", re.DOTALL)
"""The place of a backup, as `vault.seals` names it; the same pattern stands in the triggers of the catalog."""
_USABLE = {LocationStatus.VERIFIED: 0, LocationStatus.UNVERIFIED: 1}
_NEARNESS = {StrongholdType.LOCAL: 0, StrongholdType.NAS: 1, StrongholdType.REMOTE: 2, StrongholdType.CLOUD: 3}


@dataclass(frozen=True)
class Location:
    """One copy of an asset."""

    stronghold: str
    path: str
    """Absolute, on the host of the stronghold."""
    status: LocationStatus = LocationStatus.UNVERIFIED
    verified_at: str | None = None
    """When its files were last compared with their hashes."""
    checksum: str | None = None
    """The digest of its manifest; None where nothing was hashed."""
    size_bytes: int | None = None
    synced_at: str | None = None
    """When it was brought here from another stronghold."""
    is_primary: bool = False

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))  # `asdict` copies deeply, which takes longer than finding it

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Location:
        """The location in `raw`; raises `ValueError`, `KeyError` or `TypeError` where it is none. Further
        fields, of newer versions, are left aside."""
        return Location(**{**_known(Location, raw), "status": LocationStatus(raw["status"])})


@dataclass(frozen=True)
class Asset:
    """One thing, with all its copies."""

    asset_id: str
    asset_type: AssetType
    name: str
    """Of its directory or file."""
    description: str = ""
    size_bytes: int | None = None
    created_at: str | None = None
    modified_at: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    locations: tuple[Location, ...] = ()
    step: int | None = None
    """Of a checkpoint; by it checkpoints are in order."""

    @property
    def status(self) -> AssetStatus:
        """Of these copies; the triggers of the catalog keep the same in its column, by which it is searched."""
        usable = [location for location in self.locations if is_usable(location)]
        if usable:
            is_archive = self.asset_type == AssetType.BACKUP or all(is_sealed(location.path) for location in usable)
            return AssetStatus.ARCHIVED if is_archive else AssetStatus.ACTIVE
        is_damaged = any(location.status is LocationStatus.CORRUPTED for location in self.locations)
        return AssetStatus.CORRUPTED if is_damaged else AssetStatus.MISSING

    def to_json(self) -> dict[str, Any]:
        """The asset as the API sends it, locations in the order in which they were given."""
        size = self.size_bytes
        return {
            "asset_id": self.asset_id,
            "asset_type": self.asset_type,
            "name": self.name,
            "description": self.description,
            "size_bytes": size,
            "size_gb": None if size is None else size / BYTES_PER_GB,
            "created_at": self.created_at,
            "modified_at": self.modified_at,
            "status": self.status,
            "locations": [location.to_json() for location in self.locations],
            "metadata": dict(self.metadata),
            "step": self.step,
        }

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Asset:
        """The asset in `raw`; raises `ValueError`, `KeyError` or `TypeError` where it is none."""
        return Asset(
            asset_id=raw["asset_id"], asset_type=AssetType(raw["asset_type"]), name=raw["name"],
            description=raw["description"], size_bytes=raw["size_bytes"], created_at=raw["created_at"],
            modified_at=raw["modified_at"], metadata=raw["metadata"],
            locations=tuple(Location.from_json(each) for each in raw["locations"]), step=raw.get("step"),
        )  # fmt: skip


@dataclass(frozen=True)
class Transfer:
    """An asset that was carried, or was to be carried, from one place to another."""

    asset_id: str
    from_stronghold: str
    to_stronghold: str
    from_path: str
    to_path: str
    success: bool
    created_at: str
    bytes_transferred: int = 0
    duration_seconds: float = 0.0
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(raw: Mapping[str, Any]) -> Transfer:
        """The transfer in `raw`, as `Location.from_json`."""
        return Transfer(**_known(Transfer, raw))


@dataclass(frozen=True)
class Lookup:
    """The answer to `locate`."""

    asset_id: str
    """As found; as asked for where nothing was found."""
    found: bool
    locations: tuple[Location, ...] = ()
    """Best first."""
    best_location: Location | None = None
    """The one to read from; None where every copy is missing or damaged."""
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        best = self.best_location
        return {
            "asset_id": self.asset_id,
            "found": self.found,
            "locations": [location.to_json() for location in self.locations],
            "best_location": None if best is None else best.to_json(),
            "error": self.error,
        }


@dataclass(frozen=True)
class Fetched:
    """The answer to `fetch`."""

    asset_id: str
    success: bool
    local_path: str | None = None
    source_location: Location | None = None
    transfer: Transfer | None = None
    """None where nothing had to be carried."""
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        source, transfer = self.source_location, self.transfer
        return {
            "asset_id": self.asset_id,
            "success": self.success,
            "local_path": self.local_path,
            "source_location": None if source is None else source.to_json(),
            "transfer": None if transfer is None else transfer.to_json(),
            "error": self.error,
        }


def ranked(locations: Iterable[Location], kind_of: KindOf) -> tuple[Location, ...]:
    """Best first: verified before unverified, then local, NAS, other hosts; those that cannot be read come last."""

    def rank(location: Location) -> tuple[int, int, bool, str, str]:
        usable = _USABLE.get(location.status, len(_USABLE))
        nearness = _NEARNESS[kind_of(location.stronghold)]
        return usable, nearness, not location.is_primary, location.stronghold, location.path

    return tuple(sorted(locations, key=rank))


def _known(kind: type[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: raw[each.name] for each in fields(kind) if each.name in raw}


def is_usable(location: Location) -> bool:
    """Whether it may be read from."""
    return location.status in _USABLE


def is_sealed(path: str) -> bool:
    """Whether a copy at this place, absolute or below a base directory, is a backup."""
    return _SEALED.fullmatch(f"/{path}") is not None

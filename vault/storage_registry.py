"""The storages of a realm: `configs/storage_registry.json`, one entry for each stronghold (spec 1.9).

A stronghold here is a place that is mounted on this host, such as a NAS; the realm's own directory needs no entry, and
other hosts stand in `configs/hosts.yaml`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from core.checkpoint_records import BYTES_PER_GB
from core.errors import InvalidInput, NotFound, RealmError, Unavailable
from core.file_lock import locked_file
from core.files import DISK, Files, read_json
from core.knocking import Knocker
from core.mounts import mount_of
from core.paths import RealmPaths, resolve_base_dir
from vault.assets import LOCAL, AssetType, StrongholdType

__all__ = ["StorageProfile", "StorageRegistry", "Stronghold", "StrongholdStatus", "StrongholdType", "SyncSchedule"]

VERSION = "1.0.0"
LOOK_SECONDS = 2.0
"""A disk that takes longer to say how much room it has is offline: nobody waits for it."""
KNOCKER = Knocker()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class StrongholdStatus(StrEnum):
    ACTIVE = "active"
    OFFLINE = "offline"
    DEGRADED = "degraded"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


class SyncSchedule(StrEnum):
    ON_SAVE = "on_save"
    ON_DEPLOY = "on_deploy"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MANUAL = "manual"


@dataclass(frozen=True, kw_only=True)
class StorageProfile:
    """What a stronghold is for, and how much of it."""

    allocation_tb: float | None = None
    """Of the whole storage, 10¹² bytes; None: whatever there is."""
    max_size_gb: float | None = None
    retention_days: int | None = None
    sync_schedule: SyncSchedule = SyncSchedule.MANUAL
    store_checkpoints: bool = True
    store_models: bool = True
    store_backups: bool = True
    store_logs: bool = False
    store_snapshots: bool = True
    auto_cleanup: bool = False
    cleanup_threshold_pct: float = 90.0
    """Part of the disk in use from which on the stronghold counts as degraded."""


@dataclass(frozen=True, kw_only=True)
class Stronghold:
    """One storage."""

    name: str
    stronghold_type: StrongholdType
    host: str | None = None
    share: str | None = None
    """Its name on the host, such as `/volume1/data`."""
    base_path: str | None = None
    """Where it is mounted here; None where it is not."""
    profile: StorageProfile = field(default_factory=StorageProfile)
    in_maintenance: bool = False
    mount_point: str | None = None
    """The mount on which `base_path` lay when it was registered; None where it was not there."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class StorageRegistry:
    """The strongholds of one realm; any number of processes may read and write them at once."""

    def __init__(self, base_dir: str | os.PathLike[str] | None = None, *, files: Files = DISK) -> None:
        self._paths = RealmPaths(resolve_base_dir(base_dir))
        self._file = self._paths.configs / "storage_registry.json"
        self._files = files
        self._read: tuple[tuple[int, int, int], list[Stronghold]] | None = None

    def strongholds(self) -> list[Stronghold]:
        """All of them by name; raises `Unavailable` where the file is damaged, which nobody may take for empty."""
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be read: {error.strerror}.") from error
        # Asked with every look-up of what lies elsewhere. Its time is taken before it is read.
        signature = (status.st_ino, status.st_mtime_ns, status.st_size)
        if self._read is None or self._read[0] != signature:
            self._read = (signature, self._parsed())
        return list(self._read[1])

    def get(self, name: str) -> Stronghold:
        """The stronghold of this name; raises `NotFound`."""
        for each in self.strongholds():
            if each.name == name:
                return each
        raise NotFound(f"There is no stronghold {name!r}.", hint="StorageRegistry.register_stronghold adds one.")

    def register_stronghold(
        self,
        name: str,
        stronghold_type: StrongholdType,
        host: str | None = None,
        share: str | None = None,
        base_path: str | os.PathLike[str] | None = None,
        profile: StorageProfile | None = None,
    ) -> Stronghold:
        """Add a stronghold, or change the one of this name; raises `InvalidInput` for a name or path that cannot be."""
        if _NAME.fullmatch(name) is None or name == LOCAL:
            raise InvalidInput(
                f"A stronghold cannot be named {name!r}.", hint="Letters, digits, dot, dash and underscore, at most 64."
            )
        place = None if base_path is None else os.fspath(base_path)
        if place is not None and not os.path.isabs(place):
            raise InvalidInput(f"base_path must be absolute, not {place!r}.")
        if name in self._hosts():
            raise InvalidInput(
                f"{name!r} is a host of the registry, and what lies there is not what lies in a storage mounted here.",
                hint="Give the storage another name.",
            )
        made = Stronghold(
            name=name, stronghold_type=StrongholdType(stronghold_type), host=host, share=share, base_path=place,
            profile=profile or StorageProfile(), mount_point=None if place is None else _mount_point(place),
        )  # fmt: skip
        self._change(lambda known: {**known, name: made})
        return made

    def remove_stronghold(self, name: str) -> None:
        """Forget a stronghold; what lies in it stays. Raises `NotFound`."""
        self.get(name)
        self._change(lambda known: {key: each for key, each in known.items() if key != name})

    def kind_of(self, name: str) -> StrongholdType:
        """The type of a stronghold; one that is not registered here is on another host."""
        if name == LOCAL:
            return StrongholdType.LOCAL
        return next((each.stronghold_type for each in self.strongholds() if each.name == name), StrongholdType.REMOTE)

    def status_of(self, stronghold: Stronghold) -> dict[str, Any]:
        """Whether it can be used, and the room in it in GB (10⁹ bytes). Looks at its disk, which may take its time."""
        told: dict[str, Any] = {"total_gb": None, "used_gb": None, "free_gb": None, "usage_percent": None}
        if stronghold.in_maintenance:
            return {"status": StrongholdStatus.MAINTENANCE, **told}
        if stronghold.base_path is None:
            return {"status": StrongholdStatus.UNKNOWN, **told}
        try:
            # The name is the place: two storages on one dead share are two threads at most.
            look = partial(_room, stronghold.base_path, stronghold.mount_point)
            usage, readable = KNOCKER.ask(f"room {stronghold.base_path}", look, LOOK_SECONDS)
        except (OSError, Unavailable):
            return {"status": StrongholdStatus.OFFLINE, **told}
        percent = 100 * usage.used / max(usage.used + usage.free, 1)
        full = percent > stronghold.profile.cleanup_threshold_pct
        return {
            "status": StrongholdStatus.DEGRADED if full or not readable else StrongholdStatus.ACTIVE,
            "total_gb": usage.total / BYTES_PER_GB,
            "used_gb": usage.used / BYTES_PER_GB,
            "free_gb": usage.free / BYTES_PER_GB,
            "usage_percent": percent,
        }

    def check_all_status(self) -> dict[str, dict[str, Any]]:
        """`status_of` each by name."""
        return {each.name: self.status_of(each) for each in self.strongholds()}

    def recommend_storage(self, asset_type: AssetType, size_bytes: int = 0) -> Stronghold | None:
        """Where to put an asset: of those that store its type and have the room, the nearest with the most; or None."""
        fit: list[tuple[int, float, Stronghold]] = []
        for each in self.strongholds():
            told = self.status_of(each)
            if told["status"] != StrongholdStatus.ACTIVE or not _stores(each.profile, asset_type):
                continue
            if told["free_gb"] * BYTES_PER_GB > size_bytes:
                fit.append((list(StrongholdType).index(each.stronghold_type), -told["free_gb"], each))
        return min(fit, key=lambda entry: entry[:2])[2] if fit else None

    def _hosts(self) -> Collection[str]:
        # Loaded on use: no start waits for it.
        from core.hosts import get_registry

        try:
            return get_registry(self._paths).hosts
        except RealmError:  # a registry with mistakes is told of by whoever needs it
            return ()

    def _parsed(self) -> list[Stronghold]:
        raw = read_json(self._file)
        try:
            entries = msgspec.convert(raw["strongholds"] if isinstance(raw, dict) else None, list[Stronghold])
        except (KeyError, msgspec.ValidationError) as error:
            raise Unavailable(f"{self._file} is damaged: {error}.", hint="Correct it or delete it.") from error
        return sorted(entries, key=lambda each: each.name)

    def _change(self, change: Any) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with locked_file(self._file.with_name(f".{self._file.name}.lock")):
            known: Mapping[str, Stronghold] = {each.name: each for each in self.strongholds()}
            body = {
                "version": VERSION,
                "updated_at": datetime.now(UTC).isoformat(),
                "strongholds": [each.to_json() for _, each in sorted(change(known).items())],
            }
            self._files.write_json(self._file, body, durable=True)


def _room(place: str, mount_point: str | None) -> tuple[Any, bool]:
    """Usage of its disk, and whether it can be read and written; raises `Unavailable` where another one lies there."""
    usage = shutil.disk_usage(place)
    # An empty mount point is a directory of the disk below.
    if mount_point is not None and len(mount_point) > len(_mount_point(place) or "/"):
        raise Unavailable(f"{mount_point} is not mounted.")
    return usage, os.access(place, os.R_OK | os.W_OK | os.X_OK)


def _mount_point(place: str) -> str | None:
    mount = mount_of(Path(place)) if os.path.isdir(place) else None
    return None if mount is None else str(mount.point)


def _stores(profile: StorageProfile, asset_type: AssetType) -> bool:
    wanted = {
        AssetType.CHECKPOINT: profile.store_checkpoints,
        AssetType.MODEL: profile.store_models,
        AssetType.BASE_MODEL: profile.store_models,
        AssetType.BACKUP: profile.store_backups,
        AssetType.LOG: profile.store_logs,
        AssetType.SNAPSHOT: profile.store_snapshots,
    }
    return wanted.get(asset_type, True)

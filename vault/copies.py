"""The copies of assets that lie on this host: what they are made of, whether they are whole, and copying them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from core.errors import Conflict, NotFound, RealmError, Unavailable
from vault.asset_jobs import own_manifest, stamp_of
from vault.assets import LOCAL, Asset, Location, LocationStatus, Transfer
from vault.catalog.catalog import Catalog
from vault.manifest import MANIFEST
from vault.storage_registry import StorageRegistry

Heavy = Callable[[str, dict[str, Any]], Any]
"""Calls `package.module:function(**kwargs)`, here or in another process."""


def here(target: str, kwargs: dict[str, Any]) -> Any:
    """Do heavy work in this very process."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)(**kwargs)


class Copies:
    """Those of one catalog; `heavy` reads and writes the bytes."""

    def __init__(self, catalog: Catalog, storages: StorageRegistry, heavy: Heavy = here) -> None:
        self._catalog = catalog
        self._storages = storages
        self._heavy = heavy

    def is_here(self, location: Location) -> bool:
        """Whether its path is one of this host: in the realm's directory, or in a storage that is mounted."""
        if location.stronghold == LOCAL:
            return True
        mounted = (each for each in self._storages.strongholds() if each.base_path is not None)
        return any(each.name == location.stronghold for each in mounted)

    def manifest(self, asset: Asset, location: Location) -> dict[str, Any]:
        """What the copy is made of: its own manifest, else one made of its bytes, and remembered.

        Raises `NotFound` where it has gone, `Conflict` where its own is damaged, `Unavailable` where the disk fails.
        """
        place = Path(location.path)
        try:
            # Looked at before it is hashed: what changes meanwhile is hashed again the next time.
            stamp = stamp_of(place)
            found = self._own(place) or self._catalog.manifest(place, stamp)
            if found is None:
                found = self._heavy("vault.asset_jobs:make", {"path": str(place)})
                self._catalog.store_manifest(place, stamp, found)
        except FileNotFoundError as error:
            raise NotFound(f"{asset.asset_id} is not at {place} any more.") from error
        except OSError as error:
            raise Unavailable(f"{place} cannot be read: {error.strerror}.") from error
        return found

    def copy(self, asset: Asset, source: Location, target: Path) -> Transfer | None:
        """Copy it to a new place, whole or not at all; None where it lies there already.

        The transfer is noted, also one that failed; raises `RealmError` then.
        """
        manifest = self.manifest(asset, source)
        begun = time.monotonic()
        told = Transfer(
            asset.asset_id, source.stronghold, LOCAL, source.path, str(target), success=True,
            created_at=datetime.now(UTC).isoformat(),
        )  # fmt: skip
        try:
            kwargs = {"source": source.path, "target": str(target), "manifest": manifest}
            if not self._heavy("vault.asset_jobs:copy", kwargs):
                return None
        except RealmError as error:
            self._catalog.note_transfer(replace(told, success=False, error=str(error)))
            raise
        done = replace(told, bytes_transferred=manifest["total_bytes"], duration_seconds=time.monotonic() - begun)
        self._catalog.note_transfer(done)
        return done

    def verify(self, asset: Asset, location: Location, *, now: datetime) -> dict[str, Any]:
        """Read every file and compare it with its hash; the catalog keeps what was found.

        A copy without hashes gets them: from then on its bytes are known. One on another host is told as it stands.
        """
        if not self.is_here(location):
            return _told(location, [f"It lies on another host, {location.stronghold}."])
        place = Path(location.path)
        try:
            own = self._own(place)
            known = own or self._catalog.manifest(place, stamp_of(place))
            kwargs = {"path": str(place), "manifest": None if own else known}
            problems = self._heavy("vault.asset_jobs:check", kwargs) if known else []
            checksum = (known or self.manifest(asset, location))["digest"]
        except (NotFound, FileNotFoundError):
            problems, checksum = [f"{place} is not there any more"], location.checksum
        except Conflict as error:
            problems, checksum = [error.message], location.checksum
        status = LocationStatus.CORRUPTED if problems else LocationStatus.VERIFIED
        checked = replace(location, status=status, checksum=checksum, verified_at=now.isoformat())
        if not place.exists():
            return _told(checked, problems)
        try:
            self._catalog.put_location(asset.asset_id, checked)
        except Conflict as error:  # now that its bytes are known, they are not those of the other copies
            problems = [*problems, error.message]
            checked = replace(checked, status=LocationStatus.CORRUPTED, checksum=None)
            self._catalog.put_location(asset.asset_id, checked)
        return _told(checked, problems)

    def _own(self, place: Path) -> dict[str, Any] | None:
        own = own_manifest(place)
        if own is None and (place / MANIFEST).exists():
            raise Conflict(f"{place / MANIFEST} is damaged.", hint="`realm ledger verify` tells more.")
        return own


def _told(location: Location, problems: list[str]) -> dict[str, Any]:
    """See `vault.catalog.answers.Verification`."""
    return {
        "stronghold": location.stronghold,
        "path": location.path,
        "status": location.status,
        "verified_at": location.verified_at,
        "problems": problems,
    }

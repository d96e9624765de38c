"""The copies of assets that lie on this host: what they are made of, whether they are whole, and copying them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from core.checkpoint_survey import folder_size
from core.errors import Conflict, NotFound, RealmError, Unavailable
from vault.asset_jobs import own_manifest, stamp_of
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus, Transfer
from vault.catalog.catalog import Catalog
from vault.manifest import MANIFEST, manifest_of
from vault.outlying import Outlying
from vault.parts import Heavy, copy_asset, manifest_made, problems_of, staging_of
from vault.storage_registry import StorageRegistry

__all__ = ["Copies", "Heavy", "here"]


def here(target: str, kwargs: dict[str, Any]) -> Any:
    """Do heavy work in this very process."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)(**kwargs)


class Copies:
    """Those of one catalog; `heavy` reads and writes the bytes."""

    def __init__(
        self,
        catalog: Catalog,
        storages: StorageRegistry,
        base: Path,
        heavy: Heavy = here,
        *,
        outlying: Outlying | None = None,
        is_zone: Callable[[str], bool] = lambda stronghold: False,
    ) -> None:
        self._catalog = catalog
        self._base = base
        self._storages = storages
        self._heavy = heavy
        self._outlying = outlying or Outlying(catalog)
        self._is_zone = is_zone

    def is_here(self, location: Location) -> bool:
        """Whether its path is one of this host, in the realm's directory or in a storage that is mounted, and leads to
        where it lay when it was entered: through a link that came later, it may lead anywhere (law 8)."""
        return self._is_of_this_host(location) and not self._leads_elsewhere(location)

    def manifest(self, asset: Asset, location: Location) -> dict[str, Any]:
        """What the copy is made of: its own manifest, else one made of its bytes, and remembered.

        Raises `NotFound` where it has gone, `Conflict` where its own is damaged, `Unavailable` where the disk fails. A
        checkpoint must have one of its own: what a cut has left of one is not made whole by another (A30).
        """
        place = Path(location.path)
        try:
            # Looked at before it is hashed: what changes meanwhile is hashed again the next time.
            stamp = stamp_of(place)
            found = self._own(place) or self._catalog.manifest(place, stamp)
            if found is None and asset.asset_type is AssetType.CHECKPOINT:
                raise Conflict(
                    f"{place} has no {MANIFEST}: nobody can tell whether it is all there.",
                    hint="Copy it anew; a checkpoint from elsewhere is taken in with `realm ledger adopt`.",
                )
            if found is None:
                found = manifest_made(self._heavy, place)
                self._catalog.store_manifest(place, stamp, found)
        except FileNotFoundError as error:
            raise NotFound(f"{asset.asset_id} is not at {place} any more.") from error
        except OSError as error:
            raise Unavailable(f"{place} cannot be read: {error.strerror}.") from error
        return found

    def copy(self, asset: Asset, source: Location, target: Path) -> Transfer | None:
        """Copy it to a new place, whole or not at all, and enter it there; None where it lies there already.

        The transfer is noted, also one that failed; raises `RealmError` then.
        """
        self._outlying.refuse_if_away(str(target))
        manifest = self.manifest(asset, source)
        if source.checksum is not None and _digest(asset, manifest, Path(source.path)) != source.checksum:
            raise Conflict(f"{source.path} is not what it was when it was hashed.", hint="Verify it.")
        begun, now = time.monotonic(), datetime.now(UTC)
        to = self._stronghold_at(target)
        told = Transfer(
            asset.asset_id, source.stronghold, to, source.path, str(target), success=True, created_at=now.isoformat()
        )
        staging = staging_of(target, manifest)
        self._catalog.note_staging(staging, now)
        try:
            is_new = copy_asset(self._heavy, Path(source.path), target, manifest, staging)
        except RealmError as error:
            self._catalog.note_transfer(replace(told, success=False, error=str(error)))
            raise
        finally:
            with suppress(RealmError):  # the sweep finds that there is nothing
                self._catalog.forget_staging(staging)
        self._enter(asset, to, target, manifest)
        if not is_new:
            return None
        done = replace(told, bytes_transferred=manifest["total_bytes"], duration_seconds=time.monotonic() - begun)
        self._catalog.note_transfer(done)
        return done

    def verify(self, asset: Asset, location: Location, *, now: datetime) -> dict[str, Any]:
        """Read every file and compare it with its hash; the catalog keeps what was found.

        A copy without hashes gets them: from then on its bytes are known. One on another host is told as it stands, and
        so is one whose disk cannot be read now; one that is not there any more is struck out.
        """
        if not self._is_of_this_host(location):
            return _told(location, [f"It lies on another host, {location.stronghold}."])
        place = Path(location.path)
        if not self._outlying.is_there(str(place)):
            return self._not_there(location)
        if self._leads_elsewhere(location):
            return _told(location, [f"{location.path} leads elsewhere: a link has taken its place"])
        checksum = location.checksum
        try:
            known = self._own(place) or self._catalog.manifest(place, stamp_of(place))
            problems = problems_of(self._heavy, place if place.is_dir() else place.parent, known) if known else []
            checksum = _digest(asset, known or self.manifest(asset, location), place)
        except (NotFound, FileNotFoundError):
            return self._not_there(location)
        except Conflict as error:
            problems = [error.message]
        except (OSError, Unavailable) as error:
            # That says nothing of its bytes, so the catalog keeps what it knew; but nobody has verified them.
            unread = replace(location, status=LocationStatus.UNVERIFIED)
            return _told(unread, [f"{place} cannot be read now: {getattr(error, 'strerror', None) or error}"])
        status = LocationStatus.CORRUPTED if problems else LocationStatus.VERIFIED
        checked = replace(location, status=status, checksum=checksum, verified_at=now.isoformat())
        try:
            self._catalog.put_location(asset.asset_id, checked)
        except Conflict as error:  # now that its bytes are known, they are not those of the other copies
            problems = [*problems, error.message]
            checked = replace(checked, status=LocationStatus.CORRUPTED, checksum=None)
            self._catalog.put_location(asset.asset_id, checked)
        return _told(checked, problems)

    def _not_there(self, location: Location) -> dict[str, Any]:
        """Struck out, unless its disk is away; either way it is nothing that could be read."""
        missing = replace(location, status=LocationStatus.MISSING)
        if location.path not in self._outlying.gone([location.path]):
            return _told(missing, [f"{location.path} cannot be looked at: its disk is not mounted or does not answer"])
        self._catalog.drop_places(location.stronghold, [location.path])
        return _told(missing, [f"{location.path} is not there any more"])

    def _enter(self, asset: Asset, stronghold: str, target: Path, manifest: dict[str, Any]) -> None:
        """What was copied and compared is in the catalog in the same act (A4)."""
        now = datetime.now(UTC).isoformat()
        size = folder_size(target) if target.is_dir() else target.lstat().st_size
        digest = _digest(asset, manifest, target)
        place = Location(stronghold, str(target), LocationStatus.VERIFIED, now, digest, size, now)
        self._catalog.put_location(asset.asset_id, place)
        if own_manifest(target) is None:
            entries = manifest["files"] if target.is_dir() else {target.name: next(iter(manifest["files"].values()))}
            self._catalog.store_manifest(target, stamp_of(target), manifest_of(entries))
        self._outlying.note(str(target))

    def _stronghold_at(self, target: Path) -> str:
        """The one that a path lies in."""
        storages = [each for each in self._storages.strongholds() if each.base_path is not None]
        inside = [each.name for each in storages if target.is_relative_to(os.path.realpath(str(each.base_path)))]
        return inside[0] if inside and not target.is_relative_to(self._base) else LOCAL

    def _is_of_this_host(self, location: Location) -> bool:
        return location.stronghold == LOCAL or self._mount_of(location.stronghold) is not None

    def _mount_of(self, stronghold: str) -> Path | None:
        if self._is_zone(stronghold):
            # A host of the same name: its paths are those of another machine.
            return None
        mounts = (each.base_path for each in self._storages.strongholds() if each.name == stronghold)
        return next((Path(mount) for mount in mounts if mount is not None), None)

    def _leads_elsewhere(self, location: Location) -> bool:
        place, mount = Path(location.path), self._mount_of(location.stronghold)
        real = Path(os.path.realpath(place))
        if mount is None and not place.is_relative_to(self._base):
            # It was entered by its real path.
            return real != place
        # A folder of the base directory may itself be a link, to a larger disk; what lies in it may not.
        home = mount or self._base / place.relative_to(self._base).parts[0]
        return not real.is_relative_to(os.path.realpath(home))

    def _own(self, place: Path) -> dict[str, Any] | None:
        own = own_manifest(place)
        if own is None and (place / MANIFEST).exists():
            raise Conflict(f"{place / MANIFEST} is damaged.", hint="`realm ledger verify` tells more.")
        return own


def _digest(asset: Asset, manifest: dict[str, Any], place: Path) -> str:
    """That by which copies are compared: a single file has the same under whatever name it lies."""
    if place.is_dir():
        return str(manifest["digest"])
    (entry,) = manifest["files"].values()
    return str(manifest_of({asset.name: entry})["digest"])


def _told(location: Location, problems: list[str]) -> dict[str, Any]:
    """See `vault.catalog.answers.Verification`."""
    return {
        "stronghold": location.stronghold,
        "path": location.path,
        "status": location.status,
        "verified_at": location.verified_at,
        "problems": problems,
    }

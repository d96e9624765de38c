"""The branch officer: knows and hands out what lies in one zone, and fetches what is sent to it (seed 003).

Its catalog is its own, a file beside what it looks after, and can be made anew by scanning. All paths lie below its
base directory, and only hosts of the registry are asked for bytes.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.checkpoint_records import BYTES_PER_GB
from core.errors import Conflict, InvalidInput, NotFound, RealmError, Unavailable
from core.hosts import HostRegistry
from vault.asset_jobs import make, own_manifest, stamp_of
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus, Transfer
from vault.branch.arrivals import Arrivals
from vault.bytes.source import Held
from vault.catalog.catalog import Catalog
from vault.catalog.finding import assets_below, describe
from vault.manifest import MANIFEST
from vault.roots import Roots
from vault.transfer.byte_address import byte_url
from vault.transfer.landing import refuse_wrong_name, sweep_pulls
from vault.transfer.listing import is_plain_name
from vault.transfer.pull import PullOptions, PullReport, pull_asset
from vault.transfer.source import ByteSource, LinkCut, unreachable

logger = logging.getLogger(__name__)

VERSION = "1.0.0"
CALL_SECONDS = 10.0
MANIFESTS_HELD = 16
"""In memory, of assets that are handed out."""


class BranchOfficer:
    """Of one zone; thread-safe. Everything here waits for disks, and belongs into a thread."""

    def __init__(
        self,
        zone_id: str,
        base_dir: Path,
        catalog: Catalog,
        registry: Callable[[], HostRegistry],
        token: Callable[[], str | None],
        options: PullOptions | None = None,
    ) -> None:
        """`registry` and `token` are asked when they are needed: both files may change."""
        self.zone_id = zone_id
        self.base_dir = base_dir
        self.arrivals = Arrivals()
        self._catalog = catalog
        self._registry = registry
        self._token = token
        self._options = options or PullOptions()
        self._roots = Roots(base_dir, (base_dir,), (base_dir,))
        self._scanned_at: str | None = None
        self._manifests: dict[Path, tuple[str, dict[str, Any]]] = {}

    # --- what there is ----------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Who this is, how much it has, and how full its disk is (spec 1.11)."""
        try:
            total, used, free = shutil.disk_usage(self.base_dir)
        except OSError as error:
            raise Unavailable(
                f"{self.base_dir} cannot be looked at: {error.strerror}.", hint="Is it mounted?"
            ) from error
        return {
            "status": "online",
            "zone_id": self.zone_id,
            "version": VERSION,
            "timestamp": datetime.now(UTC).isoformat(),
            "base_dir": str(self.base_dir),
            "catalog": self._numbers(),
            "disk": {
                "free_gb": free / BYTES_PER_GB,
                "total_gb": total / BYTES_PER_GB,
                "used_pct": 100.0 * used / total if total else None,
            },
        }

    def stats(self) -> dict[str, Any]:
        """The numbers of the catalog, and the last transfers to this zone, newest first."""
        transfers = [each.to_json() for each in self._catalog.recent_transfers()]
        return {"zone_id": self.zone_id, **self._numbers(), "recent_transfers": transfers}

    def assets(self, asset_type: AssetType | None, limit: int, offset: int) -> dict[str, Any]:
        """A page of what lies here."""
        page = self._catalog.search(asset_type, limit=limit, offset=offset)
        told = [self._told(asset) for asset in page.assets]
        return {"zone_id": self.zone_id, "count": len(told), "total": page.total, "offset": offset, "assets": told}

    def asset(self, reference: str) -> dict[str, Any]:
        """One asset, by its id or the name of its directory or file; raises `NotFound`."""
        return {"zone_id": self.zone_id, "asset": self._told(self.find(reference))}

    def find(self, reference: str) -> Asset:
        """The asset meant; raises `NotFound` also when it was deleted since the last scan (A26)."""
        asset = self._catalog.locate(reference)
        if asset is None and (known := self._catalog.id_of_name(reference)) is not None:
            asset = self._catalog.locate(known)
        if asset is None or not asset.locations or not os.path.lexists(asset.locations[0].path):
            raise NotFound(f"The zone {self.zone_id} has no asset {reference!r}.", hint="POST /scan looks anew.")
        return asset

    def transfer_info(self, reference: str) -> dict[str, Any]:
        """How to get at an asset: over HTTP, or by rsync from this host's address (G7: not from the zone's id)."""
        asset = self.find(reference)
        path = asset.locations[0].path
        is_folder = Path(path).is_dir()
        return {
            "asset_id": asset.asset_id,
            "type": "directory" if is_folder else "file",
            "path": path,
            "size_bytes": asset.size_bytes,
            "transfer_method": "http",
            "manifest": f"/api/assets/{asset.asset_id}/manifest",
            "rsync_source": self._rsync_place(f"{path}/" if is_folder else path),
            "message": f"`realm vault fetch {asset.asset_id} --zone {self.zone_id}` fetches and verifies it.",
        }

    # --- its bytes --------------------------------------------------------------------------------------------

    def held(self, reference: str) -> Held:
        """An asset with its manifest: its own, else one made of its bytes, and remembered."""
        asset = self.find(reference)
        try:
            path = self._roots.to_read(asset.locations[0].path)
        except RealmError as error:  # a link out of the zone has taken its place
            raise NotFound(f"{asset.asset_id} is not there any more.") from error
        try:
            is_folder = path.is_dir()
            return Held(asset, path if is_folder else path.parent, is_folder, self._made_of(asset, path))
        except FileNotFoundError as error:
            raise NotFound(f"{asset.asset_id} is not there any more.") from error
        except OSError as error:
            raise Unavailable(f"{asset.asset_id} cannot be read: {error.strerror}.") from error

    # --- changes ----------------------------------------------------------------------------------------------

    def scan(self, paths: Collection[str] = ()) -> dict[str, Any]:
        """Look at the whole base directory, or at some places below it, and enter what is there.

        After a look at all of it, what is there no more is struck out. Raises `InvalidInput` for a place outside.
        """
        places = [self._roots.to_read(path) for path in paths] or [self.base_dir]
        found: list[Asset] = []
        errors: list[str] = []
        skipped = 0
        for place in places:
            try:
                candidates = list(assets_below(place, recursive=True))
            except RealmError as error:
                errors.append(error.message)
                continue
            for path in candidates:
                try:
                    found.append(describe(path, LOCAL, is_primary=True))
                except (RealmError, OSError) as error:
                    skipped += 1
                    errors.append(str(error))
        registered = self._enter(found, whole=not paths)
        self._scanned_at = datetime.now(UTC).isoformat()
        return {
            "zone_id": self.zone_id,
            "registered": registered,
            "skipped": skipped + len(found) - registered,
            "errors": errors[:100],
            "scanned_paths": [str(place) for place in places],
        }

    def sweep(self) -> None:
        """Remove what is left of transfers that nobody has gone on with."""
        folders = {Path(place).parent for place in self._catalog.places(LOCAL)} | {self.base_dir}
        for folder in folders:
            for gone in sweep_pulls(folder, now=datetime.now(UTC)):
                logger.info("%s was abandoned", gone, extra={"event": "pull_abandoned"})

    def register(self, path: str, asset_id: str | None = None) -> dict[str, Any]:
        """Enter what lies at a path; raises `InvalidInput` when that is not the asset of this id (A27)."""
        asset = describe(self._roots.to_read(path), LOCAL, is_primary=True)
        if asset_id not in (None, asset.asset_id):
            raise InvalidInput(f"What lies at {path} is {asset.asset_id}, not {asset_id}.")
        self._catalog.put(asset)
        return {"zone_id": self.zone_id, "asset": self._told(asset)}

    def receive(self, asset_id: str, asset_type: str, destination: str | None, source: str | None) -> dict[str, Any]:
        """Say where an asset may be put, and fetch it from the host `source` of the registry when that is given.

        `destination` is the path that it is to have, below the base directory; else it lies there under its own name.
        """
        url = byte_url(self._registry(), source) if source is not None else None
        own_name = self._name_at(url, asset_id) if url is not None and destination is None else asset_id
        target = self._target(own_name, destination)
        told: dict[str, Any] = {
            "zone_id": self.zone_id,
            "asset_id": asset_id,
            "destination": str(target),
            "rsync_target": self._rsync_place(f"{target}/" if asset_type in ("checkpoint", "model") else str(target)),
            "ready": True,
            "transfer_id": None,
            "message": "Put it there, then POST /register.",
        }
        if source is None or url is None:
            return told

        def fetch(note: Any, cancelled: Any) -> PullReport:
            return pull_asset(url, asset_id, target.parent, target.name, token=self._token(), options=self._options,
                              on_progress=note, cancelled=cancelled)  # fmt: skip

        begun = datetime.now(UTC)

        def arrived(report: PullReport | None, error: RealmError | None) -> None:
            self._book(asset_id, source, report, error, begun)

        arrival = self.arrivals.start(asset_id, source, str(target), fetch, arrived)
        message = f"It is fetched from {source}; GET /transfers/{arrival.transfer_id} tells how far it is."
        return {**told, "transfer_id": arrival.transfer_id, "message": message}

    # --- inside -----------------------------------------------------------------------------------------------

    def _made_of(self, asset: Asset, path: Path) -> dict[str, Any]:
        # Asked for with each chunk that is handed out: only a look at the directory entries is made each time.
        stamp = stamp_of(path)
        known, found = self._manifests.get(path, ("", {}))
        if known == stamp:
            return found
        own = own_manifest(path)
        if own is None and (path / MANIFEST).exists():
            raise Conflict(f"The manifest of {asset.asset_id} is damaged.", hint="Fetch it from another host.")
        made = own or self._catalog.manifest(path, stamp)
        if made is None:
            made = make(str(path))
            self._catalog.store_manifest(path, stamp, made)
        if len(self._manifests) >= MANIFESTS_HELD:
            self._manifests.clear()
        self._manifests[path] = (stamp, made)
        return made

    def _enter(self, found: list[Asset], *, whole: bool) -> int:
        now = {asset.asset_id: asset for asset in found}
        if whole:
            changes = self._catalog.replace_stronghold(LOCAL, now.values())
            return len(changes.added) + len(changes.changed)
        for asset in now.values():
            self._catalog.put(asset)
        return len(now)

    def _book(
        self, asset_id: str, source: str, report: PullReport | None, error: RealmError | None, begun: datetime
    ) -> None:
        """What was fetched is in the catalog in the same act, and the transfer among the last ones."""
        if report is not None:
            asset = describe(report.path, LOCAL, is_primary=True)
            now = datetime.now(UTC).isoformat()
            here = replace(asset.locations[0], status=LocationStatus.VERIFIED, verified_at=now, synced_at=now,
                           checksum=report.manifest.get("digest"))  # fmt: skip
            self._catalog.put(replace(asset, locations=(here,)))
            if report.already_there:
                return
        self._catalog.note_transfer(
            Transfer(
                asset_id, source, self.zone_id, from_path=asset_id, to_path=str(report.path if report else ""),
                success=error is None, created_at=begun.isoformat(),
                bytes_transferred=report.bytes_fetched if report else 0,
                duration_seconds=report.seconds if report else (datetime.now(UTC) - begun).total_seconds(),
                error=str(error) if error else None,
            )
        )  # fmt: skip

    def _name_at(self, url: str, asset_id: str) -> str:
        """What an asset is called where it comes from."""
        source = ByteSource(url, self._token(), stall_seconds=CALL_SECONDS)
        try:
            return source.listing(asset_id).name
        except LinkCut as error:
            raise unreachable(url, error) from error
        finally:
            source.hang_up()

    def _target(self, name: str, destination: str | None) -> Path:
        if destination is None:
            if not is_plain_name(name):
                raise InvalidInput(f"{name!r} is no name for an asset.", hint="Give it a destination.")
            return self.base_dir / name
        target = self._roots.to_write(destination)
        if target == self.base_dir:
            raise InvalidInput("The destination is the path that the asset is to have, not the base directory.")
        refuse_wrong_name(target.name)
        return target

    def _rsync_place(self, path: str) -> str | None:
        """`user@host:path`; None when the registry does not know this zone's address."""
        host = self._registry().hosts.get(self.zone_id)
        if host is None:
            return None
        return f"{host.ssh_user}@{host.host}:{path}" if host.ssh_user else f"{host.host}:{path}"

    def _numbers(self) -> dict[str, Any]:
        counted = self._catalog.sizes_by_type()
        size = sum(each["size_bytes"] for each in counted.values())
        return {
            "total_assets": sum(each["count"] for each in counted.values()),
            "assets_by_type": counted,
            "total_size_bytes": size,
            "total_size_gb": size / BYTES_PER_GB,
        }

    def _told(self, asset: Asset) -> dict[str, Any]:
        (place, *_) = asset.locations or (Location(LOCAL, ""),)
        return {
            "asset_id": asset.asset_id,
            "asset_type": asset.asset_type,
            "name": asset.name,
            "path": place.path,
            "size_bytes": asset.size_bytes,
            "size_gb": None if asset.size_bytes is None else asset.size_bytes / BYTES_PER_GB,
            "checksum": place.checksum,
            "created_at": asset.created_at,
            "modified_at": asset.modified_at,
            "scanned_at": self._scanned_at,
            "metadata": dict(asset.metadata),
        }

"""The branch officer: knows and hands out what lies in one zone, and fetches what is sent to it (seed 003).

Its catalog is its own, a file beside what it looks after, and can be made anew by scanning. All paths lie below its
base directory, and only hosts of the registry are asked for bytes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.checkpoint_records import BYTES_PER_GB
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.hosts import HostRegistry
from vault.asset_jobs import make, own_manifest, stamp_of
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus, Transfer
from vault.branch.arrivals import Arrivals, Wish
from vault.branch.looking import Looking, settling
from vault.bytes.making import Makings
from vault.bytes.source import Held
from vault.catalog.aliases import id_of_alias
from vault.catalog.catalog import Catalog
from vault.copies import Copies
from vault.manifest import MANIFEST, digest_of
from vault.room import Room
from vault.roots import OutOfBounds, Roots
from vault.storage_registry import StorageRegistry
from vault.transfer.booking import book_landed, drop_gone
from vault.transfer.byte_address import byte_url
from vault.transfer.landing import sweep_below
from vault.transfer.listing import Listing, is_plain_name, refuse_other
from vault.transfer.pull import PullOptions, PullReport, pull_asset
from vault.transfer.source import Busy, ByteSource, LinkCut, unreachable

logger = logging.getLogger(__name__)

VERSION = "1.0.0"
CALL_SECONDS = 10.0
MANIFESTS_HELD = 16
"""In memory, of assets that are handed out."""
MOST_ERRORS = 100
"""Told of one scan."""

OWN_FOLDERS = frozenset({"configs", "status"})
REALM_FOLDERS = frozenset({"control", "queue", "inbox", "current_model", "logs", "vault", "data"})
"""Where a realm lives in the base directory, nothing is fetched into these: they have gates (law 6)."""
SIGNS = ("queue", "inbox", "current_model")
"""By these a realm is known."""


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
        self._looking = Looking(catalog)
        self._makings = Makings()
        self._room = Room(base_dir)
        self._scanned_at: str | None = None
        self._manifests: dict[Path, tuple[str, dict[str, Any]]] = {}

    # --- what there is ----------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Who this is, how much it has, and how full its disk is (spec 1.11)."""
        return {
            "status": "online",
            "zone_id": self.zone_id,
            "version": VERSION,
            "timestamp": datetime.now(UTC).isoformat(),
            "base_dir": str(self.base_dir),
            "catalog": self._numbers(),
            "disk": self._room.told(),
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
        """The asset meant, by its id or any other of its names, whole copies first; raises `NotFound` also when it was
        deleted since the last scan (A26)."""
        asset = self._catalog.locate(reference)
        if asset is None and (known := self._id_of(reference)) is not None:
            asset = self._catalog.locate(known)
        there = [place for place in asset.locations if os.path.lexists(place.path)] if asset else []
        if asset is None or not there:
            raise NotFound(f"The zone {self.zone_id} has no asset {reference!r}.", hint="POST /scan looks anew.")
        order = sorted(there, key=lambda place: (place.status is LocationStatus.CORRUPTED, not place.is_primary))
        return replace(asset, locations=tuple(order))

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
        is_folder = path.is_dir()
        return Held(asset, path if is_folder else path.parent, is_folder, self._manifest_of(asset, path))

    # --- changes ----------------------------------------------------------------------------------------------

    def scan(self, paths: Collection[str] = ()) -> dict[str, Any]:
        """Look at the whole base directory, or at some places below it, and enter what is there.

        After a look at all of it, what is there no more is struck out. Raises `OutOfBounds` for a place outside.
        """
        began = datetime.now(UTC)
        tops = [self._roots.to_read(path) for path in paths] or [self.base_dir]
        seen = self._looking.below(tops)
        if paths:
            registered = 0
            for place in (each for asset in seen.assets for each in asset.locations):
                try:
                    registered += self._entered(self._looking.at(Path(place.path)))
                except (RealmError, OSError) as error:  # it has just gone
                    seen.skipped.append(str(error))
        else:
            changes = self._catalog.replace_stronghold(LOCAL, seen.assets, settle=settling(seen.assets, began))
            made = self._catalog.manifest_places()
            self._catalog.forget_manifests([place for place in made if not os.path.lexists(place)])
            registered = len(changes.added) + len(changes.changed)
        self._scanned_at = datetime.now(UTC).isoformat()
        return {
            "zone_id": self.zone_id,
            "registered": registered,
            "skipped": len(seen.skipped) + max(0, len(seen.assets) - registered),
            "errors": seen.skipped[:MOST_ERRORS],
            "scanned_paths": [str(top) for top in tops],
        }

    def sweep(self) -> None:
        """Remove what is left of transfers that nobody has gone on with, wherever they were to end."""
        for gone in sweep_below(self.base_dir, now=datetime.now(UTC)):
            logger.info("%s was abandoned", gone, extra={"event": "pull_abandoned"})

    def register(
        self,
        path: str,
        asset_id: str | None = None,
        asset_type: str | None = None,
        name: str | None = None,
        checksum: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Enter what lies at a path; raises `Conflict` when that is not what is told of it (A27).

        Nothing is believed: of what has no manifest of its own, a `checksum` is held against the bytes.
        """
        place = self._roots.to_read(path)
        asset = self._looking.at(place)
        ids = (None, asset.asset_id, asset.name, asset.name.replace("-", "_", 1))
        if asset_id not in ids:
            raise Conflict(f"What lies at {path} is {asset.asset_id}, not {asset_id}.")
        for what, told, found in (("type", asset_type, asset.asset_type), ("name", name, asset.name)):
            if told not in (None, found):
                raise Conflict(f"What lies at {path} has the {what} {found}, not {told}.")
        if checksum is not None:
            asset = self._checked(asset, place, checksum)
        self._entered(replace(asset, metadata={**(metadata or {}), **asset.metadata}))
        return {"zone_id": self.zone_id, "asset": self._told(self.find(asset.asset_id))}

    def verify(self, reference: str) -> dict[str, Any]:
        """Read all copies of an asset and compare every file with its hash; see `vault.branch.answers.Verified`.

        A copy without hashes gets them: from then on its bytes are known. What was found stays until it is written to.
        """
        asset, now = self.find(reference), datetime.now(UTC)
        copies = Copies(self._catalog, StorageRegistry(self.base_dir), self.base_dir)
        results = []
        for place in asset.locations:
            path = Path(place.path)
            stamp = None
            with suppress(OSError):
                # Looked at before it is read: what changes meanwhile was not.
                stamp = stamp_of(path)
            results.append(copies.verify(asset, place, now=now))
            if stamp is not None and (own := own_manifest(path)) is not None:
                self._catalog.store_manifest(path, stamp, own)
        return {"zone_id": self.zone_id, "asset_id": asset.asset_id, "verification_results": results}

    def receive(
        self,
        asset_id: str,
        asset_type: str,
        destination: str | None,
        source: str | None,
        digest: str | None = None,
        bytes_per_second: int | None = None,
    ) -> dict[str, Any]:
        """Say where an asset may be put, and fetch it from the host `source` of the registry when that is given.

        `destination` is the path that it is to have, below the base directory; else it lies there under its own name.
        With the `digest` of its manifest, nothing else that has its id is taken for it.
        """
        url = byte_url(self._registry(), source) if source is not None else None
        own_name = self._name_at(url, asset_id) if url is not None and destination is None else asset_id
        # Its name is known once its manifest is, which may have to be made.
        target = self._target(own_name, destination) if own_name is not None else None
        place = str(target or self.base_dir)
        told: dict[str, Any] = {
            "zone_id": self.zone_id,
            "asset_id": asset_id,
            "destination": place,
            "rsync_target": self._rsync_place(f"{place}/" if asset_type in ("checkpoint", "model") else place),
            "ready": True,
            "transfer_id": None,
            "message": "Put it there, then POST /register.",
        }
        if source is None or url is None:
            return told
        caps = [cap for cap in (bytes_per_second, self._options.bytes_per_second) if cap is not None]
        options = replace(self._options, bytes_per_second=min(caps, default=None))
        into, name = (target.parent, target.name) if target else (self.base_dir, None)

        def judge(listing: Listing) -> None:
            if target is None:
                self._target(listing.name, None)
            refuse_other(listing, digest)

        def fetch(note: Any, cancelled: Any) -> PullReport:
            return pull_asset(url, asset_id, into, name, token=self._token(), options=options, on_progress=note,
                              cancelled=cancelled, judge=judge)  # fmt: skip

        begun = datetime.now(UTC)

        def arrived(report: PullReport | None, error: RealmError | None) -> None:
            self._book(asset_id, source, report, error, begun)

        arrival = self.arrivals.start(Wish(asset_id, source, place, digest), fetch, arrived)
        message = f"It is fetched from {source}; GET /transfers/{arrival.transfer_id} tells how far it is."
        return {**told, "transfer_id": arrival.transfer_id, "message": message}

    # --- inside -----------------------------------------------------------------------------------------------

    def _id_of(self, reference: str) -> str | None:
        if reference == "latest":
            return self._catalog.newest_checkpoint()
        if reference != "best":
            return id_of_alias(self._catalog, reference)
        losses = {
            asset.asset_id: float(loss)
            for asset in self._catalog.export()
            if asset.asset_type is AssetType.CHECKPOINT
            and isinstance(loss := asset.metadata.get("train_loss"), int | float)
        }
        return min(losses, key=losses.__getitem__, default=None)

    def _manifest_of(self, asset: Asset, path: Path) -> dict[str, Any]:
        try:
            # Asked for with each chunk that is handed out: only a look at the directory entries is made each time.
            stamp = stamp_of(path)
            known, found = self._manifests.get(path, ("", {}))
            if known == stamp:
                return found
            own = own_manifest(path)
            if own is None and (path / MANIFEST).exists():
                raise Conflict(f"The manifest of {asset.asset_id} is damaged.", hint="Fetch it from another host.")
            found = own or self._catalog.manifest(path, stamp) or self._makings.of(str(path), lambda: self._make(path))
            if stamp_of(path) != stamp:
                return found
        except FileNotFoundError as error:
            raise NotFound(f"{asset.asset_id} is not there any more.") from error
        except OSError as error:
            raise Unavailable(f"{asset.asset_id} cannot be read: {error.strerror}.") from error
        if len(self._manifests) >= MANIFESTS_HELD:
            self._manifests.clear()
        self._manifests[path] = (stamp, found)
        return found

    def _make(self, path: Path) -> dict[str, Any]:
        # Looked at before it is hashed: what changes meanwhile is hashed again the next time.
        stamp = stamp_of(path)
        made = make(str(path))
        try:
            json.dumps(made, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Conflict(f"{path} has a file whose name is no Unicode.", hint="Rename it.") from error
        self._catalog.store_manifest(path, stamp, made)
        return made

    def _checked(self, asset: Asset, path: Path, checksum: str) -> Asset:
        """With what a look at its bytes has proved; of a directory with a manifest, nothing is read here."""
        manifest = self._manifest_of(asset, path)
        if digest_of(manifest) != checksum:
            raise Conflict(f"What lies at {path} has the checksum {digest_of(manifest)}, not {checksum}.")
        (place,) = asset.locations
        if place.checksum is not None or not self._looking.is_unchanged(replace(place, checksum=checksum)):
            return asset
        now = datetime.now(UTC).isoformat()
        read = replace(place, checksum=checksum, status=LocationStatus.VERIFIED, verified_at=now)
        return replace(asset, locations=(read,))

    def _entered(self, asset: Asset) -> bool:
        """Put it into the catalog; whether that has changed anything."""
        drop_gone(self._catalog, asset.asset_id)
        before = self._catalog.locate(asset.asset_id)
        self._catalog.put(asset)
        return before != self._catalog.locate(asset.asset_id)

    def _book(
        self, asset_id: str, source: str, report: PullReport | None, error: RealmError | None, begun: datetime
    ) -> None:
        """What was fetched is in the catalog in the same act, and the transfer among the last ones."""
        if report is not None:
            asset_id = book_landed(self._catalog, report, datetime.now(UTC)).asset_id
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

    def _name_at(self, url: str, asset_id: str) -> str | None:
        """What an asset is called where it comes from; None while its manifest is being made there."""
        source = ByteSource(url, self._token(), stall_seconds=CALL_SECONDS)
        try:
            return source.listing(asset_id).name
        except LinkCut as error:
            if isinstance(error, Busy) and error.is_working:
                return None
            raise unreachable(url, error) from error
        finally:
            source.hang_up()

    def _target(self, name: str, destination: str | None) -> Path:
        named = name if destination is None else destination.rstrip("/").rpartition("/")[2]
        target = self._roots.to_write(name if destination is None else destination) if is_plain_name(named) else None
        base = Path(os.path.realpath(self.base_dir))
        if target is None or target == base:
            raise OutOfBounds(
                f"{named!r} is no name for an asset.", hint="Give the path that it is to have in the zone."
            )
        first = target.relative_to(base).parts[0]
        if first in OWN_FOLDERS or (first in REALM_FOLDERS and any((base / each).is_dir() for each in SIGNS)):
            raise OutOfBounds(f"{first}/ has its own ways in.", hint="Send it to another directory, such as models/.")
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
            "status": place.status,
            "verified_at": place.verified_at,
            "created_at": asset.created_at,
            "modified_at": asset.modified_at,
            "scanned_at": self._scanned_at,
            "metadata": dict(asset.metadata),
        }

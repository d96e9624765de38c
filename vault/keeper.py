"""The VaultKeeper: knows where every asset lies, on whichever host, and brings it here (seed 003, "Ask Vault First").

Every answer is held against the disk: what was deleted from the realm's directory is not found, whatever the catalog
still says. Everything but `locate` takes its time and belongs into a thread.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import is_checkpoint_name
from core.errors import InvalidInput, NotFound, RealmError
from core.paths import RealmPaths, resolve_base_dir
from vault.assets import (
    LOCAL,
    Asset,
    AssetStatus,
    AssetType,
    Fetched,
    Location,
    Lookup,
    StrongholdType,
    Transfer,
    is_usable,
    ranked,
)
from vault.catalog.catalog import Catalog, Changes, Page
from vault.catalog.finding import assets_below
from vault.catalog.reconcile import is_inside, look_at_checkpoints, reconcile, register, strike_out
from vault.copies import Copies, Heavy, here
from vault.storage_registry import StorageRegistry
from vault.zone_ways import ZoneWays

logger = logging.getLogger(__name__)

_STEP = re.compile(r"[0-9]{1,18}")


class VaultKeeper:
    """One realm's keeper. Thread-safe; `close` it, or use it in a `with`."""

    def __init__(
        self,
        base_dir: str | os.PathLike[str] | None = None,
        *,
        catalog: Catalog | None = None,
        ledger: CheckpointLedger | None = None,
        heavy: Heavy = here,
        roots: Collection[Path] = (),
    ) -> None:
        """Of the realm in `base_dir`; opens its catalog, and fills it where it is empty, unless one is given."""
        self.paths = RealmPaths(resolve_base_dir(base_dir))
        self._opened = ExitStack()
        self._ledger = ledger or CheckpointLedger.of(self.paths)
        self._roots = roots
        self._storages = StorageRegistry(self.paths.base)
        self.catalog = catalog or self._opened.enter_context(Catalog.opened(self.paths.catalog_db, self.paths.base))
        self._copies = Copies(self.catalog, self._storages, heavy)
        self._ways = ZoneWays(self.paths)
        self.is_behind = False
        """Whether something was met that the catalog does not tell rightly; a `reconcile` is due."""
        if catalog is None and not self.catalog.stats()["total_assets"]:
            self.reconcile()

    def close(self) -> None:
        """Close the catalog, if it was opened here."""
        self._opened.close()

    def __enter__(self) -> VaultKeeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- finding ------------------------------------------------------------------------------------------

    def locate(self, reference: str) -> Lookup:
        """Where an asset lies, best place first: by id, canonical directory name, step, `latest` or `best`."""
        asset = self.find(reference)
        return Lookup(reference, found=False, error=self._why_not(reference)) if asset is None else _lookup(asset)

    def locate_at_once(self, asset_id: str) -> Lookup | None:
        """`locate` by the very id: microseconds, fit for an event loop; None where that finds nothing."""
        known = self.catalog.locate(asset_id)
        asset = None if known is None else self._as_it_is(known)
        return None if asset is None else _lookup(asset)

    def find(self, reference: str) -> Asset | None:
        """The asset meant by a reference as `locate` takes it, best location first; None where there is none."""
        asset = self.catalog.locate(reference) or self._by_alias(reference)
        return None if asset is None else self._as_it_is(asset)

    def get_asset(self, reference: str) -> Asset:
        """`find`, but raises `NotFound`."""
        asset = self.find(reference)
        if asset is None:
            raise NotFound(self._why_not(reference), hint="`realm vault stats` tells what there is.")
        return asset

    def search(
        self,
        asset_type: AssetType | str | None = None,
        name: str | None = None,
        stronghold: str | None = None,
        status: AssetStatus | str | None = None,
        *,
        limit: int = 50,
        offset: int = 0,
    ) -> Page:
        """A page of assets; raises `InvalidInput` for a type or status that there is not."""
        found = self.catalog.search(
            _one_of(AssetType, "type", asset_type), name, stronghold, _one_of(AssetStatus, "status", status),
            limit=limit, offset=offset,
        )  # fmt: skip
        return replace(found, assets=[asset for each in found.assets if (asset := self._as_it_is(each)) is not None])

    def list_checkpoints(self, limit: int = 50, offset: int = 0) -> Page:
        """A page of checkpoints, newest first."""
        return self.search(AssetType.CHECKPOINT, limit=limit, offset=offset)

    def export(self) -> Iterator[Asset]:
        """All assets, by id."""
        for each in self.catalog.export():
            if (asset := self._as_it_is(each)) is not None:
                yield asset

    def stats(self) -> dict[str, Any]:
        """Numbers of all assets and the last transfers; see `vault.catalog.answers.Stats`."""
        transfers = [
            {
                "asset_id": each.asset_id,
                "from": each.from_stronghold,
                "to": each.to_stronghold,
                "success": each.success,
                "timestamp": each.created_at,
            }
            for each in self.catalog.recent_transfers(10)
        ]
        return {**self.catalog.stats(), "recent_transfers": transfers}

    def strongholds(self) -> list[dict[str, Any]]:
        """The realm's own directory and every storage, with their room and how many assets lie in them."""
        from vault.storage_registry import Stronghold

        counted = self.catalog.stats()["locations_by_stronghold"]
        own = Stronghold(name=LOCAL, stronghold_type=StrongholdType.LOCAL, base_path=str(self.paths.base))
        storages = [own, *self._storages.strongholds()]
        told = [
            {
                "name": each.name,
                "type": each.stronghold_type,
                "host": each.host,
                "base_path": each.base_path,
                "asset_count": counted.pop(each.name, 0),
                **self._storages.status_of(each),
            }
            for each in storages
        ]
        return told + [_zone_told(name, self.kind_of(name), number) for name, number in counted.items()]

    def kind_of(self, stronghold: str) -> StrongholdType:
        """The kind of a stronghold, whether it is a storage or a zone."""
        if stronghold == LOCAL:
            return StrongholdType.LOCAL
        return self._ways.kind_of(stronghold) or self._storages.kind_of(stronghold)

    # --- bringing -----------------------------------------------------------------------------------------

    def fetch(
        self, reference: str, destination: str | os.PathLike[str] | None = None, from_stronghold: str | None = None
    ) -> Fetched:
        """Bring an asset to a place on this host, from its best location or from the stronghold named.

        `destination` is the place itself, or a directory to put it into; without one, a copy that is here already is
        all that is needed, and others come to `models/`. What went wrong is told in the answer, and nothing half lies
        there.
        """
        asset = self.find(reference)
        if asset is None:
            return Fetched(reference, success=False, error=self._why_not(reference))
        sources = [each for each in asset.locations if is_usable(each) and from_stronghold in (None, each.stronghold)]
        if not sources:
            where = f" in {from_stronghold}" if from_stronghold else ""
            return Fetched(asset.asset_id, success=False, error=f"There is no usable copy of {asset.asset_id}{where}.")
        if destination is None and self.is_here(sources[0]):
            return Fetched(asset.asset_id, True, sources[0].path, sources[0])
        target = self._target(asset, destination)
        errors = []
        for source in sources:
            try:
                transfer = self._carry(asset, source, target)
            except RealmError as error:
                errors.append(f"{source.stronghold}: {error}")
            else:
                return Fetched(asset.asset_id, True, str(target), source, transfer)
        return Fetched(asset.asset_id, success=False, source_location=sources[0], error=" ".join(errors))

    def manifest(self, asset: Asset, location: Location) -> dict[str, Any]:
        """See `Copies.manifest`."""
        return self._copies.manifest(asset, location)

    def is_here(self, location: Location) -> bool:
        """Whether its path is one of this host."""
        return self._copies.is_here(location)

    # --- entering and checking ----------------------------------------------------------------------------

    def register(self, path: str | os.PathLike[str], stronghold: str = LOCAL, is_primary: bool = True) -> Asset:
        """Enter what lies at a path into the catalog; raises `NotFound` for what is no asset."""
        place = _as_it_lies(path)
        self._check_stronghold(stronghold)
        if stronghold == LOCAL and place.is_relative_to(self.paths.base):
            return self._known_inside(place)
        return register(self.catalog, place, stronghold, is_primary=is_primary)

    def scan(
        self, path: str | os.PathLike[str], stronghold: str = LOCAL, recursive: bool = True
    ) -> tuple[list[str], list[dict[str, str]]]:
        """Enter everything below a directory: the ids, and what was left out with its reason.

        A checkpoint or a model is one asset, whatever files it is made of.
        """
        folder = Path(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise NotFound(f"{folder} is no directory.")
        self._check_stronghold(stronghold)
        ids: list[str] = []
        skipped: list[dict[str, str]] = []
        if stronghold == LOCAL and folder.is_relative_to(self.paths.base):
            self.reconcile()
        for each in assets_below(folder, recursive=recursive):
            try:
                ids.append(self.register(each, stronghold, is_primary=False).asset_id)
            except RealmError as error:
                skipped.append({"path": str(each), "reason": str(error)})
        return list(dict.fromkeys(ids)), skipped

    def verify(
        self, reference: str, stronghold: str | None = None, *, now: datetime | None = None
    ) -> list[dict[str, Any]]:
        """Read every file of the copies on this host and compare it with its hash; the catalog keeps what was found.

        A copy without hashes gets them: from then on its bytes are known. Copies on other hosts are told as they stand.
        """
        asset = self.get_asset(reference)
        chosen = [each for each in asset.locations if stronghold in (None, each.stronghold)]
        if not chosen:
            raise NotFound(f"{asset.asset_id} has no copy in {stronghold}.")
        return [self._copies.verify(asset, each, now=now or datetime.now(UTC)) for each in chosen]

    # --- keeping it true ----------------------------------------------------------------------------------

    def reconcile(self) -> Changes:
        """Make the catalog equal to the disk."""
        changes = reconcile(self.catalog, self.paths, self._roots)
        self.is_behind = False
        if changes:
            logger.info(
                "the catalog gained %d assets, lost %d and changed %d", len(changes.added), len(changes.removed),
                len(changes.changed), extra={"event": "catalog_reconciled"},
            )  # fmt: skip
        return changes

    def rebuild(self) -> Changes:
        """Forget everything and find it again: in the base directory, and in every root and storage on this host."""
        self.catalog.clear()
        changes = self.reconcile()
        for root in self._roots:
            if root.is_dir():
                self.scan(root)
        for storage in self._storages.strongholds():
            if storage.base_path is not None and os.path.isdir(storage.base_path):
                self.scan(storage.base_path, storage.name)
        return changes

    def sweep(self, now: datetime) -> None:
        """Delete what fetches have left behind that were cut off, and that nobody goes on with."""
        # Loaded on use: who only looks things up needs none of it.
        from vault.asset_jobs import drop_stagings
        from vault.transfer.landing import sweep_pulls

        for folder in (self.paths.models, *self._roots):
            if os.path.isdir(folder):
                drop_stagings(folder, now)
                sweep_pulls(folder, now=now)

    def storage_names(self) -> list[str]:
        """The strongholds that are storages of this realm."""
        return [each.name for each in self._storages.strongholds()]

    def note_checkpoints(self, names: Collection[str]) -> None:
        """Checkpoints of these names came or went; for `CheckpointLedger.on_change`. Raises nothing."""
        try:
            look_at_checkpoints(self.catalog, self.paths, names)
        except (OSError, RealmError) as error:
            self._fell_behind(error)

    def note_gone(self, path: Path) -> None:
        """Something was deleted from the vault; for `Treasury.on_gone`. Raises nothing."""
        try:
            strike_out(self.catalog, self.paths, path)
        except (OSError, RealmError) as error:
            self._fell_behind(error)

    # --- inside -------------------------------------------------------------------------------------------

    def _fell_behind(self, error: Exception) -> None:
        # The next round makes it equal to the disk again; until then answers are held against the disk anyway.
        self.is_behind = True
        logger.warning("the catalog fell behind: %s", error, extra={"event": "catalog_behind"})

    def _by_alias(self, reference: str) -> Asset | None:
        if reference == "latest":
            latest = self._ledger.get_latest()
            asset_id = self.catalog.id_of_name(latest.canonical_name) if latest else self.catalog.newest_checkpoint()
        elif reference == "best":
            best = self._ledger.get_best()
            asset_id = self.catalog.id_of_name(best.canonical_name) if best else None
        elif _STEP.fullmatch(reference):
            asset_id = f"checkpoint_{int(reference)}"
        else:
            name = reference.replace("_", "-", 1) if reference.startswith("checkpoint_") else reference
            asset_id = self.catalog.id_of_name(name)
            step = name.removeprefix("checkpoint-")
            if asset_id is None and is_checkpoint_name(name) and _STEP.fullmatch(step):
                asset_id = f"checkpoint_{int(step)}"
        return None if asset_id is None else self.catalog.locate(asset_id)

    def _why_not(self, reference: str) -> str:
        if reference == "champion":
            return "No champion has been chosen yet."
        if reference in ("latest", "best"):
            return "There is no checkpoint yet."
        return f"The catalog has no asset {reference!r}."

    def _as_it_is(self, asset: Asset) -> Asset | None:
        """The asset without what has vanished from the base directory, best first; None where nothing is left."""
        there = [each for each in asset.locations if not is_inside(each, self.paths) or os.path.lexists(each.path)]
        if len(there) < len(asset.locations):
            self.is_behind = True
            moved = self._moved_lane(asset) if asset.asset_type is AssetType.TRAINING_DATA else None
            there += [moved] if moved else []
        return replace(asset, locations=ranked(there, self.kind_of)) if there else None

    def _moved_lane(self, asset: Asset) -> Location | None:
        """Quests go from lane to lane all the time."""
        from core.paths import LANES

        for lane in LANES:
            place = self.paths.lane(lane) / asset.name
            if place.is_file():
                return Location(LOCAL, str(place), size_bytes=place.stat().st_size, is_primary=True)
        return None

    def _target(self, asset: Asset, destination: str | os.PathLike[str] | None) -> Path:
        if destination is None:
            return self.paths.models / asset.name
        place = Path(os.path.abspath(destination))
        return place / asset.name if place.is_dir() and place.name != asset.name else place

    def _carry(self, asset: Asset, source: Location, target: Path) -> Transfer | None:
        if self.is_here(source):
            return self._copies.copy(asset, source, target)
        return self._ways.bring(asset, source, target)

    def _check_stronghold(self, stronghold: str) -> None:
        if stronghold != LOCAL:
            self._storages.get(stronghold)

    def _known_inside(self, place: Path) -> Asset:
        """What lies in the base directory is found by looking at it, and has the id that every look gives it."""
        found = self._at(place)
        if found is None:
            self.reconcile()
            found = self._at(place)
        if found is None:
            raise NotFound(
                f"{place} is nothing that the catalog keeps.",
                hint="Checkpoints, models, data, configs, snapshots and archives are found by themselves.",
            )
        return found

    def _at(self, place: Path) -> Asset | None:
        asset_id = self.catalog.id_at(LOCAL, str(place))
        return self.find(asset_id) if asset_id else None


def _lookup(asset: Asset) -> Lookup:
    best = next(filter(is_usable, asset.locations), None)
    error = None if best else f"Every copy of {asset.asset_id} is missing or damaged."
    return Lookup(asset.asset_id, found=True, locations=asset.locations, best_location=best, error=error)


def _as_it_lies(path: str | os.PathLike[str]) -> Path:
    """The absolute path without links on the way; whether it is one itself is for others to judge."""
    place = Path(os.path.abspath(path))
    return Path(os.path.realpath(place.parent)) / place.name


def _one_of(kind: type[StrEnum], what: str, value: str | None) -> Any:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError as error:
        from difflib import get_close_matches

        close = get_close_matches(str(value), list(kind), n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(kind)}."
        raise InvalidInput(f"There is no {what} {str(value)[:80]!r} of assets.", hint=hint) from error


def _zone_told(name: str, kind: StrongholdType, number: int) -> dict[str, Any]:
    unknown = dict.fromkeys(("total_gb", "used_gb", "free_gb", "usage_percent"))
    return {
        "name": name, "type": kind, "host": name, "base_path": None, "asset_count": number, "status": "unknown",
        **unknown,
    }  # fmt: skip

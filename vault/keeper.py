"""The VaultKeeper: knows where every asset lies, on whichever host, and brings it here (seed 003, "Ask Vault First").

Every answer is held against the disk: what was deleted from the realm's directory is not found, whatever the catalog
still says. Everything but `locate` takes its time and belongs into a thread.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.knocking import Knocker
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
from vault.catalog.choices import one_of
from vault.catalog.finding import assets_below, shown
from vault.catalog.reconcile import is_inside, look_at_checkpoints, reconcile, register, strike_out
from vault.copies import Copies, Heavy, here
from vault.outlying import Outlying
from vault.references import References, why_not
from vault.room import Room
from vault.seal_books import book_seals
from vault.storage_registry import StorageRegistry
from vault.stores import Stores
from vault.zone_ways import ZoneWays

logger = logging.getLogger(__name__)


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
        self.heavy = heavy
        self._references = References(self.catalog, self._ledger, self.note_checkpoints)
        self._outlying = Outlying(self.catalog, self._roots_here)
        self._copies = Copies(
            self.catalog, self._storages, self.paths.base, heavy, outlying=self._outlying, is_zone=self._is_zone
        )
        self.ending = threading.Event()
        """Set, it ends whatever is being carried."""
        self.on_carried: Callable[[Transfer], object] | None = None
        """Hears of each transfer between zones, also of those that failed; from any thread."""
        self.on_changed: Callable[[Changes], object] = lambda changes: None
        """Hears of what a look at the whole disk has changed in the catalog; from any thread."""
        self._ways = ZoneWays(self.paths, self.catalog, self.ending, lambda moved: self._carried(moved))
        self._knocker = Knocker()
        self._room = Room(self.paths.base)
        self._scanning = threading.Lock()
        self._scanned_at = -math.inf
        """When the last look began that a scan has waited for (`time.monotonic`)."""
        self.is_behind = False
        """Whether something was met that the catalog does not tell rightly; a `reconcile` is due."""
        if catalog is None and not self.catalog.stats()["total_assets"]:
            self.reconcile()

    def close(self) -> None:
        """End what is being carried, and close the catalog, if it was opened here."""
        self.ending.set()
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
        return Lookup(reference, found=False, error=why_not(reference)) if asset is None else _lookup(asset)

    def locate_at_once(self, asset_id: str) -> Lookup | None:
        """`locate` by the very id: microseconds, fit for an event loop; None where that finds nothing."""
        known = self.catalog.locate(asset_id)
        asset = None if known is None else self._as_it_is(known)
        return None if asset is None else _lookup(asset)

    def find(self, reference: str) -> Asset | None:
        """The asset meant by a reference as `locate` takes it, best location first; None where there is none."""
        self.catalog.db.replace_if_damaged()
        asset = self.catalog.locate(reference) or self._references.asset(reference)
        return None if asset is None else self._as_it_is(asset)

    def get_asset(self, reference: str) -> Asset:
        """`find`, but raises `NotFound`."""
        asset = self.find(reference)
        if asset is None:
            raise NotFound(why_not(reference), hint="`realm vault stats` tells what there is.")
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
        wanted = one_of(AssetStatus, "status", status)
        found = self.catalog.search(
            one_of(AssetType, "type", asset_type), name, stronghold, wanted, limit=limit, offset=offset
        )
        there = [asset for each in found.assets if (asset := self._as_it_is(each)) is not None]
        # Of one whose last copy in use has just been deleted, a backup may be left.
        return replace(found, assets=[asset for asset in there if wanted in (None, asset.status)])

    def list_checkpoints(self, limit: int = 50, offset: int = 0) -> Page:
        """A page of checkpoints, newest first."""
        return self.search(AssetType.CHECKPOINT, limit=limit, offset=offset)

    def export(self) -> Iterator[Asset]:
        """All assets, by id."""
        for each in self.catalog.export():
            if (asset := self._as_it_is(each)) is not None:
                yield asset

    def stats(self) -> dict[str, Any]:
        """Numbers of all assets and the last transfers; see `vault.catalog.answers.Counted`."""
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

    def disk(self) -> dict[str, float | None] | None:
        """The room on the disk of the base directory (`vault.room`); None where it does not tell."""
        try:
            return self._room.told()
        except Unavailable:
            return None

    def strongholds(self) -> list[dict[str, Any]]:
        """The realm's own directory and every storage, with their room and how many assets lie in them."""
        # Loaded on use: no start waits for it.
        from vault.stronghold_rows import stronghold_rows

        counted = self.catalog.stats()["locations_by_stronghold"]
        return stronghold_rows(self.paths.base, self._storages, self._knocker, counted, self.kind_of)

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
            return Fetched(reference, success=False, error=why_not(reference))
        wanted = [each for each in asset.locations if is_usable(each) and from_stronghold in (None, each.stronghold)]
        sources = [each for each in wanted if self._is_within_reach(each)]
        if not sources:
            where = f" in {from_stronghold}" if from_stronghold else ""
            return Fetched(asset.asset_id, success=False, error=f"There is no usable copy of {asset.asset_id}{where}.")
        # One that is here will do, however well another is known.
        own = next((each for each in sources if self.is_here(each)), None) if destination is None else None
        if own is not None:
            return Fetched(asset.asset_id, True, own.path, own)
        try:
            target = self.target(asset, destination)
        except RealmError as error:
            return Fetched(asset.asset_id, success=False, source_location=sources[0], error=str(error))
        errors = []
        for source in sources:
            try:
                transfer = self._carry(asset, source, target)
            except RealmError as error:
                errors.append(f"{source.stronghold}: {error}")
            else:
                return Fetched(asset.asset_id, True, str(target), source, transfer)
        return Fetched(asset.asset_id, success=False, source_location=sources[0], error=" ".join(errors))

    def target(self, asset: Asset, destination: str | os.PathLike[str] | None) -> Path:
        """Where a fetch puts an asset; raises `InvalidInput` for a name under which nothing may lie here."""
        # Loaded on use: who only looks things up needs none of it.
        from vault.transfer.landing import refuse_wrong_name

        # It may be another host's word.
        refuse_wrong_name(asset.name)
        if destination is None:
            return self.paths.models / asset.name
        place = self._as_named_here(os.path.abspath(destination))
        return place / asset.name if place.is_dir() and place.name != asset.name else place

    def manifest(self, asset: Asset, location: Location) -> dict[str, Any]:
        """See `Copies.manifest`."""
        return self._copies.manifest(asset, location)

    def is_here(self, location: Location) -> bool:
        """Whether its path is one of this host."""
        return self._copies.is_here(location)

    # --- entering and checking ----------------------------------------------------------------------------

    def register(self, path: str | os.PathLike[str], stronghold: str = LOCAL, is_primary: bool = True) -> Asset:
        """Enter what lies at a path into the catalog; raises `NotFound` for what is no asset."""
        return self._entered(path, stronghold, is_primary)

    def scan(
        self, path: str | os.PathLike[str], stronghold: str = LOCAL, recursive: bool = True
    ) -> tuple[list[str], list[dict[str, str]]]:
        """Enter everything below a directory: the ids, and what was left out with its reason.

        A checkpoint or a model is one asset, whatever files it is made of.
        """
        folder = self._as_named_here(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise NotFound(f"{folder} is no directory.")
        self._check_stronghold(stronghold)
        ids: list[str] = []
        skipped: list[dict[str, str]] = []
        is_inside = stronghold == LOCAL and folder.is_relative_to(self.paths.base)
        known = self._known_below(folder) if is_inside else {}
        left_out: list[str] = []
        for each in assets_below(folder, recursive=recursive, skipped=left_out):
            try:
                if not is_inside:
                    ids.append(self._entered(each, stronghold, is_primary=None).asset_id)
                elif (asset_id := known.get(str(each))) is not None:
                    ids.append(asset_id)
                else:
                    raise _nothing_kept(each)
            except RealmError as error:
                skipped.append({"path": shown(each), "reason": str(error)})
        skipped += [{"path": shown(folder), "reason": shown(why)} for why in left_out]
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
        # Before the look: what is missed while it lasts may be missed by it.
        self.is_behind = False
        try:
            changes = reconcile(self.catalog, self.paths, self._outlying, self._storages_here())
            self._book_backups(LOCAL)
        except BaseException:  # whatever it was, the look was not made
            self.is_behind = True
            raise
        if changes:
            logger.info(
                "the catalog gained %d assets, lost %d and changed %d", len(changes.added), len(changes.removed),
                len(changes.changed), extra={"event": "catalog_reconciled"},
            )  # fmt: skip
            self.on_changed(changes)
        return changes

    def rebuild(self) -> Changes:
        """Look at everything anew: the base directory, and every root and storage on this host, whatever mounts they
        were on. What a verification has said of bytes that are as they were stays; nothing is missing meanwhile."""
        self.catalog.forget_mounts()
        changes = self.reconcile()
        places = [(str(root), LOCAL) for root in self._roots]
        places += [(str(each.base_path), each.name) for each in self._storages.strongholds() if each.base_path]
        for place, stronghold in places:
            if self._outlying.is_there(place):
                with suppress(NotFound):
                    self.scan(place, stronghold)
                if stronghold != LOCAL:
                    self._book_backups(stronghold, anew=True)
        self.catalog.recount()
        return changes

    def sweep(self, now: datetime) -> None:
        """Delete what fetches have left behind that were cut off, and that nobody goes on with."""
        # Loaded on use: who only looks things up needs none of it.
        from vault.sweeping import sweep_up

        sweep_up(self.paths, self.catalog, self._outlying, self._roots, now)

    def storage_names(self) -> list[str]:
        """The strongholds that are storages of this realm."""
        return [each.name for each in self._storages.strongholds()]

    def _storages_here(self) -> list[str]:
        """Those that are mounted on this host."""
        return [each.name for each in self._storages.strongholds() if each.base_path and not self._is_zone(each.name)]

    def _roots_here(self) -> list[str]:
        """What a place on this host may lie below, each of them there or away as a whole."""
        try:
            storages = [each.base_path for each in self._storages.strongholds() if each.base_path is not None]
        except Unavailable:  # the registry is damaged: that is told where it is asked for
            storages = []
        return [str(self.paths.base), *map(str, self._roots), *storages]

    def _is_zone(self, stronghold: str) -> bool:
        return stronghold != LOCAL and self._ways.kind_of(stronghold) is not None

    def note_checkpoints(self, names: Collection[str]) -> None:
        """Checkpoints of these names came or went; for `CheckpointLedger.on_change`. Raises nothing."""
        try:
            look_at_checkpoints(self.catalog, self.paths, names)
        except (OSError, RealmError) as error:
            self._fell_behind(error)

    def note_gone(self, path: Path, stronghold: str = LOCAL) -> None:
        """Something was deleted from the vault; for `Treasury.on_gone`. Raises nothing."""
        try:
            strike_out(self.catalog, path, stronghold)
        except (OSError, RealmError) as error:
            self._fell_behind(error)

    # --- inside -------------------------------------------------------------------------------------------

    def _carried(self, moved: Transfer) -> None:
        if self.on_carried is not None:
            self.on_carried(moved)

    def _book_backups(self, stronghold: str, *, anew: bool = False) -> None:
        """What is backed up lies there too, however a kill has cut its booking off."""
        stores = Stores(self.paths, self._storages)
        try:
            store = stores.get(stronghold)
            book_seals(self.catalog, store, stores.seals(store), anew=anew)
        except (OSError, RealmError) as error:
            logger.warning("backups are not booked: %s", error, extra={"event": "backups_unbooked"})

    def _fell_behind(self, error: Exception) -> None:
        # The next round makes it equal to the disk again; until then answers are held against the disk anyway.
        self.is_behind = True
        logger.warning("the catalog fell behind: %s", error, extra={"event": "catalog_behind"})

    def _as_it_is(self, asset: Asset) -> Asset | None:
        """The asset without what has vanished from the base directory, best first; None where nothing is left."""
        there = [each for each in asset.locations if not is_inside(each, self.paths) or os.path.lexists(each.path)]
        if len(there) < len(asset.locations):
            moved = self._moved_lane(asset) if asset.asset_type is AssetType.TRAINING_DATA else None
            there += [moved] if moved else []
            # Quests change lanes all the time: that is no reason to look through everything.
            self.is_behind = self.is_behind or moved is None
        return replace(asset, locations=ranked(there, self.kind_of)) if there else None

    def _moved_lane(self, asset: Asset) -> Location | None:
        """Quests go from lane to lane all the time."""
        from core.paths import LANES

        for lane in LANES:
            place = self.paths.lane(lane) / asset.name
            with suppress(OSError):
                # Of one name there may be others: one that was completed has another size.
                if place.is_file() and (size := place.stat().st_size) == asset.size_bytes:
                    return Location(LOCAL, str(place), size_bytes=size, is_primary=True)
        return None

    def _carry(self, asset: Asset, source: Location, target: Path) -> Transfer | None:
        if self.is_here(source):
            return self._copies.copy(asset, source, target)
        return self._ways.bring(asset, source, target)

    def _is_within_reach(self, location: Location) -> bool:
        """Whether it lies in a zone, or still on this host."""
        is_ours = location.stronghold == LOCAL or location.stronghold in self._storages_here()
        if not is_ours or (self._outlying.is_there(location.path) and self.is_here(location)):
            return True
        self.is_behind = True
        return False

    def _check_stronghold(self, stronghold: str) -> None:
        if self._is_zone(stronghold):
            raise Conflict(
                f"{stronghold} is a host of the registry: what lies there is listed by itself.",
                hint="A storage that is mounted here needs a name of its own.",
            )
        if stronghold != LOCAL:
            self._storages.get(stronghold)

    def _as_named_here(self, path: str) -> Path:
        """A real path as the base directory calls it: `models/` may be a link to another disk, and what lies in it has
        one place all the same."""
        place, models = Path(path), os.path.realpath(self.paths.models)
        return self.paths.models / place.relative_to(models) if place.is_relative_to(models) else place

    def _entered(self, path: str | os.PathLike[str], stronghold: str, is_primary: bool | None) -> Asset:
        # Without links on the way; whether it is one itself is for others to judge.
        absolute = Path(os.path.abspath(path))
        place = self._as_named_here(os.path.join(os.path.realpath(absolute.parent), absolute.name))
        self._check_stronghold(stronghold)
        if stronghold == LOCAL and place.is_relative_to(self.paths.base):
            return self._known_inside(place)
        self._outlying.refuse_if_away(str(place))
        asset = register(self.catalog, place, stronghold, is_primary=is_primary)
        self._outlying.note(str(place))
        return asset

    def _known_inside(self, place: Path) -> Asset:
        """What lies in the base directory is found by looking at it, and has the id that every look gives it."""
        found = self._at(place)
        if found is None:
            self.reconcile()
            found = self._at(place)
        if found is None:
            raise _nothing_kept(place)
        return found

    def _known_below(self, folder: Path) -> dict[str, str]:
        """Paths below a folder of the base directory and what lies there, after a look that began just now; whoever
        asks while others wait for one shares it with them."""
        asked_at = time.monotonic()
        with self._scanning:
            if self._scanned_at < asked_at:
                began = time.monotonic()
                self.reconcile()
                self._scanned_at = began
        return self.catalog.ids_below(folder)

    def _at(self, place: Path) -> Asset | None:
        asset_id = self.catalog.id_at(LOCAL, str(place))
        return self.find(asset_id) if asset_id else None


def _lookup(asset: Asset) -> Lookup:
    best = next(filter(is_usable, asset.locations), None)
    error = None if best else f"Every copy of {asset.asset_id} is missing or damaged."
    return Lookup(asset.asset_id, found=True, locations=asset.locations, best_location=best, error=error)


def _nothing_kept(place: Path) -> NotFound:
    return NotFound(
        f"{place} is nothing that the catalog keeps.",
        hint="Checkpoints, models, data, configs, snapshots and archives are found by themselves.",
    )

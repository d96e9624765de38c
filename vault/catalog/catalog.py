"""The catalog: which assets exist on which host, in one SQLite file that can be rebuilt by scanning (DESIGN section 3).

Looking one asset up takes microseconds and may be done in an event loop; everything else belongs into a thread. What
lies in the base directory is kept by its path below it, so that a realm can be moved.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from core.checkpoint_records import BYTES_PER_GB
from core.db import Database
from core.errors import Conflict, NotFound, Unavailable
from core.files import DISK, Files
from vault.assets import LOCAL, Asset, AssetStatus, AssetType, Location, LocationStatus, Transfer
from vault.catalog import records
from vault.catalog.closed_door import ClosedDoor

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"

TRANSFERS_KEPT = 10_000
"""Later ones push older ones out (law 9)."""
RARE = 500
"""Assets that fit part of a name; more are many."""
EXPORTED_AT_ONCE = 500

Row = Sequence[Any]

Settle = Callable[[Asset | None, Asset | None], Asset | None]
"""Of what was found and what is known of an asset, says what should stand."""


@dataclass(frozen=True)
class Page:
    """Some of the assets that were searched for."""

    assets: list[Asset]
    total: int
    """How many there are on all pages."""


@dataclass(frozen=True)
class Changes:
    """What a new look at a stronghold has changed in the catalog; ids."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What has the id of an asset that is known, and other bytes; what lies in `LOCAL` never is."""

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.refused)


class Catalog:
    """One catalog; thread-safe, and open in several processes at once if need be."""

    def __init__(self, db: Database | ClosedDoor, base: Path) -> None:
        """`base` is the directory whose contents are the stronghold `LOCAL`."""
        self.db = db
        self._base = str(base)

    @classmethod
    @contextmanager
    def opened(
        cls, file: Path, base: Path, *, owner: bool = True, guest: bool = False, files: Files = DISK
    ) -> Iterator[Catalog]:
        """The catalog in `file` until the end of the block; raises `Unavailable` as `Database` does."""
        with closing(Database(file, MIGRATIONS, owner=owner, guest=guest, files=files)) as db:
            yield cls(db, base)

    @classmethod
    @contextmanager
    def opened_in_time(cls, file: Path, base: Path) -> Iterator[Catalog]:
        """The same for whoever can do without it: one that cannot be opened raises `Unavailable` where it is used,
        until `open_again` succeeds."""
        catalog = cls(ClosedDoor(file), base)
        catalog.open_again()
        try:
            yield catalog
        finally:
            catalog.db.close()

    def open_again(self) -> bool:
        """Try to open what could not be opened; tells whether it was opened now. Takes its time: for a thread."""
        if not isinstance(self.db, ClosedDoor):
            return False
        try:
            opened = Database(self.db.path, MIGRATIONS)
        except Unavailable as error:
            self.db.why = error
            return False
        opened.on_damage, self.db = self.db.on_damage, opened
        return True

    # --- reading ------------------------------------------------------------------------------------------

    def locate(self, asset_id: str) -> Asset | None:
        """The asset of exactly this id, with all its locations."""
        asset_id = _text(asset_id)
        rows = self.db.peek(records.LOCATE, (records.number_of(asset_id), asset_id))
        rows = rows or self.db.peek(records.LOCATE_ELSEWHERE, (asset_id,))
        return self._asset(rows[0]) if rows else None

    def id_of_name(self, name: str) -> str | None:
        """The id of the asset whose directory or file has this name; of several, the first by id."""
        rows = self.db.peek(records.ID_BY_NAME, (_text(name),))
        return str(rows[0][0]) if rows else None

    def id_at(self, stronghold: str, path: str) -> str | None:
        """The id of what lies at this path."""
        rows = self.db.peek(records.ID_AT, (stronghold, _text(self._stored(stronghold, path))))
        return str(rows[0][0]) if rows else None

    def ids_below(self, folder: Path) -> dict[str, str]:
        """What lies in the base directory below a folder of it, and the folder itself: by its path, the id of each."""
        below = _text(self._stored(LOCAL, f"{folder}/")) if str(folder) != self._base else ""
        with self.db.read() as connection:
            found = {self._read(LOCAL, path): id_ for path, id_ in records.ids_below(connection, LOCAL, below)}
        own = self.id_at(LOCAL, str(folder))
        return found if own is None else {**found, str(folder): own}

    def newest_checkpoint(self) -> str | None:
        """The id of the checkpoint with the greatest step, wherever it lies."""
        rows = self.db.peek(records.NEWEST_CHECKPOINT, (AssetType.CHECKPOINT,))
        return str(rows[0][0]) if rows else None

    def search(
        self,
        asset_type: AssetType | None = None,
        name: str | None = None,
        stronghold: str | None = None,
        status: AssetStatus | None = None,
        *,
        limit: int = 50,
        offset: int = 0,
    ) -> Page:
        """A page of those that fit all that is given; `name` is part of a name. Checkpoints newest first."""
        name, stronghold = (None if text is None else _text(text) for text in (name, stronghold))
        newest_first = asset_type is AssetType.CHECKPOINT
        with self.db.read() as connection:
            # A rare part of a name is walked for once, and what is frequent is met soon in any order.
            ids = None if name is None else records.ids_by_part(connection, name, RARE)
            wanted = records.matching(asset_type=asset_type, name=name, stronghold=stronghold, status=status, ids=ids)
            if name is None and stronghold is None and status in (None, AssetStatus.ACTIVE):
                counted = self._counted("type")
                total = counted.get(asset_type, (0, 0))[0] if asset_type else sum(n for n, _ in counted.values())
                total -= records.count(connection, records.not_active(asset_type)) if status else 0
            else:
                total = records.count(connection, wanted)
            found = records.page(
                connection, wanted, limit=limit, offset=offset, newest_first=newest_first,
                frequent=name is not None and ids is None,
            )  # fmt: skip
        return Page(self._assets(found), total)

    def export(self) -> Iterator[Asset]:
        """All assets by id, some hundreds read at a time: what is written meanwhile may be missing."""
        last = ""
        while True:
            with self.db.read() as connection:
                found = self._assets(records.ids_after(connection, last, EXPORTED_AT_ONCE))
            yield from found
            if len(found) < EXPORTED_AT_ONCE:
                return
            last = found[-1].asset_id

    def stats(self) -> dict[str, Any]:
        """Numbers of all assets, from counters that are always true; see `vault.catalog.answers.Stats`."""
        types, strongholds = self._counted("type"), self._counted("stronghold")
        return {
            "total_assets": sum(number for number, _ in types.values()),
            "assets_by_type": {name: number for name, (number, _) in sorted(types.items())},
            "locations_by_stronghold": {name: number for name, (number, _) in sorted(strongholds.items())},
            "total_size_gb": sum(size for _, size in types.values()) / BYTES_PER_GB,
        }

    def sizes_by_type(self) -> dict[str, dict[str, int]]:
        """`{type: {count, size_bytes}}` of all assets."""
        counted = sorted(self._counted("type").items())
        return {name: {"count": number, "size_bytes": size} for name, (number, size) in counted if number}

    def places(self, stronghold: str) -> list[str]:
        """The paths of everything that lies in a stronghold."""
        with self.db.read() as connection:
            return [self._read(stronghold, path) for path in records.paths_in(connection, stronghold)]

    def recent_transfers(self, limit: int = 10) -> list[Transfer]:
        """The last ones, newest first."""
        with self.db.read() as connection:
            rows = records.latest_transfers(connection, limit)
        return [Transfer(**{name: value for name, value in row._mapping.items() if name != "id"}) for row in rows]

    def last_syncs(self) -> dict[str, str]:
        """By stronghold, when the last asset had come whole from it or to it, as far as this catalog was told."""
        with self.db.read() as connection:
            rows = records.last_successes(connection)
        return {name: _end_of(created_at, seconds) for name, created_at, seconds in rows}

    # --- writing ------------------------------------------------------------------------------------------

    def put(self, asset: Asset) -> None:
        """Insert the asset, or update it and the locations given; other locations stay.

        Raises `Conflict` when a copy elsewhere is known to hold other bytes.
        """
        with self.db.write() as connection:
            for location in asset.locations:
                self._check_bytes(connection, asset.asset_id, location)
            is_own = any(location.stronghold == LOCAL for location in asset.locations)
            records.put_assets(connection, [_asset_row(asset)], over_local=is_own)
            records.put_locations(connection, self._location_rows(asset))

    def put_location(self, asset_id: str, location: Location) -> None:
        """Insert or update one location; raises `NotFound` where the asset is not known, `Conflict` as `put`."""
        with self.db.write() as connection:
            self._check_bytes(connection, asset_id, location)
            if not records.is_known(connection, asset_id):
                raise NotFound(f"The catalog has no asset {asset_id!r}.")
            records.put_locations(connection, [self._location_row(asset_id, location)])

    def drop_location(self, asset_id: str, stronghold: str, path: str | None = None) -> int:
        """Strike out what lies in a stronghold, or at one path of it; an asset leaves with its last location."""
        place = None if path is None else self._stored(stronghold, path)
        with self.db.write() as connection:
            dropped = records.delete_locations(connection, asset_id, stronghold, place)
            records.delete_homeless(connection, [asset_id])
        return dropped

    def drop_places(self, stronghold: str, paths: Collection[str]) -> list[str]:
        """Strike out what lies at these paths of a stronghold; the ids of the assets that had a copy there."""
        if not paths:
            return []
        with self.db.write() as connection:
            dropped = records.delete_places(connection, stronghold, [self._stored(stronghold, path) for path in paths])
            records.delete_homeless(connection, dropped)
        return dropped

    def replace_stronghold(
        self,
        stronghold: str,
        found: Iterable[Asset],
        *,
        settle: Settle = lambda found, known: found,
        steps: Collection[int] | None = None,
        between: tuple[str, str | None] | None = None,
    ) -> Changes:
        """Make what the catalog says of a stronghold equal to what was found in it, in one transaction.

        `settle` has the last word on each asset, as what was found may have changed since: it is given what was found
        and what is known of it here, either of them None, and returns what should stand. With `steps`, the look was at
        checkpoints of these steps only, and all else stays as it is; with `between`, at ids behind the first up to the
        second.
        """
        now = {asset.asset_id: asset for asset in found}
        changes, entering = Changes(), []
        with self.db.write() as connection:
            rows = list(records.held_in(connection, stronghold, steps, between))
            before = {asset.asset_id: asset for asset in self._assets(rows)}
            elsewhere = self._checksums_elsewhere(connection, now, stronghold)
            for key in sorted(now.keys() | before.keys()):
                known = before.get(key)
                asset = settle(now.get(key), known)
                if asset is not None and known is not None and stronghold != LOCAL:
                    asset = _with_times(asset, known)
                if asset is None and known is not None:
                    changes.removed.append(key)
                elif asset is None or (known is not None and _agree(asset, known, stronghold)):
                    continue
                elif stronghold != LOCAL and any(_differ(each, elsewhere.get(key)) for each in asset.locations):
                    changes.refused.append(key)
                    if known is not None:
                        # What is known of a copy that was refused is not true any more either.
                        changes.removed.append(key)
                else:
                    entering.append(asset)
                    (changes.added if known is None else changes.changed).append(key)
            for key in (*changes.removed, *changes.changed):
                records.delete_locations(connection, key, stronghold)
            records.put_assets(connection, [_asset_row(each) for each in entering], over_local=stronghold == LOCAL)
            records.put_locations(connection, [row for each in entering for row in self._location_rows(each)])
            if stronghold == LOCAL:
                self._strike_other_bytes(connection, entering)
            records.delete_homeless(connection, [*changes.removed, *changes.refused])
        return changes

    def note_transfer(self, transfer: Transfer) -> None:
        """Keep it among the last `TRANSFERS_KEPT`."""
        with self.db.write() as connection:
            records.note_transfer(connection, asdict(transfer), TRANSFERS_KEPT)

    def recount(self) -> None:
        """Make anew what triggers keep: the counters, and the locations beside each asset."""
        with self.db.write() as connection:
            records.recount(connection)

    # --- manifests that were made here ----------------------------------------------------------------------

    def manifest(self, path: Path, stamp: str) -> dict[str, Any] | None:
        """The one that was stored for the files at `path`, if they had this stamp then."""
        with self.db.read() as connection:
            stored = records.stored_manifest(connection, str(path), stamp)
        return stored if isinstance(stored, dict) else None

    def manifest_stamp(self, path: str) -> str | None:
        """The stamp of the one that is stored for a path."""
        rows = self.db.peek(records.STAMP, (_text(path),))
        return str(rows[0][0]) if rows else None

    def store_manifest(self, path: Path, stamp: str, manifest: Mapping[str, Any]) -> None:
        with self.db.write() as connection:
            records.store_manifest(connection, str(path), stamp, manifest)

    def manifest_places(self) -> list[str]:
        """The paths of which there are stored ones."""
        with self.db.read() as connection:
            return records.manifest_paths(connection)

    def forget_manifests(self, paths: Collection[str]) -> None:
        """Drop those of paths at which nothing lies any more."""
        if paths:
            with self.db.write() as connection:
                records.forget_manifests(connection, paths)

    # --- where things lie that are elsewhere ----------------------------------------------------------------

    def mount_points(self) -> set[str]:
        """The mounts on which something of the catalog lay, whether or not they are there now."""
        with self.db.read() as connection:
            return set(records.mount_points(connection))

    def note_mounts(self, points: Collection[str]) -> None:
        with self.db.write() as connection:
            records.note_mounts(connection, points)

    def forget_mounts(self) -> None:
        with self.db.write() as connection:
            records.forget_mounts(connection)

    def note_staging(self, path: Path, now: datetime) -> None:
        """A copy is being made there, which is to be deleted should nobody finish it."""
        with self.db.write() as connection:
            records.note_staging(connection, str(path), now.isoformat())

    def forget_staging(self, path: Path) -> None:
        with self.db.write() as connection:
            records.forget_staging(connection, str(path))

    def stagings(self) -> dict[Path, datetime]:
        """Copies that were begun and not finished, and when that was."""
        with self.db.read() as connection:
            begun = records.stagings_begun(connection)
        return {Path(path): datetime.fromisoformat(at) for path, at in begun.items()}

    # --- inside -------------------------------------------------------------------------------------------

    def _strike_other_bytes(self, connection: Any, own: Iterable[Asset]) -> None:
        """After a rewind a step is made anew: copies of its former self elsewhere are no copies of it."""
        for asset in own:
            for checksum in {each.checksum for each in asset.locations if each.is_primary and each.checksum}:
                records.delete_other_bytes(connection, asset.asset_id, checksum, LOCAL)

    def _check_bytes(self, connection: Any, asset_id: str, location: Location) -> None:
        place = self._stored(location.stronghold, location.path)
        if _differ(location, records.checksum_of_others(connection, asset_id, location.stronghold, place)):
            raise Conflict(
                f"{location.path} is not the {asset_id} that the catalog knows: its hashes differ.",
                hint="Two checkpoints of one step and name came from two histories; keep one of them out.",
            )

    def _checksums_elsewhere(self, connection: Any, asset_ids: Iterable[str], stronghold: str) -> dict[str, str]:
        found: dict[str, str] = {}
        rest = iter(asset_ids)
        while some := list(islice(rest, EXPORTED_AT_ONCE)):
            found |= records.checksums_elsewhere(connection, some, stronghold)
        return found

    def _counted(self, kind: str) -> dict[str, tuple[int, int]]:
        """Number and bytes by name."""
        rows = self.db.peek(records.COUNTERS)
        return {name: (entries, size) for of_kind, name, entries, size in rows if of_kind == kind}

    def _assets(self, rows: Iterable[Row]) -> list[Asset]:
        return [self._asset(row) for row in rows]

    def _asset(self, row: Row) -> Asset:
        """See `records.LOCATE`."""
        asset_id, kind, name, description, size, created, modified, _, told, step, places = row
        return Asset(
            asset_id, AssetType(kind), name, description, size, created, modified,
            json.loads(told) if isinstance(told, str) else told,
            tuple([self._location(each) for each in json.loads(places)]), step,
        )  # fmt: skip

    def _location(self, row: Row) -> Location:
        stronghold, path, status, verified_at, checksum, size, synced_at, is_primary = row
        return Location(
            stronghold, self._read(stronghold, path), LocationStatus(status), verified_at, checksum, size, synced_at,
            bool(is_primary),
        )  # fmt: skip

    def _location_rows(self, asset: Asset) -> list[dict[str, Any]]:
        return [self._location_row(asset.asset_id, location) for location in asset.locations]

    def _location_row(self, asset_id: str, location: Location) -> dict[str, Any]:
        place = self._stored(location.stronghold, location.path)
        return {**vars(location), "asset_id": asset_id, "path": place}

    def _read(self, stronghold: str, place: str) -> str:
        return place if stronghold != LOCAL or place.startswith("/") else f"{self._base}/{place}"

    def _stored(self, stronghold: str, path: str) -> str:
        inside = stronghold == LOCAL and path.startswith(f"{self._base}/")
        return path[len(self._base) + 1 :] if inside else path


def _asset_row(asset: Asset) -> dict[str, Any]:
    # Not by way of `to_json`, which makes all the locations too: most of entering a large zone is done here.
    row = {name: getattr(asset, name) for name in records.ASSET_COLUMNS}
    return {**row, "metadata": dict(asset.metadata), "number": records.number_of(asset.asset_id)}


def _agree(asset: Asset, known: Asset, stronghold: str) -> bool:
    """Whether nothing is to be written; of other strongholds only the location counts, once the asset is known."""
    if set(asset.locations) != set(known.locations):
        return False
    return stronghold != LOCAL or replace(asset, locations=()) == replace(known, locations=())


def _with_times(asset: Asset, known: Asset) -> Asset:
    """With what is known here of how its copies came there, which a zone does not tell."""
    before = {(each.path, each.checksum): each.synced_at for each in known.locations}
    copies = asset.locations
    told = (replace(each, synced_at=each.synced_at or before.get((each.path, each.checksum))) for each in copies)
    return replace(asset, locations=tuple(told))


def _differ(location: Location, checksum: str | None) -> bool:
    return None not in (location.checksum, checksum) and location.checksum != checksum


def _end_of(begun_at: str, seconds: float) -> str:
    begun = datetime.fromisoformat(begun_at)
    return ((begun if begun.tzinfo else begun.replace(tzinfo=UTC)) + timedelta(seconds=seconds)).isoformat()


def _text(value: str) -> str:
    """Fit for SQLite: what was half a surrogate pair is in no name that was ever entered."""
    return value.encode("utf-8", "replace").decode("utf-8")

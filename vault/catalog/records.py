"""The tables of `vault/catalog.db`, and every statement on them.

The migrations under `vault/migrations/` make these tables; a test holds the two equal. Counters and the
status of assets are kept by triggers, in the transaction of whatever changes them, so that none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite import insert

from vault.assets import LOCAL, AssetStatus, AssetType

metadata = sa.MetaData()

assets = sa.Table(
    "assets",
    metadata,
    # `number_of` its id, where that was free: by a number a row is found in a flat tree, most of which stays in memory.
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("asset_id", sa.String(300), nullable=False, unique=True),
    sa.Column("asset_type", sa.String(32), nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("created_at", sa.String(40)),
    sa.Column("modified_at", sa.String(40)),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("step", sa.BigInteger),
    # All its locations, kept by triggers: of a large catalog, a look-up reads one page that is not in memory.
    sa.Column("places", sa.Text, nullable=False, server_default="[]"),
    sa.Index("assets_by_type", "asset_type", "asset_id"),
    sa.Index("assets_by_step", "asset_type", "step", "asset_id"),
    sa.Index("assets_by_name", "name", "asset_id"),
    # Nearly all are active: only the others are looked for.
    sa.Index("assets_by_rare_status", "status", "asset_id", sqlite_where=sa.text("status != 'active'")),
)

locations = sa.Table(
    "locations",
    metadata,
    sa.Column("asset_id", sa.String(300), sa.ForeignKey("assets.asset_id", ondelete="CASCADE"), primary_key=True),
    sa.Column("stronghold", sa.String(64), primary_key=True),
    # Of what lies in the base directory, the path below it: a realm may be moved.
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("verified_at", sa.String(40)),
    sa.Column("checksum", sa.String(64)),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("synced_at", sa.String(40)),
    sa.Column("is_primary", sa.Boolean, nullable=False),
    sa.Index("locations_by_stronghold", "stronghold", "asset_id"),
    sa.Index("locations_by_path", "stronghold", "path"),
    sqlite_with_rowid=False,
)

transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    # No key of another table: what was carried is told of when the asset is long gone.
    sa.Column("asset_id", sa.String(300), nullable=False),
    sa.Column("from_stronghold", sa.String(64), nullable=False),
    sa.Column("to_stronghold", sa.String(64), nullable=False),
    sa.Column("from_path", sa.Text, nullable=False),
    sa.Column("to_path", sa.Text, nullable=False),
    sa.Column("bytes_transferred", sa.BigInteger, nullable=False),
    sa.Column("duration_seconds", sa.Float, nullable=False),
    sa.Column("success", sa.Boolean, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.String(40), nullable=False),
)

manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("path", sa.Text, primary_key=True),
    # Sizes and times of all files when they were hashed: another one means that they are to be hashed again.
    sa.Column("stamp", sa.String(64), nullable=False),
    sa.Column("manifest", sa.JSON, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("entries", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

mounts = sa.Table(
    "mounts",
    metadata,
    # Something of the catalog lay on it that is elsewhere than in the base directory.
    sa.Column("point", sa.Text, primary_key=True),
)

stagings = sa.Table(
    "stagings",
    metadata,
    # Of a copy that is being made, wherever it is made.
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("begun_at", sa.String(40), nullable=False),
)

RARE_STATUS = assets.c.status != sa.literal_column("'active'")
"""As the index has it: a parameter would not tell SQLite that it may use it."""
ASSET_COLUMNS = [column.name for column in assets.columns if column.name not in ("number", "places")]
LOCATION_COLUMNS = [column.name for column in locations.columns]
_TOLD: sa.ColumnElement[str] = sa.func.json_group_array(
    sa.func.json_array(*(locations.c[name] for name in LOCATION_COLUMNS[1:]))
)
"""The locations of an asset, as `assets.places` has them: a list of lists, as JSON."""


def _as_text(statement: sa.Select[Any]) -> str:
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="qmark")))


_WHOLE = [column for column in assets.columns if column.name != "number"]
_BY_ID = assets.c.asset_id == sa.bindparam("asset_id")
LOCATE = _as_text(sa.select(*_WHOLE).where(assets.c.number == sa.bindparam("number"), _BY_ID))
"""The asset of this number and id, its locations in the last column; for `Database.peek`."""
LOCATE_ELSEWHERE = _as_text(sa.select(*_WHOLE).where(_BY_ID))
"""The same for one whose number was taken by another."""
ID_BY_NAME = _as_text(sa.select(assets.c.asset_id).where(assets.c.name == sa.bindparam("name")).order_by("asset_id"))
ID_AT = _as_text(
    sa.select(locations.c.asset_id).where(
        locations.c.stronghold == sa.bindparam("stronghold"), locations.c.path == sa.bindparam("path")
    )
)
STAMP = _as_text(sa.select(manifests.c.stamp).where(manifests.c.path == sa.bindparam("path")))
NEWEST_CHECKPOINT = (
    _as_text(
        sa.select(assets.c.asset_id)
        .where(assets.c.asset_type == sa.bindparam("asset_type"), assets.c.step.is_not(None))
        .order_by(assets.c.step.desc())
    )
    + " LIMIT 1"
)
COUNTERS = _as_text(sa.select(counters).where(counters.c.entries > sa.literal_column("0")))


def number_of(asset_id: str) -> int:
    """Where the row of an asset is looked for first. Ids that end in numbers lie side by side: to enter what was listed
    in order fills one page after the other. Of two with the same number, the second is found by its id."""
    stem = asset_id.rstrip("0123456789")
    digits = asset_id[len(stem) :]
    if not 0 < len(digits) < 10:
        return int.from_bytes(blake2b(asset_id.encode(), digest_size=8).digest()) >> 1
    return (crc32(stem.encode(), len(digits)) & 0x7FFFFFFF) << 32 | int(digits)


# --- reading ----------------------------------------------------------------------------------------------------


def ids_by_part(connection: sa.Connection, name: str, most: int) -> list[str] | None:
    """The ids of assets with this part in their names, by one walk through the index of names; None where there are
    more than `most`."""
    walk = sa.select(assets.c.asset_id).where(assets.c.name.contains(name, autoescape=True)).limit(most + 1)
    found = list(connection.execute(walk).scalars())
    return found if len(found) <= most else None


def matching(
    *,
    asset_type: str | None,
    name: str | None,
    stronghold: str | None,
    status: str | None,
    ids: Sequence[str] | None = None,
) -> sa.ColumnElement[bool]:
    """What is searched for; `name` is a part of a name, in which `%` and `_` stand for themselves. It is looked for in
    these `ids` only, where they are known."""
    is_rare = status not in (None, AssetStatus.ACTIVE)
    wanted: list[sa.ColumnElement[bool]] = [sa.true() if ids is None else assets.c.asset_id.in_(ids)]
    of_type: sa.ColumnElement[Any] = assets.c.asset_type
    of_id: sa.ColumnElement[Any] = assets.c.asset_id
    if ids is not None or is_rare:
        # With a plus, a column is in no index: SQLite takes half a million checkpoints for fewer than some rows.
        of_type, of_id = _plain(assets.c.asset_type), _plain(assets.c.asset_id)
    if asset_type is not None:
        wanted.append(of_type == asset_type)
    if name is not None:
        wanted.append(assets.c.name.contains(name, autoescape=True))
    if status is not None:
        wanted.append(assets.c.status == status)
    if is_rare:
        wanted.append(RARE_STATUS)
    if stronghold is not None:
        held = sa.select(locations.c.asset_id).where(locations.c.stronghold == stronghold)
        wanted.append(of_id.in_(held))
    return sa.and_(*wanted)


def not_active(asset_type: str | None) -> sa.ColumnElement[bool]:
    """Those of another status than nearly all, of one type where it is given."""
    of_type = sa.true() if asset_type is None else _plain(assets.c.asset_type) == asset_type
    return sa.and_(RARE_STATUS, of_type)


def _plain(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    return sa.literal_column(f"+assets.{column.name}", column.type)


def count(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(assets).where(wanted)).scalar_one())


def page(
    connection: sa.Connection,
    wanted: sa.ColumnElement[bool],
    *,
    limit: int,
    offset: int,
    newest_first: bool,
    frequent: bool = False,
) -> list[sa.Row[Any]]:
    """Rows as `LOCATE` has them, of so many assets: by step from the newest on, else by id. `frequent` says that a part
    of a name is looked for that many have."""
    order: list[sa.ColumnElement[Any]] = [assets.c.asset_id]
    if newest_first:
        order.insert(0, assets.c.step.desc())
    # Ids first, of which an index has enough: what is left out before the page is not read. With the status, no index
    # has enough, and SQLite goes by the order that is asked for: of what is frequent, a page is found soon.
    wide = [assets.c.status] if frequent else []
    ids = (
        sa.select(assets.c.asset_id, *wide)
        .where(wanted)
        .order_by(*order)
        .limit(limit)
        .offset(offset)
        .subquery("chosen")
    )
    chosen = sa.alias(assets, "asset")
    joined = ids.join(chosen, chosen.c.asset_id == ids.c.asset_id)
    outer = [chosen.c.asset_id] if not newest_first else [chosen.c.step.desc(), chosen.c.asset_id]
    columns = [chosen.c[column.name] for column in _WHOLE]
    return list(connection.execute(sa.select(*columns).select_from(joined).order_by(*outer)).all())


def ids_after(connection: sa.Connection, last: str, limit: int) -> list[sa.Row[Any]]:
    """Rows as `LOCATE` has them of the next so many assets by id: the way through all of them."""
    return page(connection, assets.c.asset_id > last, limit=limit, offset=0, newest_first=False)


def held_in(
    connection: sa.Connection,
    stronghold: str,
    steps: Collection[int] | None = None,
    between: tuple[str, str | None] | None = None,
) -> Iterator[sa.Row[Any]]:
    """Rows as `LOCATE` has them, with the locations in one stronghold only, by id; with `steps`, of checkpoints of
    these steps; with `between`, of ids behind the first up to the second, or to the end."""
    joined = assets.join(locations, locations.c.asset_id == assets.c.asset_id)
    columns = [assets.c[name] for name in ASSET_COLUMNS]
    statement = sa.select(*columns, _TOLD).select_from(joined).where(locations.c.stronghold == stronghold)
    statement = statement.group_by(assets.c.asset_id).order_by(assets.c.asset_id)
    if steps is not None:
        statement = statement.where(assets.c.asset_type == AssetType.CHECKPOINT, assets.c.step.in_(steps))
    if between is not None:
        after, upto = between
        statement = statement.where(assets.c.asset_id > after)
        statement = statement if upto is None else statement.where(assets.c.asset_id <= upto)
    rows: sa.CursorResult[Any] = connection.execute(statement)
    yield from rows


def paths_in(connection: sa.Connection, stronghold: str) -> list[str]:
    return list(connection.execute(sa.select(locations.c.path).where(locations.c.stronghold == stronghold)).scalars())


def ids_below(connection: sa.Connection, stronghold: str, prefix: str) -> list[tuple[str, str]]:
    """Path and id of what lies in a stronghold at paths that begin so."""
    # As a range, for which the index of paths serves.
    begins = (locations.c.path >= prefix) & (locations.c.path < f"{prefix}{chr(0x10FFFF)}")
    wanted = sa.select(locations.c.path, locations.c.asset_id).where(locations.c.stronghold == stronghold, begins)
    return [(row.path, row.asset_id) for row in connection.execute(wanted)]


def checksums_elsewhere(connection: sa.Connection, asset_ids: Sequence[str], stronghold: str) -> dict[str, str]:
    """Of these assets, the checksum of a copy that lies outside of `stronghold`; this realm's own one first."""
    found = (
        sa.select(locations.c.asset_id, locations.c.checksum)
        .where(
            locations.c.asset_id.in_(asset_ids),
            locations.c.stronghold != stronghold,
            locations.c.checksum.is_not(None),
            locations.c.status != "corrupted",
        )
        .order_by(locations.c.stronghold == LOCAL)
    )
    return {row.asset_id: row.checksum for row in connection.execute(found)}


def checksum_of_others(connection: sa.Connection, asset_id: str, stronghold: str, path: str) -> str | None:
    """The checksum of a copy at another place; this realm's own one first."""
    found = (
        sa.select(locations.c.checksum)
        .where(
            locations.c.asset_id == asset_id,
            ~((locations.c.stronghold == stronghold) & (locations.c.path == path)),
            locations.c.checksum.is_not(None),
            locations.c.status != "corrupted",
        )
        .order_by((locations.c.stronghold == LOCAL).desc())
        .limit(1)
    )
    return connection.execute(found).scalar()


# --- writing ----------------------------------------------------------------------------------------------------


def put_assets(connection: sa.Connection, rows: Sequence[Mapping[str, Any]], *, over_local: bool) -> None:
    """Insert or update rows of `ASSET_COLUMNS`, with the number of each; without `over_local` what this realm itself
    says of an asset stays."""
    if not rows:
        return
    number = sa.bindparam("number", type_=sa.BigInteger)
    other = sa.alias(assets, "other")
    # Nothing for one that is taken: then SQLite finds a free one.
    free = sa.case((sa.exists().where(other.c.number == number), sa.null()), else_=number)
    statement = insert(assets).values(number=free, **{name: sa.bindparam(name) for name in ASSET_COLUMNS})
    # As text: SQLAlchemy would not relate the inner SELECT to the row that is there.
    own = "SELECT 1 FROM locations WHERE locations.asset_id = assets.asset_id AND locations.stronghold"
    statement = statement.on_conflict_do_update(
        index_elements=["asset_id"],
        # The status is kept by triggers on its locations.
        set_={name: statement.excluded[name] for name in ASSET_COLUMNS[1:] if name != "status"},
        where=None if over_local else sa.text(f"NOT EXISTS ({own} = '{LOCAL}')"),
    )
    connection.execute(statement, rows)


def put_locations(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    statement = insert(locations)
    key = ("asset_id", "stronghold", "path")
    changed = {name: statement.excluded[name] for name in LOCATION_COLUMNS if name not in key}
    statement = statement.on_conflict_do_update(index_elements=key, set_=changed)
    connection.execute(statement, rows)


def delete_locations(connection: sa.Connection, asset_id: str, stronghold: str, path: str | None = None) -> int:
    """Of one stronghold, and of one path where it is given; how many there were."""
    wanted = (locations.c.asset_id == asset_id) & (locations.c.stronghold == stronghold)
    if path is not None:
        wanted &= locations.c.path == path
    return connection.execute(sa.delete(locations).where(wanted)).rowcount


def delete_places(connection: sa.Connection, stronghold: str, paths: Iterable[str]) -> list[str]:
    """What lies at these paths; the ids of the assets that had a copy there."""
    here = (locations.c.stronghold == sa.bindparam("of")) & (locations.c.path == sa.bindparam("at"))
    found, gone = sa.select(locations.c.asset_id).where(here), sa.delete(locations).where(here)
    asset_ids: dict[str, None] = {}
    for path in paths:
        place = {"of": stronghold, "at": path}
        asset_ids |= dict.fromkeys(connection.execute(found, place).scalars())
        connection.execute(gone, place)
    return list(asset_ids)


def delete_homeless(connection: sa.Connection, asset_ids: Iterable[str]) -> None:
    """Of these assets, those that lie nowhere any more."""
    homeless = ~sa.exists().where(locations.c.asset_id == assets.c.asset_id)
    for asset_id in asset_ids:
        connection.execute(sa.delete(assets).where(assets.c.asset_id == asset_id, homeless))


def delete_other_bytes(connection: sa.Connection, asset_id: str, checksum: str, stronghold: str) -> int:
    """Outside of a stronghold, the copies of an asset that hold other bytes than it does; how many there were."""
    wanted = (locations.c.asset_id == asset_id) & (locations.c.stronghold != stronghold)
    wanted &= locations.c.checksum != checksum
    return connection.execute(sa.delete(locations).where(wanted)).rowcount


def is_known(connection: sa.Connection, asset_id: str) -> bool:
    return connection.execute(sa.select(assets.c.asset_id).where(assets.c.asset_id == asset_id)).first() is not None


def note_transfer(connection: sa.Connection, row: Mapping[str, Any], keep: int) -> None:
    """Add a transfer, and drop all but the last `keep`."""
    connection.execute(sa.insert(transfers), dict(row))
    surplus = sa.select(transfers.c.id).order_by(transfers.c.id.desc()).offset(keep).limit(1).scalar_subquery()
    connection.execute(sa.delete(transfers).where(transfers.c.id <= surplus))


def latest_transfers(connection: sa.Connection, limit: int) -> list[sa.Row[Any]]:
    return list(connection.execute(sa.select(transfers).order_by(transfers.c.id.desc()).limit(limit)).all())


def last_successes(connection: sa.Connection) -> list[tuple[str, str, float]]:
    """`stronghold, created_at, duration_seconds` of the last transfer from or to each stronghold that succeeded."""
    sides = (transfers.c.from_stronghold, transfers.c.to_stronghold)
    seen = sa.union_all(
        *(sa.select(side.label("stronghold"), transfers.c.id).where(transfers.c.success) for side in sides)
    ).subquery()
    last = sa.select(seen.c.stronghold, sa.func.max(seen.c.id).label("id")).group_by(seen.c.stronghold).subquery()
    told = sa.select(last.c.stronghold, transfers.c.created_at, transfers.c.duration_seconds)
    rows = connection.execute(told.join(transfers, transfers.c.id == last.c.id))
    return [(row.stronghold, row.created_at, row.duration_seconds) for row in rows]


def stored_manifest(connection: sa.Connection, path: str, stamp: str) -> Any:
    """The manifest that was made of the files at `path` when they had this stamp; None else."""
    wanted = (manifests.c.path == path) & (manifests.c.stamp == stamp)
    return connection.execute(sa.select(manifests.c.manifest).where(wanted)).scalar()


def store_manifest(connection: sa.Connection, path: str, stamp: str, manifest: Mapping[str, Any]) -> None:
    values = {"path": path, "stamp": stamp, "manifest": dict(manifest)}
    statement = insert(manifests).values(values)
    changed = {"stamp": statement.excluded.stamp, "manifest": statement.excluded.manifest}
    connection.execute(statement.on_conflict_do_update(index_elements=["path"], set_=changed))


def manifest_paths(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(manifests.c.path)).scalars())


def forget_manifests(connection: sa.Connection, paths: Iterable[str]) -> None:
    for path in paths:
        connection.execute(sa.delete(manifests).where(manifests.c.path == path))


def mount_points(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(mounts.c.point)).scalars())


def note_mounts(connection: sa.Connection, points: Iterable[str]) -> None:
    for point in points:
        connection.execute(insert(mounts).values(point=point).on_conflict_do_nothing())


def forget_mounts(connection: sa.Connection) -> None:
    connection.execute(sa.delete(mounts))


def note_staging(connection: sa.Connection, path: str, begun_at: str) -> None:
    statement = insert(stagings).values(path=path, begun_at=begun_at)
    changed = {"begun_at": statement.excluded.begun_at}
    connection.execute(statement.on_conflict_do_update(index_elements=["path"], set_=changed))


def forget_staging(connection: sa.Connection, path: str) -> None:
    connection.execute(sa.delete(stagings).where(stagings.c.path == path))


def stagings_begun(connection: sa.Connection) -> dict[str, str]:
    """When each was begun, by its path."""
    return {row.path: row.begun_at for row in connection.execute(sa.select(stagings))}


def recount(connection: sa.Connection) -> None:
    """Make anew what triggers keep: after damage, rows may have been lost without being told."""
    connection.execute(sa.delete(locations).where(locations.c.asset_id.not_in(sa.select(assets.c.asset_id))))
    told = sa.select(_TOLD).where(locations.c.asset_id == assets.c.asset_id).scalar_subquery()
    connection.execute(sa.update(assets).where(assets.c.places != told).values(places=told))
    connection.execute(sa.delete(counters))
    size: sa.ColumnElement[int] = sa.func.coalesce(sa.func.sum(sa.func.coalesce(sa.literal_column("size_bytes"), 0)), 0)
    for kind, table, name in (("type", assets, "asset_type"), ("stronghold", locations, "stronghold")):
        counted = sa.select(sa.literal(kind), table.c[name], sa.func.count(), size).group_by(table.c[name])
        connection.execute(sa.insert(counters).from_select(["kind", "name", "entries", "size_bytes"], counted))

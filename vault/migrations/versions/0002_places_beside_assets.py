"""Each asset is found by a number made of its id, and has its locations in its own row too, kept by triggers: whoever
looks it up reads one page instead of two."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = ("locations", "assets", "counters")
_PLACE = "stronghold, path, status, verified_at, checksum, size_bytes, synced_at, is_primary"

_TOLD = f"SELECT json_group_array(json_array({_PLACE}))"
"""The locations of an asset as `vault.catalog.records` tells them."""


def upgrade() -> None:
    # What judged an asset by its locations does more from now on; the others come back as they are.
    kept = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name NOT LIKE 'locations_judged_%'")
    triggers = op.get_bind().execute(kept).scalars().all()
    # Copies first: with foreign keys on, to drop the assets is to delete their locations.
    for table in _TABLES:
        op.execute(f"CREATE TABLE kept_{table} AS SELECT * FROM {table}")
    for table in _TABLES:
        op.drop_table(table)
    op.create_index("kept_by_asset", "kept_locations", ["asset_id", "stronghold", "path"])
    _make_assets()
    _make_locations()
    _make_counters()
    _fill_assets()
    # A catalog that was salvaged once may hold locations of assets that were lost, and count them.
    op.execute(
        f"INSERT INTO locations (asset_id, {_PLACE}) SELECT asset_id, {_PLACE} FROM kept_locations "
        "WHERE asset_id IN (SELECT asset_id FROM assets)"
    )
    op.execute("INSERT INTO counters SELECT * FROM kept_counters WHERE kind != 'stronghold'")
    op.execute(
        "INSERT INTO counters (kind, name, entries, size_bytes) SELECT 'stronghold', stronghold, count(*), "
        "coalesce(sum(size_bytes), 0) FROM locations GROUP BY stronghold"
    )
    for table in _TABLES:
        op.drop_table(f"kept_{table}")
    for trigger in triggers:
        op.execute(trigger)
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        name = f"locations_told_on_{event.lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON locations BEGIN {_told_anew(row)} END")


def _fill_assets() -> None:
    driver: Any = op.get_bind().connection.driver_connection
    driver.create_function("number_of", 1, _number_of, deterministic=True)
    columns = "asset_id, asset_type, name, description, size_bytes, created_at, modified_at, status, metadata, step"
    numbered = "SELECT *, number_of(asset_id) AS wanted FROM kept_assets"
    first = f"SELECT *, row_number() OVER (PARTITION BY wanted ORDER BY asset_id) AS place FROM ({numbered})"
    # Those without a number of their own come last: what SQLite gives them must not be what another one wants.
    op.execute(
        f"INSERT INTO assets (number, {columns}, places) "
        f"SELECT CASE WHEN place = 1 THEN wanted END, {columns}, ({_TOLD} "
        "FROM kept_locations WHERE kept_locations.asset_id = ranked.asset_id) "
        f"FROM ({first}) AS ranked ORDER BY place > 1, wanted"
    )


def _number_of(asset_id: str) -> int:
    stem = asset_id.rstrip("0123456789")
    digits = asset_id[len(stem) :]
    if not 0 < len(digits) < 10:
        return int.from_bytes(blake2b(asset_id.encode(), digest_size=8).digest()) >> 1
    return (crc32(stem.encode(), len(digits)) & 0x7FFFFFFF) << 32 | int(digits)


def _told_anew(row: str) -> str:
    """What an asset is, and where it lies, now that a location of it has changed (`vault.assets.Asset.status`)."""
    sealed = f"'/' || path GLOB '*/backups/*-{'[0-9]' * 8}T{'[0-9]' * 6}Z*/*'"
    usable = "status IN ('verified', 'unverified')"
    judged = (
        f"CASE WHEN max({usable} AND NOT ({sealed})) AND assets.asset_type != 'backup' THEN 'active' "
        f"WHEN max({usable}) THEN 'archived' WHEN max(status = 'corrupted') THEN 'corrupted' ELSE 'missing' END"
    )
    both = f"{_TOLD}, {judged} FROM locations WHERE asset_id = {row}.asset_id"
    return f"UPDATE assets SET (places, status) = ({both}) WHERE asset_id = {row}.asset_id;"


def _make_assets() -> None:
    op.create_table(
        "assets",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("asset_id", sa.String(300), nullable=False, unique=True),
        sa.Column("asset_type", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("created_at", sa.String(40)),
        sa.Column("modified_at", sa.String(40)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("step", sa.BigInteger()),
        sa.Column("places", sa.Text(), nullable=False, server_default="[]"),
    )
    op.create_index("assets_by_type", "assets", ["asset_type", "asset_id"])
    op.create_index("assets_by_step", "assets", ["asset_type", "step", "asset_id"])
    op.create_index("assets_by_name", "assets", ["name", "asset_id"])
    is_rare = sa.text("status != 'active'")
    op.create_index("assets_by_rare_status", "assets", ["status", "asset_id"], sqlite_where=is_rare)


def _make_locations() -> None:
    op.create_table(
        "locations",
        sa.Column("asset_id", sa.String(300), sa.ForeignKey("assets.asset_id", ondelete="CASCADE"), primary_key=True),
        sa.Column("stronghold", sa.String(64), primary_key=True),
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("verified_at", sa.String(40)),
        sa.Column("checksum", sa.String(64)),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("synced_at", sa.String(40)),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("locations_by_stronghold", "locations", ["stronghold", "asset_id"])
    op.create_index("locations_by_path", "locations", ["stronghold", "path"])


def _make_counters() -> None:
    # The last of the tables again: rows that are salvaged from a damaged file are counted before it is filled.
    op.create_table(
        "counters",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )

"""Assets and their locations, transfers, what was made here, and what triggers keep: counters, and what assets are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _make_assets()
    op.create_table(
        "transfers",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("asset_id", sa.String(300), nullable=False),
        sa.Column("from_stronghold", sa.String(64), nullable=False),
        sa.Column("to_stronghold", sa.String(64), nullable=False),
        sa.Column("from_path", sa.Text(), nullable=False),
        sa.Column("to_path", sa.Text(), nullable=False),
        sa.Column("bytes_transferred", sa.BigInteger(), nullable=False),
        sa.Column("duration_seconds", sa.Float(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_table(
        "manifests",
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("stamp", sa.String(64), nullable=False),
        sa.Column("manifest", sa.JSON(), nullable=False),
    )
    op.create_table("mounts", sa.Column("point", sa.Text(), primary_key=True))
    op.create_table(
        "stagings",
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("begun_at", sa.String(40), nullable=False),
    )
    # The last of the tables: rows that are salvaged from a damaged file are counted before it is filled.
    op.create_table(
        "counters",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    for table, kind, name in (("assets", "type", "asset_type"), ("locations", "stronghold", "stronghold")):
        for trigger in _triggers(table, kind, name):
            op.execute(trigger)
    for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        name = f"locations_judged_on_{event.lower()}"
        op.execute(f"CREATE TRIGGER {name} AFTER {event} ON locations BEGIN {_judged(row)} END")


def _make_assets() -> None:
    op.create_table(
        "assets",
        sa.Column("asset_id", sa.String(300), primary_key=True),
        sa.Column("asset_type", sa.String(32), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger()),
        sa.Column("created_at", sa.String(40)),
        sa.Column("modified_at", sa.String(40)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("step", sa.BigInteger()),
        sqlite_with_rowid=False,
    )
    op.create_index("assets_by_type", "assets", ["asset_type", "asset_id"])
    op.create_index("assets_by_step", "assets", ["asset_type", "step"])
    op.create_index("assets_by_name", "assets", ["name"])
    is_rare = sa.text("status != 'active'")
    op.create_index("assets_by_rare_status", "assets", ["status", "asset_id"], sqlite_where=is_rare)
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


def _triggers(table: str, kind: str, name: str) -> list[str]:
    """What counts the rows of a table and their bytes by one of its columns."""

    def change(row: str, sign: str) -> str:
        size = f"size_bytes = size_bytes {sign} coalesce({row}.size_bytes, 0)"
        place = f"kind = '{kind}' AND name = {row}.{name}"
        return f"UPDATE counters SET entries = entries {sign} 1, {size} WHERE {place};"

    # Not OR IGNORE: within a trigger, whatever the outer statement says of conflicts would count instead.
    missing = f"NOT EXISTS (SELECT 1 FROM counters WHERE kind = '{kind}' AND name = NEW.{name})"
    begin = f"INSERT INTO counters SELECT '{kind}', NEW.{name}, 0, 0 WHERE {missing};"
    return [
        f"CREATE TRIGGER {table}_counted_in AFTER INSERT ON {table} BEGIN {begin} {change('NEW', '+')} END",
        f"CREATE TRIGGER {table}_counted_out AFTER DELETE ON {table} BEGIN {change('OLD', '-')} END",
        f"CREATE TRIGGER {table}_counted_anew AFTER UPDATE OF {name}, size_bytes ON {table} "
        f"BEGIN {begin} {change('OLD', '-')} {change('NEW', '+')} END",
    ]


def _judged(row: str) -> str:
    """What an asset is now that a location of it has changed (`vault.assets.Asset.status`)."""
    sealed = f"'/' || path GLOB '*/backups/*-{'[0-9]' * 8}T{'[0-9]' * 6}Z*/*'"
    usable = "status IN ('verified', 'unverified')"
    told = (
        f"SELECT CASE WHEN max({usable} AND NOT ({sealed})) AND assets.asset_type != 'backup' THEN 'active' "
        f"WHEN max({usable}) THEN 'archived' WHEN max(status = 'corrupted') THEN 'corrupted' ELSE 'missing' END "
        f"FROM locations WHERE asset_id = {row}.asset_id"
    )
    return f"UPDATE assets SET status = ({told}) WHERE asset_id = {row}.asset_id AND status != ({told});"


def downgrade() -> None:
    for table in ("counters", "stagings", "mounts", "manifests", "transfers", "locations", "assets"):
        op.drop_table(table)

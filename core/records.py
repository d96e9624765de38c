"""The ground floor's own tables: events, metrics and their rollups, all in `status/saga.db`.

The migrations under `core/migrations/` make these tables; a test holds the two equal.
"""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String(40), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=True),
    # Also an entry's id: the newest of a kind are found without a look at any other.
    Index("ix_events_kind", "kind"),
    # Ids of deleted events must never come back: viewers ask for "all after id N".
    sqlite_autoincrement=True,
)

metrics = Table(
    "metrics",
    metadata,
    Column("series", String(128), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    Column("value", Float, nullable=False),
    Column("at", String(40), nullable=False),
    # The primary key is the order in which charts read: no second copy of it.
    sqlite_with_rowid=False,
)

metric_rollups = Table(
    "metric_rollups",
    metadata,
    Column("series", String(128), primary_key=True),
    Column("size", Integer, primary_key=True, autoincrement=False),
    # step // size
    Column("bucket", Integer, primary_key=True, autoincrement=False),
    Column("points", Integer, nullable=False),
    Column("first", Integer, nullable=False),
    Column("last", Integer, nullable=False),
    Column("low", Float, nullable=False),
    Column("high", Float, nullable=False),
    Column("total", Float, nullable=False),
    sqlite_with_rowid=False,
)

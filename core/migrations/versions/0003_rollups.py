"""Rollups of the series, made of the points that are there, and an index of events by kind.

Revision 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SIZES = (64, 4_096, 262_144)


def upgrade() -> None:
    op.create_index("ix_events_kind", "events", ["kind"])
    op.create_table(
        "metric_rollups",
        sa.Column("series", sa.String(128), primary_key=True),
        sa.Column("size", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("bucket", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("low", sa.Float(), nullable=False),
        sa.Column("high", sa.Float(), nullable=False),
        sa.Column("total", sa.Float(), nullable=False),
        sqlite_with_rowid=False,
    )
    for size in SIZES:
        op.execute(
            "INSERT INTO metric_rollups (series, size, bucket, points, first, last, low, high, total) "
            f"SELECT series, {size}, step / {size} AS place, count(*), min(step), max(step), min(value), max(value), "
            "sum(value) FROM metrics GROUP BY series, place"
        )


def downgrade() -> None:
    op.drop_table("metric_rollups")
    op.drop_index("ix_events_kind", "events")

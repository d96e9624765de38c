"""What lies at a path is found at once; mounts on which things lay outside of the base directory; unfinished copies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("locations_by_path", "locations", ["stronghold", "path"])
    op.create_table("mounts", sa.Column("point", sa.Text(), primary_key=True))
    op.create_table(
        "stagings",
        sa.Column("path", sa.Text(), primary_key=True),
        sa.Column("begun_at", sa.String(40), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("stagings")
    op.drop_table("mounts")
    op.drop_index("locations_by_path", "locations")

"""What every Alembic environment of the realm does: migrate on the connection of `core.db`, or on a given URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, MetaData, create_engine


def migrate(metadata: MetaData) -> None:
    """Run the migrations of the environment that calls; `metadata` holds the tables that they make."""
    given = context.config.attributes.get("connection")
    if given is not None:
        _migrate_on(given, metadata)
        return
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    with engine.begin() as connection:
        _migrate_on(connection, metadata)
    engine.dispose()


def _migrate_on(connection: Connection, metadata: MetaData) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()

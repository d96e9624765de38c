"""Alembic environment of `status/saga.db`; runs on the connection given by `core.db`, or on a given URL."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine

from core.records import metadata


def migrate_on(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


def migrate() -> None:
    given = context.config.attributes.get("connection")
    if given is not None:
        migrate_on(given)
        return
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "")
    with engine.begin() as connection:
        migrate_on(connection)
    engine.dispose()


migrate()

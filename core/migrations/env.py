"""Alembic environment of `status/saga.db`."""

from __future__ import annotations

from core.db_migration import migrate
from core.records import metadata

migrate(metadata)

"""Alembic environment of `vault/catalog.db`."""

from __future__ import annotations

from core.db_migration import migrate
from vault.catalog.records import metadata

migrate(metadata)

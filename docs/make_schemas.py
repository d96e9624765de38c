"""Writes `schema.sql` beside each room's migrations: what all of them make of an empty database.

`python -m docs.make_schemas`, after a migration was added. A new database is made from it, without Alembic, and
`tests/core/test_db.py` holds the two equal.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import core.saga
import vault.catalog.catalog
from core.db import Database
from core.db_files import SCHEMA, schema_of

MIGRATIONS = (core.saga.MIGRATIONS, vault.catalog.catalog.MIGRATIONS)


def migrated(migrations: Path) -> str:
    """The schema of a database that the migrations themselves have made."""
    with TemporaryDirectory() as folder:
        # Without what stands there already, Alembic is asked.
        scripts = shutil.copytree(migrations, Path(folder) / "scripts", ignore=shutil.ignore_patterns(SCHEMA))
        file = Path(folder) / "made.db"
        Database(file, scripts).close()
        return schema_of(file)


def main() -> None:
    for migrations in MIGRATIONS:
        (migrations / SCHEMA).write_text(migrated(migrations), encoding="utf-8")


if __name__ == "__main__":
    main()

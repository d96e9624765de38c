"""The file of a SQLite database before it is in use: is it sound, which revision has it, what of it can be saved."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from core.files import DISK, Files

FULL_CHECK_BYTES = 64 << 20
"""Larger files are only checked page by page after an unclean end: a second of start time would go into it."""

SCHEMA = "schema.sql"
"""Beside the migrations: what all of them make (`python -m docs.make_schemas`)."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_corrupt(path: Path) -> bool:
    """True when the file is not a sound SQLite database; other troubles (locked, no right) raise."""
    closed_cleanly = not companions(path)[0].exists()
    try:
        with closing(sqlite3.connect(path, timeout=10.0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if closed_cleanly and path.stat().st_size > FULL_CHECK_BYTES:
                return False
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.DatabaseError as error:
        if tells_damage(error):
            return True
        raise


def tells_damage(error: sqlite3.Error) -> bool:
    """True when SQLite says that the file itself is no sound database, not that it is locked, full or closed to us."""
    # The low byte is the primary code; the rest only refines it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def make_empty(path: Path) -> None:
    """Settings that live in the file itself and can only be made before the first table."""
    with closing(sqlite3.connect(path, timeout=10.0)) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")


def keep_aside(path: Path, now: datetime, *, files: Files = DISK) -> Path:
    """Have a corrupt database stand as `{name}.corrupt.{UTC time}` too, which is returned; its WAL is moved there.

    The WAL first: it must not be played into whatever takes the place of the file.
    """
    aside = path.with_name(f"{path.name}.corrupt.{now:%Y%m%dT%H%M%S%fZ}")
    for source, target in zip(companions(path), companions(aside), strict=True):
        if source.exists():
            files.move_new(source, target)
    if path.exists():
        files.link_new(path, aside)
    return aside


def salvage(damaged: Path, sound: Path) -> dict[str, int]:
    """Copy the rows that can still be read from one database to another of the same tables; rows copied by table.

    Each table is read from both its ends up to the damage. Where the damaged one is of an older version, columns that
    it has not got stay at their defaults.
    """
    copied: dict[str, int] = {}
    if not damaged.exists():
        return copied
    with closing(sqlite3.connect(sound, timeout=10.0)) as target, closing(sqlite3.connect(damaged)) as source:
        tables = target.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        names = [name for (name,) in tables if not name.startswith("sqlite_") and name != "alembic_version"]
        for name in names:
            there = list(_readable(source, f'PRAGMA table_info("{name}")'))
            known = {column[1] for column in target.execute(f'PRAGMA table_info("{name}")')}
            # Asked for a column that is not there, SQLite takes its quoted name for a text.
            columns = [f'"{column[1]}"' for column in there if column[1] in known]
            listed, values = ", ".join(columns), ", ".join("?" * len(columns))
            # By the tree that has the rows: on the way through an index, damage to that would end it too.
            keys = [f'"{column[1]}"' for column in sorted(there, key=lambda column: column[5]) if column[5]]
            keys = ["rowid"] if _has_rowids(source, name) else keys
            for order in ("ASC", "DESC") if columns else ():
                by = ", ".join(f"{key} {order}" for key in keys)
                query = f'SELECT {listed} FROM "{name}" ORDER BY {by}'
                # A row that is there already was read from the other end.
                insert = f'INSERT OR IGNORE INTO "{name}" ({listed}) VALUES ({values})'
                target.executemany(insert, _readable(source, query))
            copied[name] = target.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
        target.commit()
    return copied


def _has_rowids(source: sqlite3.Connection, name: str) -> bool:
    try:
        source.execute(f'SELECT rowid FROM "{name}" LIMIT 0')
    except sqlite3.DatabaseError:
        return False
    return True


def _readable(source: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows up to the first that cannot be read."""
    with suppress(sqlite3.DatabaseError):
        yield from source.execute(query)


def schema_of(path: Path) -> str:
    """SQL that makes the tables of this database in an empty one, and puts them at its revision."""
    with closing(sqlite3.connect(path, timeout=10.0)) as connection:
        made = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        statements = [sql for (sql,) in connection.execute(made)]
    return "".join(f"{sql};\n" for sql in [*statements, _stamp(str(stored_revision(path)))])


def make_tables(path: Path, migrations: Path) -> bool:
    """Make the tables in an empty database as all migrations would; False where they have no `schema.sql` up to date.

    It takes a hundredth of the time of Alembic, which most starts never load.
    """
    file = migrations / SCHEMA
    schema = file.read_text(encoding="utf-8") if file.exists() else ""
    if not schema.endswith(f"{_stamp(newest_revision(migrations))};\n"):
        return False
    with closing(sqlite3.connect(path, timeout=10.0)) as connection:
        connection.executescript(f"BEGIN IMMEDIATE;\n{schema}COMMIT;\n")
    return True


def _stamp(revision: str) -> str:
    return f"INSERT INTO alembic_version (version_num) VALUES ('{revision}')"


def stored_revision(path: Path) -> str | None:
    """The Alembic revision that the database is at; None when it has none yet."""
    with closing(sqlite3.connect(path, timeout=10.0)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise
    return str(row[0]) if row else None


def newest_revision(migrations: Path) -> str:
    """The newest revision under `migrations/versions/`: files are `NNNN_what.py` and `NNNN` is the revision.

    Read from the names, so that Alembic is loaded only when there is something to migrate.
    """
    numbers = [
        match[1] for file in (migrations / "versions").iterdir() if (match := re.match(r"(\d{4})_\w+\.py$", file.name))
    ]
    return max(numbers)


def companions(path: Path) -> tuple[Path, Path]:
    """The WAL and shared-memory files that belong to a database file."""
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")

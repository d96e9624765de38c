"""The file of a SQLite database before it is in use: is it sound, which revision has it, setting it aside."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from core.files import DISK, Files

FULL_CHECK_BYTES = 64 << 20
"""Larger files are only checked page by page after an unclean end: a second of start time would go into it."""

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


def set_aside(path: Path, now: datetime, *, files: Files = DISK) -> Path:
    """Rename a corrupt database to `{name}.corrupt.{UTC time}` together with its WAL; returns the new name."""
    aside = path.with_name(f"{path.name}.corrupt.{now:%Y%m%dT%H%M%S%fZ}")
    for source, target in zip((path, *companions(path)), (aside, *companions(aside)), strict=True):
        if source.exists():
            files.move_new(source, target)
    return aside


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

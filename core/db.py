"""One SQLite file of the realm: opened, checked, migrated, with one writer per process.

WAL, so that readers never wait; `BEGIN IMMEDIATE` and a 10 s busy timeout, so that two processes take turns
instead of failing in mid-transaction. A corrupt file is set aside, never reset (DESIGN section 3), at open and when the
damage is met later; what can still be read of it goes into the new one.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from core.crash_points import crash_point
from core.db_files import (
    companions,
    is_corrupt,
    keep_aside,
    make_empty,
    make_tables,
    newest_revision,
    salvage,
    stored_revision,
    tells_damage,
)
from core.errors import Unavailable
from core.file_lock import locked_directory
from core.files import DISK, Files

logger = logging.getLogger(__name__)

BUSY_SECONDS = 10.0
"""How long a statement waits for another process to end its transaction."""

READ_CONNECTIONS = 4

PEEK_CACHE_KIB = 65_536
"""Pages that `peek` may keep: of a million rows, all that lead to them. Taken only as far as there are so many."""

_NOT_OUR_FAULT = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_READONLY,
}
"""What the disk or another process does to us; anything else (no such column …) is a bug and stays as it is."""


class Database:
    """A migrated SQLite database; thread-safe. Close it before the process ends, so that the WAL is folded in."""

    was_corrupt: Path | None
    """Where the corrupt file that was found last was moved to."""
    salvaged: dict[str, int]
    """Rows of each table that could be read of it, and are kept."""
    on_damage: Callable[[], None] | None
    """Called after a file that was met as corrupt while it was in use was replaced; may write."""

    def __init__(
        self, path: Path, migrations: Path, *, owner: bool = True, guest: bool = False, files: Files = DISK
    ) -> None:
        """Open `path`, making and migrating it as needed. `migrations` is an Alembic script directory.

        Whoever is not the `owner` only reads: nothing is made, migrated or set aside. A `guest` is none either, but
        writes rows beside the living owner, who alone looks after the file. Raises `Unavailable` when the
        file or its folder cannot be used.
        """
        self.path = path
        self.was_corrupt = None
        self.salvaged = {}
        self.on_damage = None
        self._migrations = migrations
        self._owner = owner
        self._damaged = False
        self._lock = threading.Lock()
        self._reading = 0
        self._door = threading.Lock()
        """Of readers: taken to change their number, and held while the file is replaced."""
        self._writing_thread: int | None = None
        self._closed = False
        self._peeking = threading.Lock()
        self._peeker: sqlite3.Connection | None = None
        """For `peek`, once it was called."""
        self._files = files
        try:
            if owner:
                path.parent.mkdir(parents=True, exist_ok=True)
                # Two processes that open at once: the second finds the work of the first done.
                with locked_directory(path.parent):
                    self._prepare(migrations)
            else:
                self._look_at(migrations)
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise Unavailable(f"The database {path} cannot be opened: {_cause(error)}.") from error
        self._writer = _engine(path, pool_size=1, begin="BEGIN IMMEDIATE", query_only=not (owner or guest))
        self._reader = _engine(path, pool_size=READ_CONNECTIONS, begin="BEGIN", query_only=True)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One write transaction: committed when the block ends, rolled back when it raises.

        Raises `Unavailable` when the disk is full or another process writes for more than 10 s. A `write` inside
        a `write` of the same thread is a bug of the caller and raises RuntimeError at once instead of waiting for ever.
        """
        if self._writing_thread == threading.get_ident():
            raise RuntimeError("write() inside write() of the same thread")
        try:
            with self._lock:
                self._writing_thread = threading.get_ident()
                try:
                    with self._transaction(self._writer) as connection:
                        yield connection
                finally:
                    self._writing_thread = None
        finally:
            self.replace_if_damaged()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A read-only connection on one consistent snapshot."""
        with self._door:
            self._reading += 1
        try:
            with self._transaction(self._reader) as connection:
                yield connection
        finally:
            with self._door:
                self._reading -= 1
            if self._writing_thread != threading.get_ident():
                self.replace_if_damaged()

    def peek(self, sql: str, parameters: Sequence[object] = ()) -> list[Any]:
        """All rows of one short SELECT on the state of the last commit, as plain tuples.

        A look-up by key costs a tenth of a `read`, and waits for no writer: short enough for an event loop. For that
        reason damage that it meets is only noted; the next `read`, `write` or `replace_if_damaged` mends it.
        """
        with self._door:
            self._reading += 1
        try:
            with self._peeking, self._telling_trouble():
                if self._peeker is None:
                    self._peeker = _plain_reader(self.path)
                return self._peeker.execute(sql, parameters).fetchall()
        finally:
            with self._door:
                self._reading -= 1

    @property
    def is_damaged(self) -> bool:
        """Whether damage was met that nobody has mended yet."""
        return self._damaged

    def shrink(self) -> None:
        """Give the pages that deletions have freed back to the disk."""
        with self.write() as connection:
            raw: Any = connection.connection.driver_connection
            # Not execute(): it steps once, which frees one page. executescript ends the empty transaction first.
            raw.executescript("PRAGMA incremental_vacuum")

    def close(self) -> None:
        """Wait for the running write, then close every connection. May be called more than once."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        self._reader.dispose()
        self._writer.dispose()
        with self._peeking:
            if self._peeker is not None:
                self._peeker.close()
                self._peeker = None

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        with self._telling_trouble(), engine.begin() as connection:
            yield connection

    @contextmanager
    def _telling_trouble(self) -> Iterator[None]:
        if self._closed:
            raise Unavailable(f"The database {self.path} is closed.")
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:  # the driver's own: from `shrink`
            original = error.orig if isinstance(error, DBAPIError) else error
            if getattr(original, "sqlite_errorcode", 0) & 0xFF not in _NOT_OUR_FAULT:
                raise
            self._damaged = self._damaged or (isinstance(original, sqlite3.Error) and tells_damage(original))
            raise Unavailable(f"The database {self.path} cannot be used: {_cause(error)}.") from error

    def _prepare(self, migrations: Path) -> None:
        newest = newest_revision(migrations)
        if self.path.exists() and is_corrupt(self.path):
            self._replace(migrations)
            return
        if not self.path.exists():
            # A WAL left over from a deleted database would be played into the new one.
            for left_over in companions(self.path):
                left_over.unlink(missing_ok=True)
            self._files.move_new(self._draft(migrations), self.path)
            return
        stored = stored_revision(self.path)
        if stored is None:
            make_empty(self.path)
        if stored != newest:
            if stored is not None and stored > newest:
                raise Unavailable(
                    f"The database {self.path} was written by a newer version (revision {stored}, known: {newest}).",
                    hint="Start the newer version, or move the file away to begin anew.",
                )
            _migrate(self.path, migrations)

    def _look_at(self, migrations: Path) -> None:
        """Raise unless the file is one that this version reads; whether it is damaged, only its owner looks."""
        if not self.path.exists():
            raise Unavailable(f"There is no database {self.path}.")
        stored, known = stored_revision(self.path), newest_revision(migrations)
        if stored != known:
            raise Unavailable(
                f"The database {self.path} is of another version (revision {stored or 'none'}, known: {known}).",
                hint="`realm up` brings an older one up to date.",
            )

    def _draft(self, migrations: Path) -> Path:
        """A new database under another name: killed in between, no half-made one stands at `path`."""
        draft = self.path.with_name(f".{self.path.name}.new")
        for name in (draft, *companions(draft)):
            name.unlink(missing_ok=True)
        make_empty(draft)
        if not make_tables(draft, migrations):
            _migrate(draft, migrations)
        return draft

    def _replace(self, migrations: Path) -> None:
        """Put a new database in the place of a corrupt one, with whatever can be read of it.

        Killed in between, the corrupt one still stands there, and all of this is done again.
        """
        draft = self._draft(migrations)
        self.salvaged = salvage(self.path, draft)
        self.was_corrupt = keep_aside(self.path, datetime.now(UTC), files=self._files)
        crash_point("database.kept")
        self._files.replace(draft, self.path)
        self._files.fsync_dir(self.path.parent)
        logger.error(
            "the database %s is corrupt; it is kept as %s, and a new one holds what could be read of it: %s",
            self.path,
            self.was_corrupt.name,
            self.salvaged,
            extra={"event": "database_corrupt", "path": str(self.path), "moved_to": str(self.was_corrupt)},
        )

    def replace_if_damaged(self) -> None:
        """After a statement has met with damage: the next one finds a sound database. Not for use in a transaction.

        While others still read the damaged file, the last of them replaces it: what SQLite keeps beside a database goes
        by the database's name, and must not be shared by two.
        """
        if not self._damaged or not self._owner:
            return
        try:
            with self._lock, self._door:
                if self._closed or not self._damaged or self._reading:
                    return
                self._disconnect()
                with locked_directory(self.path.parent):
                    found = not self.path.exists() or is_corrupt(self.path) or stored_revision(self.path) is None
                    if found:
                        self._replace(self._migrations)
                self._damaged = False
        except (OSError, sqlite3.Error, DBAPIError) as error:  # a full disk; the next statement tries again
            logger.warning(
                "the corrupt database %s is not replaced yet: %s", self.path, error, extra={"event": "database_stays"}
            )
            return
        if found and self.on_damage is not None:
            self.on_damage()


def _migrate(path: Path, migrations: Path) -> None:
    """Bring `path` to the newest revision in one transaction."""
    # Alembic costs 0.25 s and 12 MB, and is needed once per version of the realm.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    engine = _engine(path, pool_size=1, begin="BEGIN IMMEDIATE", query_only=False)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()


def _engine(path: Path, *, pool_size: int, begin: str, query_only: bool) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=sa.QueuePool,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS},
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # None: the driver begins no transactions of its own, `begin` below does.
        connection.isolation_level = None
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA synchronous = NORMAL")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA journal_size_limit = 16777216")
            cursor.execute(f"PRAGMA query_only = {'ON' if query_only else 'OFF'}")

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _plain_reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA query_only = ON")
    connection.execute(f"PRAGMA cache_size = -{PEEK_CACHE_KIB}")
    return connection


def _cause(error: Exception) -> str:
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "strerror", None) or str(original)

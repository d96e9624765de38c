"""The database: migrated, one writer, no deadlock between processes, corrupt files set aside and never reset."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from core.db import Database
from core.db_files import SCHEMA, newest_revision, stored_revision
from core.errors import Unavailable
from core.files import Files
from core.paths import CHECKOUT
from core.records import events, metadata
from core.saga import MIGRATIONS
from docs import make_schemas
from guild.records import metadata as guild_metadata
from tests.vault.making import killed_at

ROW = {"at": "2026-11-21T09:30:00+00:00", "kind": "test", "message": "hello", "data": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "saga.db"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    database = Database(path, MIGRATIONS)
    yield database
    database.close()


def insert(db: Database) -> None:
    with db.write() as connection:
        connection.execute(sa.insert(events).values(ROW))


def count(db: Database) -> int:
    with db.read() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(events)).scalar_one())


def open_and_close(path: Path) -> Path | None:
    database = Database(path, MIGRATIONS)
    database.close()
    return database.was_corrupt


# --- making and migrating -------------------------------------------------------------------------------------


def test_the_schema_made_by_migrations_equals_the_records(db: Database) -> None:
    with db.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), [metadata, guild_metadata]) == []


def test_the_whole_ddl_equals_what_the_records_alone_make(db: Database) -> None:
    """`compare_metadata` does not see WITHOUT ROWID and AUTOINCREMENT."""

    def ddl(connection: sa.Connection) -> dict[str, str]:
        query = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name != 'alembic_version'")
        return {row.name: "".join(row.sql.split()) for row in connection.execute(query)}

    plain = sa.create_engine("sqlite://")
    with plain.begin() as connection:
        metadata.create_all(connection)
        guild_metadata.create_all(connection)
        by_records = ddl(connection)
    plain.dispose()
    with db.read() as connection:
        assert ddl(connection) == by_records


@pytest.mark.parametrize("scripts", make_schemas.MIGRATIONS, ids=lambda scripts: scripts.parent.name)
def test_what_new_databases_are_made_from_is_what_the_migrations_make(scripts: Path) -> None:
    assert (scripts / SCHEMA).read_text() == make_schemas.migrated(scripts), (
        "run: .venv/bin/python -m docs.make_schemas"
    )


def test_a_schema_that_is_behind_the_migrations_is_not_used(path: Path, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(MIGRATIONS, scripts)
    later = "import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '9998', '0003'\n"
    later += "def upgrade():\n    op.create_table('extra', sa.Column('id', sa.Integer))\n"
    (scripts / "versions" / "9998_later.py").write_text(later)
    Database(path, scripts).close()
    assert stored_revision(path) == "9998"


def test_the_newest_file_name_is_the_head_of_the_scripts(path: Path) -> None:
    """The start compares names only, so that it need not load Alembic."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [newest_revision(MIGRATIONS)]
    open_and_close(path)
    assert stored_revision(path) == newest_revision(MIGRATIONS)


def test_opening_a_migrated_database_does_not_load_alembic(path: Path) -> None:
    open_and_close(path)
    code = (
        "import sys; from pathlib import Path; from core.db import Database; from core.saga import MIGRATIONS\n"
        "Database(Path(sys.argv[1]), MIGRATIONS).close(); sys.exit('alembic' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], cwd=CHECKOUT, timeout=60, check=False)
    assert ended.returncode == 0


def test_the_migrations_also_run_on_a_url(path: Path) -> None:
    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    command.upgrade(config, "head")
    assert stored_revision(path) == newest_revision(MIGRATIONS)


def test_an_empty_file_is_a_database_that_was_never_made(path: Path) -> None:
    path.touch()
    database = Database(path, MIGRATIONS)
    insert(database)
    assert (count(database), database.was_corrupt) == (1, None)
    database.close()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(path: Path) -> None:
    open_and_close(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(Unavailable, match="newer version"):
        Database(path, MIGRATIONS)
    assert stored_revision(path) == "9999"


def test_a_failing_migration_changes_nothing(path: Path, tmp_path: Path) -> None:
    """Half a migration is none: the next start tries again from the old schema."""
    open_and_close(path)
    scripts = tmp_path / "migrations"
    (scripts / "versions").mkdir(parents=True)
    (scripts / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    for known in (MIGRATIONS / "versions").glob("0*.py"):
        (scripts / "versions" / known.name).write_text(known.read_text())
    (scripts / "versions" / "9998_breaks.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '9998', '0003'\n"
        "def upgrade():\n    op.create_table('extra', sa.Column('id', sa.Integer))\n    op.execute('NOT SQL')\n"
    )
    with pytest.raises(Unavailable, match="syntax error"):
        Database(path, scripts)
    assert stored_revision(path) == newest_revision(MIGRATIONS)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)


def test_a_kill_while_the_database_is_made_leaves_none_behind(path: Path) -> None:
    """A database is made under another name first; the next start begins with nothing, not with half."""
    code = (
        "import os, sys, signal; from pathlib import Path; from core import db; from core.saga import MIGRATIONS\n"
        "class Killed(db.Files):\n"
        "    def link(self, source, target): os.kill(os.getpid(), signal.SIGKILL)\n"
        "db.Database(Path(sys.argv[1]), MIGRATIONS, files=Killed())"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(path)], cwd=CHECKOUT, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not path.exists()
    assert open_and_close(path) is None
    assert [file.name for file in path.parent.iterdir()] == ["saga.db"]


def test_a_wal_left_over_from_a_deleted_database_does_not_come_back(path: Path) -> None:
    database = Database(path, MIGRATIONS)
    insert(database)
    left_over = path.with_name("saga.db-wal").read_bytes()
    database.close()
    path.unlink()
    path.with_name("saga.db-wal").write_bytes(left_over)
    database = Database(path, MIGRATIONS)
    assert count(database) == 0
    database.close()


# --- corruption and a hostile disk ----------------------------------------------------------------------------


def test_a_file_that_is_no_database_is_set_aside_and_a_new_one_made(path: Path) -> None:
    path.write_bytes(b"this is no database " * 500)
    database = Database(path, MIGRATIONS)
    assert database.was_corrupt is not None
    assert database.was_corrupt.name.startswith("saga.db.corrupt.2")
    assert database.was_corrupt.read_bytes().startswith(b"this is no database")
    insert(database)
    assert count(database) == 1
    database.close()
    assert open_and_close(path) is None


def test_a_damaged_page_is_found_at_open_and_the_wal_goes_along(path: Path) -> None:
    database = Database(path, MIGRATIONS)
    with database.write() as connection:
        connection.execute(sa.insert(events), [{**ROW, "message": "x" * 500}] * 200)
    database.close()
    damage(path)
    content = path.read_bytes()
    path.with_name("saga.db-wal").write_bytes(b"left by a crash")
    aside = open_and_close(path)
    assert aside is not None
    assert aside.read_bytes() == content
    assert sorted(file.name for file in path.parent.iterdir() if "corrupt" not in file.name) == ["saga.db"]


def damage(path: Path, pages: range | None = None) -> None:
    """Overwrite the beginning of some pages, all but the first few by default, as a dying disk does."""
    with path.open("r+b") as file:
        for page in pages or range(6, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xaa" * 200)


def fill(db: Database, rows: int = 2000) -> None:
    with db.write() as connection:
        connection.execute(sa.insert(events), [{**ROW, "message": f"{number} " + "x" * 100} for number in range(rows)])
    with closing(sqlite3.connect(db.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def test_what_can_be_read_on_both_sides_of_the_damage_is_kept(path: Path) -> None:
    database = Database(path, MIGRATIONS)
    fill(database)
    database.close()
    middle = path.stat().st_size // 4096 // 2
    damage(path, range(middle, middle + 1))
    database = Database(path, MIGRATIONS)
    assert database.was_corrupt is not None
    kept = count(database)
    assert 1800 < kept == database.salvaged["events"] < 2000
    with database.read() as connection:
        ids = connection.execute(sa.select(events.c.id).order_by(events.c.id)).scalars().all()
    assert (ids[0], ids[-1]) == (1, 2000)
    insert(database)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.max(events.c.id))).scalar_one() == 2001, "no id comes back"
    database.close()


def test_damage_that_is_met_in_use_is_set_aside_and_the_next_statement_finds_a_sound_database(path: Path) -> None:
    """DESIGN section 3: every event and every chart failed until somebody restarted the realm."""
    database = Database(path, MIGRATIONS)
    met: list[Path | None] = []
    database.on_damage = lambda: met.append(database.was_corrupt)
    fill(database)
    database._reader.dispose()  # what is in a cache is still good
    damage(path)
    with pytest.raises(Unavailable, match="malformed"), database.read() as connection:
        connection.execute(sa.select(events)).all()
    insert(database)
    assert 0 < count(database) < 2000
    (aside,) = met
    assert aside is not None
    assert aside.name.startswith("saga.db.corrupt.2")
    assert [file.name for file in path.parent.glob(".saga*")] == []
    database.close()
    assert open_and_close(path) is None


def test_a_disk_that_has_no_room_for_a_new_database_delays_it(path: Path) -> None:
    class FullDisk(Files):
        full = True

        def link(self, source: Path, target: Path) -> None:
            if self.full and path.exists():
                raise OSError(errno.ENOSPC, "no space")
            super().link(source, target)

    disk = FullDisk()
    database = Database(path, MIGRATIONS, files=disk)
    fill(database)
    database._reader.dispose()
    damage(path)
    for _ in range(2):
        with pytest.raises(Unavailable, match="malformed"), database.read() as connection:
            connection.execute(sa.select(events)).all()
    disk.full = False
    with pytest.raises(Unavailable, match="malformed"), database.read() as connection:
        connection.execute(sa.select(events)).all()
    insert(database)
    database.close()


KILLED_AT = ("database.kept",)


def test_a_kill_while_a_damaged_database_is_replaced_loses_nothing_that_was_salvaged(path: Path) -> None:
    """Nothing stood at its name then, so the next start began with none: ids of events began at 1 again."""
    database = Database(path, MIGRATIONS)
    fill(database)
    database.close()
    middle = path.stat().st_size // 4096 // 2
    damage(path, range(middle, middle + 1))
    code = (
        "import sys; from pathlib import Path; from core.db import Database; from core.saga import MIGRATIONS\n"
        "Database(Path(sys.argv[1]), MIGRATIONS)"
    )
    killed_at(*KILLED_AT, code, str(path))
    again = Database(path, MIGRATIONS)
    assert again.was_corrupt is not None
    assert again.was_corrupt.exists()
    assert 1800 < count(again) == again.salvaged["events"] < 2000
    again.close()
    assert open_and_close(path) is None


def test_a_damaged_database_is_not_replaced_under_one_who_reads_it(path: Path) -> None:
    """SQLite goes by names: what the reader has open beside the old file is not to be shared with the new one."""
    database = Database(path, MIGRATIONS)
    fill(database)
    with database.read() as early:
        early.execute(sa.select(events.c.id).limit(1)).all()
        damage(path)
        with pytest.raises(Unavailable, match="malformed"), database.read() as connection:
            connection.execute(sa.select(events)).all()
        assert database.was_corrupt is None
    assert database.was_corrupt is not None
    insert(database)
    kept = count(database)
    database.close()
    assert open_and_close(path) is None
    database = Database(path, MIGRATIONS)
    assert count(database) == kept
    database.close()


@pytest.mark.parametrize("torn", ["cut", "zeros", "garbage", "other"])
def test_a_torn_wal_costs_the_last_transactions_at_most(path: Path, torn: str) -> None:
    """Killed while the WAL was written, or a power cut before it was synced."""
    database = Database(path, MIGRATIONS)
    fill(database, 50)
    insert(database)
    wal = path.with_name("saga.db-wal")
    content = wal.read_bytes()
    copy = path.with_name("copy") / "saga.db"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    cut = {"cut": content[:-100], "zeros": content[:-100] + bytes(100), "garbage": b"\xaa" * len(content), "other": b""}
    copy.with_name("saga.db-wal").write_bytes(cut[torn])
    database.close()
    again = Database(copy, MIGRATIONS)
    assert (again.was_corrupt, count(again)) == (None, 50)
    insert(again)
    again.close()


def test_a_database_that_became_read_only_is_told_in_words_and_still_read(path: Path, db: Database) -> None:
    insert(db)

    @sa.event.listens_for(db._writer, "begin")
    def forbid(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA query_only = ON")

    with pytest.raises(Unavailable, match="readonly"):
        insert(db)
    assert (count(db), db.was_corrupt) == (1, None)


def test_a_folder_in_the_place_of_the_database_is_told_in_words(path: Path) -> None:
    path.mkdir()
    with pytest.raises(Unavailable, match=r"saga\.db cannot be opened"):
        Database(path, MIGRATIONS)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_disk_that_refuses_the_new_database_is_told_in_words(path: Path, code: int) -> None:
    class Refusing(Files):
        def link(self, source: Path, target: Path) -> None:
            raise OSError(code, os.strerror(code))

    with pytest.raises(Unavailable, match=os.strerror(code)):
        Database(path, MIGRATIONS, files=Refusing())
    assert not path.exists()


def test_a_full_disk_fails_the_write_in_words_and_the_next_one_works(db: Database) -> None:
    with db.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Unavailable, match="full"), db.write() as connection:
        connection.execute(sa.insert(events), [{**ROW, "message": "x" * 5000}] * 20)
    with db.write() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    insert(db)
    assert count(db) == 1


# --- transactions ---------------------------------------------------------------------------------------------


def test_the_pragmas_hold_on_every_connection(db: Database) -> None:
    """G12: no WAL and no busy timeout meant a deadlock."""
    wanted = {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 10_000, "auto_vacuum": 2}
    for transaction in (db.write, db.read):
        with transaction() as connection:
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}
        assert found == wanted


def test_a_write_that_raises_leaves_no_trace(db: Database) -> None:
    def fail_halfway() -> None:
        with db.write() as connection:
            connection.execute(sa.insert(events).values(ROW))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert count(db) == 0


def test_nothing_is_visible_before_commit(db: Database, path: Path) -> None:
    with db.write() as connection:
        connection.execute(sa.insert(events).values(ROW))
        assert count(db) == 0
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)
    assert count(db) == 1


def test_a_reader_sees_one_moment_even_while_others_write(db: Database) -> None:
    query = sa.select(sa.func.count()).select_from(events)
    with db.read() as connection:
        assert connection.execute(query).scalar_one() == 0
        insert(db)
        assert connection.execute(query).scalar_one() == 0
    assert count(db) == 1


def test_a_read_connection_cannot_write(db: Database) -> None:
    with pytest.raises(Unavailable, match="readonly"), db.read() as connection:
        connection.execute(sa.insert(events).values(ROW))


def test_a_write_inside_a_write_fails_at_once_instead_of_hanging(db: Database) -> None:
    """G12: a log written inside a transaction waited for itself."""
    with db.write() as connection:
        connection.execute(sa.insert(events).values(ROW))
        with pytest.raises(RuntimeError, match="inside"):
            insert(db)
    assert count(db) == 1


def test_threads_take_turns(db: Database) -> None:
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(10):
            insert(db)
            count(db)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(db) == 80


READ_THEN_WRITE = """
import sys
from pathlib import Path
import sqlalchemy as sa
from core.db import Database
from core.records import events
from core.saga import MIGRATIONS
db = Database(Path(sys.argv[1]), MIGRATIONS)
for _ in range(100):
    with db.write() as connection:
        newest = connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0
        connection.execute(sa.insert(events).values(at="t", kind=sys.argv[2], message=str(newest + 1)))
db.close()
"""


def test_two_processes_that_read_and_write_neither_deadlock_nor_lose_a_row(path: Path) -> None:
    """G12: a read that turns into a write in mid-transaction is what deadlocks SQLite without BEGIN IMMEDIATE."""
    command = [sys.executable, "-c", READ_THEN_WRITE, str(path)]
    writers = [subprocess.Popen([*command, name], cwd=CHECKOUT, stderr=subprocess.PIPE) for name in ("a", "b")]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert (writer.returncode, errors) == (0, b"")
    database = Database(path, MIGRATIONS)
    with database.read() as connection:
        rows = connection.execute(sa.select(events.c.id, events.c.message)).all()
    database.close()
    assert [(row.id, row.message) for row in rows] == [(n, str(n)) for n in range(1, 201)]


def test_a_bug_in_a_statement_stays_a_bug(db: Database) -> None:
    with pytest.raises(sa.exc.OperationalError, match="no such table"), db.read() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")


def test_close_may_be_repeated_and_ends_all_use(path: Path) -> None:
    database = Database(path, MIGRATIONS)
    insert(database)
    database.close()
    database.close()
    assert [file.name for file in path.parent.iterdir()] == ["saga.db"]
    for use in (insert, count):
        with pytest.raises(Unavailable, match="closed"):
            use(database)


def test_what_was_committed_survives_kill_9(path: Path) -> None:
    code = READ_THEN_WRITE.replace("db.close()", "import os; os.kill(os.getpid(), 9)")
    ended = subprocess.run([sys.executable, "-c", code, str(path), "a"], cwd=CHECKOUT, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    database = Database(path, MIGRATIONS)
    assert (count(database), database.was_corrupt) == (100, None)
    database.close()


# --- peeking --------------------------------------------------------------------------------------------------


def test_a_peek_sees_the_last_commit_and_nothing_of_a_write_that_goes_on(db: Database) -> None:
    counted = "SELECT count(*) FROM events"
    assert db.peek(counted) == [(0,)]
    with db.write() as connection:
        connection.execute(sa.insert(events).values(ROW))
        assert db.peek(counted) == [(0,)]
    assert db.peek(counted) == [(1,)]
    assert db.peek("SELECT message FROM events WHERE kind = ?", ("test",)) == [("hello",)]
    with pytest.raises(Unavailable, match="readonly"):
        db.peek("DELETE FROM events")
    db.close()
    with pytest.raises(Unavailable, match="closed"):
        db.peek(counted)


def test_damage_that_a_peek_meets_is_mended_for_the_next_one(path: Path) -> None:
    """STYLE 17: whoever meets the damage, the file is set aside and its successor serves."""
    db = Database(path, MIGRATIONS)
    for _ in range(500):
        insert(db)
    db.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xff" * (len(content) - 3 * 4096)
    db = Database(path, MIGRATIONS)
    try:
        db.peek("SELECT 1")
        path.write_bytes(content)
        with pytest.raises(Unavailable):
            db.peek("SELECT sum(length(message)) FROM events")
        # In an event loop: that must not wait until everything is salvaged.
        assert (db.was_corrupt, db.is_damaged) == (None, True)
        db.replace_if_damaged()
        assert db.was_corrupt is not None
        assert db.peek("SELECT count(*) FROM events")[0][0] < 500
    finally:
        db.close()

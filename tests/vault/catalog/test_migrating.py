"""A catalog of an older version: brought up to date with all that is in it, and salvaged where it is damaged."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from core.db import Database
from tests.vault.catalog.assets import asset
from vault.assets import LOCAL, LocationStatus
from vault.catalog.catalog import MIGRATIONS, Catalog

FIRST = """
INSERT INTO assets VALUES ('checkpoint_7', 'checkpoint', 'checkpoint-7', 'Seven', 1000, NULL, NULL, 'active', '{}', 7);
INSERT INTO assets VALUES ('checkpoint_8', 'checkpoint', 'checkpoint-8', '', NULL, NULL, NULL, 'active', '{}', 8);
INSERT INTO assets VALUES ('data_x', 'training_data', 'x.jsonl', '', 5, NULL, NULL, 'active', '{}', NULL);
INSERT INTO locations VALUES ('checkpoint_7', 'local_vault', 'current/7', 'verified', 'now', 'ab', 1000, NULL, 1);
INSERT INTO locations VALUES ('checkpoint_7', 'nas', '/nas/7', 'corrupted', NULL, 'ab', 1000, 'then', 0);
INSERT INTO locations VALUES ('checkpoint_8', 'nas', '/nas/8', 'missing', NULL, NULL, NULL, NULL, 0);
INSERT INTO manifests VALUES ('/x', 'stamp', '{"files": {}}');
"""
"""What the tables of revision 0001 held; `data_x` lies nowhere."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A catalog as revision 0001 made it."""
    file = tmp_path / "catalog.db"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{file}")
    command.upgrade(config, "0001")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST)
    return file


def holds_all(catalog: Catalog, base: Path) -> None:
    """All of `FIRST` is there, and what triggers keep is kept."""
    seven, eight, data = (catalog.locate(name) for name in ("checkpoint_7", "checkpoint_8", "data_x"))
    assert seven is not None
    assert eight is not None
    assert data is not None
    assert [(each.stronghold, each.path, each.status) for each in seven.locations] == [
        (LOCAL, str(base / "current/7"), "verified"),
        ("nas", "/nas/7", "corrupted"),
    ]
    here, there = seven.locations
    assert (here.verified_at, here.checksum, here.size_bytes, here.is_primary) == ("now", "ab", 1000, True)
    assert (there.synced_at, there.is_primary, eight.locations[0].size_bytes) == ("then", False, None)
    assert (seven.description, seven.step, data.locations) == ("Seven", 7, ())
    assert catalog.manifest(Path("/x"), "stamp") == {"files": {}}
    told = catalog.stats()
    assert told["assets_by_type"] == {"checkpoint": 2, "training_data": 1}
    assert told["locations_by_stronghold"] == {LOCAL: 1, "nas": 2}
    catalog.drop_location("checkpoint_7", LOCAL)
    catalog.put(asset("checkpoint_9", status=LocationStatus.CORRUPTED))
    left, new = catalog.locate("checkpoint_7"), catalog.locate("checkpoint_9")
    assert left is not None
    assert new is not None
    assert ([each.path for each in left.locations], len(new.locations)) == (["/nas/7"], 1)
    assert [each.asset_id for each in catalog.search(status=new.status).assets] == ["checkpoint_7", "checkpoint_9"]
    assert catalog.stats()["locations_by_stronghold"] == {LOCAL: 1, "nas": 2}


def test_a_catalog_of_the_first_version_is_brought_up_to_date_with_all_that_is_in_it(file: Path) -> None:
    with Catalog.opened(file, file.parent) as catalog:
        assert catalog.db.was_corrupt is None
        holds_all(catalog, file.parent)
    with closing(sqlite3.connect(file)) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        assert not [name for name in names if name.startswith("kept_")]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_locations_whose_asset_was_lost_to_damage_do_not_keep_a_catalog_from_its_next_version(file: Path) -> None:
    """Salvaged once, with foreign keys off: each start failed on them."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO locations VALUES ('gone', 'nas', '/g', 'missing', NULL, NULL, 9, NULL, 0)")
        connection.commit()
    with Catalog.opened(file, file.parent) as catalog:
        holds_all(catalog, file.parent)


def test_a_damaged_catalog_of_the_first_version_is_salvaged(file: Path) -> None:
    """Asked for a column that an older table has not got, SQLite answered with its name as a text."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'assets_by_name'").fetchone()
    content = bytearray(file.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    file.write_bytes(content)
    with Catalog.opened(file, file.parent) as catalog:
        assert catalog.db.was_corrupt is not None
        assert isinstance(catalog.db, Database)
        assert catalog.db.salvaged["assets"] == 3
        holds_all(catalog, file.parent)

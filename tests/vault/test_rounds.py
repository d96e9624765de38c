"""The rounds of a running realm's catalog: at the start, every hour, when it fell behind, and after damage."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import Unavailable
from core.paths import RealmPaths
from core.saga import News
from tests.vault.catalog.assets import EARLY, furnish
from tests.waiting import wait_until_async
from vault.catalog.catalog import Catalog, Changes
from vault.keeper import VaultKeeper
from vault.rounds import CatalogRounds

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def test_the_disk_is_looked_at_at_the_start_every_hour_and_when_something_was_missed(paths: RealmPaths) -> None:
    """F14: whoever has the catalog before his eyes is told that it is another; at the start nobody has."""
    furnish(paths)
    told: list[News] = []
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        keeper = VaultKeeper(paths.base, catalog=catalog)
        rounds = CatalogRounds(keeper, None, lambda news, now: told.extend(news))
        await rounds.go(NOW)
        assert catalog.stats()["total_assets"] == 7
        assert told == []
        shutil.rmtree(paths.models / "Qwen3-0.6B")
        await rounds.go(NOW + timedelta(minutes=59))
        assert catalog.locate("model_qwen3_0.6b") is not None
        await rounds.go(NOW + timedelta(minutes=61))
        assert [each.kind for each in told] == ["catalog_changed"]
        assert told[0].message == "The catalog follows a look at the disk: 1 removed"
        assert catalog.locate("model_qwen3_0.6b") is None
        shutil.rmtree(paths.current_model / EARLY)
        assert not keeper.locate("checkpoint_1000").found
        await rounds.go(NOW + timedelta(minutes=62))
        assert catalog.locate("checkpoint_1000") is None


async def test_a_clock_that_was_set_back_does_not_end_the_rounds(paths: RealmPaths) -> None:
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        rounds = CatalogRounds(VaultKeeper(paths.base, catalog=catalog), None, lambda news, now: None)
        await rounds.go(NOW)
        furnish(paths)
        await rounds.go(NOW - timedelta(days=365))
        assert catalog.stats()["total_assets"] == 7


async def test_a_catalog_that_cannot_be_written_is_tried_again(paths: RealmPaths) -> None:
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        keeper = VaultKeeper(paths.base, catalog=catalog)
        rounds = CatalogRounds(keeper, None, lambda news, now: None)
        catalog.db.close()
        await rounds.go(NOW)
        await rounds.go(NOW)


async def test_a_disk_that_hangs_leaves_the_rounds_going(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog ended a realm that trained, every half hour, because a NAS was down."""
    monkeypatch.setattr("vault.rounds.PATIENCE_SECONDS", 0.05)
    answer, looks = threading.Event(), list[datetime]()

    class Hanging(VaultKeeper):
        def reconcile(self) -> Changes:
            looks.append(NOW)
            answer.wait(30)
            return super().reconcile()

    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        furnish(paths)
        rounds = CatalogRounds(Hanging(paths.base, catalog=catalog), None, lambda news, now: None)
        for _ in range(3):
            await rounds.go(NOW)
        assert len(looks) == 1
        answer.set()
        await wait_until_async(lambda: catalog.stats()["total_assets"] == 7)
        monkeypatch.setattr("vault.rounds.PATIENCE_SECONDS", 10)
        await wait_until_async(lambda: not any(not each.done() for each in rounds._looking.values()))
        await rounds.go(NOW)
        assert len(looks) == 2


async def test_a_catalog_that_cannot_be_opened_keeps_nobody_from_training(paths: RealmPaths) -> None:
    """It is a derived view: a realm that was set back to an earlier version would not even start."""
    paths.catalog_db.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(paths.catalog_db)) as newer:
        newer.execute("CREATE TABLE alembic_version (version_num TEXT)")
        newer.execute("INSERT INTO alembic_version VALUES ('9999')")
        newer.commit()
    furnish(paths)
    with Catalog.opened_in_time(paths.catalog_db, paths.base) as catalog:
        keeper = VaultKeeper(paths.base, catalog=catalog)
        rounds = CatalogRounds(keeper, None, lambda news, now: None)
        await rounds.go(NOW)
        with pytest.raises(Unavailable, match="newer version"):
            keeper.locate("checkpoint_1000")
        keeper.note_checkpoints([EARLY])
        assert keeper.is_behind
        paths.catalog_db.unlink()
        await rounds.go(NOW)
        assert keeper.locate("checkpoint_1000").found


async def test_damage_that_was_met_in_the_event_loop_is_mended_by_the_next_round(paths: RealmPaths) -> None:
    """Law 5: salvaging a million rows stood still what the realm does."""
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        keeper = VaultKeeper(paths.base, catalog=catalog)
        rounds = CatalogRounds(keeper, None, lambda news, now: None)
        await rounds.go(NOW)
        furnish(paths)
        paths.catalog_db.write_bytes(b"no database at all" * 1000)
        with pytest.raises(Unavailable):
            keeper.locate_at_once("checkpoint_1000")
        assert catalog.db.was_corrupt is None
        await rounds.go(NOW)
        assert catalog.db.was_corrupt is not None
        assert keeper.locate_at_once("checkpoint_1000") is not None


async def test_a_damaged_catalog_is_told_of_and_filled_again(paths: RealmPaths) -> None:
    """Law 4: what is derived is rebuilt, and nobody has to ask for it."""
    furnish(paths)
    with VaultKeeper(paths.base) as keeper:
        assert keeper.stats()["total_assets"] == 7
    paths.catalog_db.write_bytes(b"no database at all" * 1000)
    told: list[News] = []
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        rounds = CatalogRounds(VaultKeeper(paths.base, catalog=catalog), None, lambda news, now: told.extend(news))
        await rounds.go(NOW)
        assert catalog.stats()["total_assets"] == 7
    assert [each.kind for each in told] == ["database_corrupt"]
    assert "catalog.db was damaged and is set aside as catalog.db.corrupt." in told[0].message

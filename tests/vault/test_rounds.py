"""The rounds of a running realm's catalog: at the start, every hour, when it fell behind, and after damage."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

from core.paths import RealmPaths
from core.saga import News
from tests.vault.catalog.assets import EARLY, furnish
from vault.catalog.catalog import Catalog
from vault.keeper import VaultKeeper
from vault.rounds import CatalogRounds

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def test_the_disk_is_looked_at_at_the_start_every_hour_and_when_something_was_missed(paths: RealmPaths) -> None:
    furnish(paths)
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:
        keeper = VaultKeeper(paths.base, catalog=catalog)
        rounds = CatalogRounds(keeper, None, lambda news, now: None)
        await rounds.go(NOW)
        assert catalog.stats()["total_assets"] == 7
        shutil.rmtree(paths.models / "Qwen3-0.6B")
        await rounds.go(NOW + timedelta(minutes=59))
        assert catalog.locate("model_qwen3_0.6b") is not None
        await rounds.go(NOW + timedelta(minutes=61))
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

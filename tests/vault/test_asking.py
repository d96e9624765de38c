"""Asked on a host that does not train: what it has itself, what the trainer knows, and what is said when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, LATE, asset, furnish
from vault import ask_vault_first
from vault.asking import locate_anywhere
from vault.assets import LOCAL
from vault.bytes.routes import byte_routes
from vault.bytes.source import KeeperSource
from vault.catalog.routes import catalog_routes
from vault.keeper import VaultKeeper
from vault.roots import Roots


@pytest.fixture
async def trainer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Visitor]:
    """Its vault, which also knows of a checkpoint on a third host."""
    away = RealmPaths(tmp_path_factory.mktemp("trainer"))
    away.create()
    furnish(away)
    with VaultKeeper(away.base) as keeper:
        keeper.catalog.put(asset("checkpoint_7", stronghold="attic", path="/m/7"))
        routes = [*catalog_routes(keeper, Roots.of(away)), *byte_routes(KeeperSource(keeper))]
        async with serving(routes, service="vault_keeper") as visitor:
            yield visitor


@pytest.fixture
def here(paths: RealmPaths, trainer: Visitor, monkeypatch: pytest.MonkeyPatch) -> RealmPaths:
    """An inference host."""
    hosts = {
        "4090": {"host": "127.0.0.1", "role": "trainer", "services": {"vault": trainer.site.port}},
        "3090": {"host": "127.0.0.2", "role": "inference"},
    }
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts, "local_host": "3090"}))
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    return paths


async def test_the_latest_is_that_of_the_trainer_not_the_last_that_was_fetched(
    here: RealmPaths, trainer: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """A26: a host that had fetched one checkpoint took it for the latest for ever."""
    assert await asyncio.to_thread(ask_vault_first, "checkpoint_1000") == str(here.models / EARLY)
    assert await asyncio.to_thread(ask_vault_first, "latest") == str(here.models / LATE)
    assert await asyncio.to_thread(ask_vault_first, "best") == str(here.models / EARLY)
    await trainer.site.stop()
    assert await asyncio.to_thread(ask_vault_first, "latest") == str(here.models / LATE)
    assert "is that of this host" in caplog.text
    assert await asyncio.to_thread(ask_vault_first, "checkpoint_5", "/nowhere") == "/nowhere"


async def test_whatever_this_host_does_not_know_of_the_trainer_is_asked_for(here: RealmPaths, trainer: Visitor) -> None:
    """A4: a checkpoint could be found on the host only on which somebody had looked for it."""
    with VaultKeeper(here.base) as keeper:
        found = await asyncio.to_thread(locate_anywhere, "checkpoint_1000", keeper)
        assert found.best_location is not None
        assert (found.found, found.error, found.best_location.stronghold) == (True, None, "4090")
        assert Path(found.best_location.path).name == EARLY
        third = await asyncio.to_thread(locate_anywhere, "checkpoint_7", keeper)
        assert [each.stronghold for each in third.locations] == ["attic"]
        assert (await asyncio.to_thread(locate_anywhere, "latest", keeper)).asset_id == "checkpoint_20000"
        nowhere = await asyncio.to_thread(locate_anywhere, "checkpoint_5", keeper)
        assert (nowhere.found, nowhere.error) == (False, "The catalog has no asset 'checkpoint_5'.")
        await asyncio.to_thread(ask_vault_first, "checkpoint_1000")
        own = await asyncio.to_thread(locate_anywhere, "checkpoint_1000", keeper)
        assert own.best_location is not None
        assert own.best_location.stronghold == LOCAL
        await trainer.site.stop()
        away = await asyncio.to_thread(locate_anywhere, "checkpoint_5", keeper)
        assert "does not answer" in str(away.error)
        stale = await asyncio.to_thread(locate_anywhere, "latest", keeper)
        assert (stale.asset_id, stale.found) == ("checkpoint_1000", True)
        assert "What 'latest' means at the trainer is unknown" in str(stale.error)

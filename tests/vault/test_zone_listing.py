"""What other zones hold comes into the catalog by their own word, and nearness by the registry (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.errors import Unavailable
from core.hosts import get_registry
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, asset, furnish
from tests.vault.making import publish
from vault import ask_vault_first
from vault.assets import LOCAL, StrongholdType
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.catalog.catalog import Catalog
from vault.catalog.routes import catalog_routes
from vault.checkpoints import CheckpointStore
from vault.keeper import VaultKeeper
from vault.manifest import check_manifest
from vault.roots import Roots
from vault.rounds import CatalogRounds
from vault.transfer_routes import transfer_routes
from vault.zone_listing import take_over_listings
from vault.zone_ways import ZoneWays
from vault.zones import Zones

NEWER = "checkpoint-30000-20261121-1200"


@pytest.fixture
def away(tmp_path_factory: pytest.TempPathFactory) -> RealmPaths:
    """The directory of another realm, which is the trainer."""
    paths = RealmPaths(tmp_path_factory.mktemp("away"))
    paths.create()
    furnish(paths)
    publish(CheckpointStore(paths.current_model), NEWER)
    return paths


@pytest.fixture
async def trainer(away: RealmPaths) -> AsyncIterator[Visitor]:
    """Its vault, which also knows of a checkpoint on a third host."""
    from vault.bytes.routes import byte_routes
    from vault.bytes.source import KeeperSource

    with VaultKeeper(away.base) as keeper:
        keeper.catalog.put(asset("checkpoint_7", stronghold="attic", path="/m/7"))
        routes = [*catalog_routes(keeper, Roots.of(away)), *byte_routes(KeeperSource(keeper))]
        async with serving(routes, service="vault_keeper", held_to_models=False) as visitor:
            yield visitor


def name_hosts(paths: RealmPaths, **services: dict[str, int]) -> None:
    roles = {"trainer": "trainer", "nas": "storage", "here": "inference"}
    hosts: dict[str, Any] = {
        name: {"name": name, "host": "127.0.0.1", "role": roles[name], "services": each}
        for name, each in services.items()
    }
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": {**hosts, "here": HERE}, "local_host": "here"}))


HERE = {"name": "here", "host": "127.0.0.2", "role": "inference", "services": {}}


def zones_of(paths: RealmPaths) -> Zones:
    return Zones(lambda: get_registry(paths, {}), lambda: None)


async def test_what_a_vault_holds_itself_is_found_from_here(paths: RealmPaths, trainer: Visitor) -> None:
    """A4: a checkpoint on another host was in nobody's catalog; what a vault only knows of is not its own."""
    name_hosts(paths, trainer={"vault": trainer.site.port})
    with VaultKeeper(paths.base) as keeper:
        changed = await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths))
        assert "checkpoint_30000" in changed["trainer"].added
        found = keeper.locate("checkpoint_30000")
        assert found.best_location is not None
        assert (found.best_location.stronghold, found.best_location.status) == ("trainer", "verified")
        assert keeper.locate(NEWER).asset_id == "checkpoint_30000"
        assert keeper.locate("latest").asset_id == "checkpoint_30000"
        assert not keeper.locate("checkpoint_7").found
        assert not await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths))


async def test_a_zone_that_is_away_keeps_what_it_had_and_one_that_is_gone_does_not(
    paths: RealmPaths, trainer: Visitor
) -> None:
    name_hosts(paths, trainer={"vault": trainer.site.port})
    with VaultKeeper(paths.base) as keeper:
        await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths))
        await trainer.site.stop()
        await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths))
        assert keeper.locate("checkpoint_30000").found
        keeper.catalog.put(asset("checkpoint_8", stronghold="storage", path="/nas/8"))
        name_hosts(paths)
        changed = await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths), ["storage"])
        assert list(changed) == ["trainer"]
        assert not keeper.locate("checkpoint_30000").found
        assert keeper.locate("checkpoint_8").found


async def test_a_branch_officer_is_listed_too_page_by_page(
    paths: RealmPaths, away: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.zone_listing.PAGE", 2)
    registry = get_registry(away, {})
    with Catalog.opened(away.base / ".branch_catalog.db", away.base) as catalog:
        officer = BranchOfficer("nas", away.base, catalog, lambda: registry, lambda: None)
        officer.scan()
        async with serving(branch_routes(officer), service="branch_officer", held_to_models=False) as visitor:
            name_hosts(paths, nas={"branch": visitor.site.port})
            with VaultKeeper(paths.base) as keeper:
                await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths))
                assert keeper.stats()["locations_by_stronghold"]["nas"] == catalog.stats()["total_assets"]
                assert keeper.kind_of("nas") is StrongholdType.NAS
                assert keeper.locate("checkpoint_1000").best_location is not None
        officer.arrivals.stop(10)


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"asset_id": 5, "asset_type": "checkpoint", "name": "x", "path": "/x"},
        {"asset_id": "x" * 301, "asset_type": "checkpoint", "name": "x", "path": "/x"},
        {"asset_id": "x", "asset_type": "spaceship", "name": "x", "path": "/x"},
        {"asset_id": "x", "asset_type": "model", "name": "x", "path": 7},
        {"asset_id": "x", "asset_type": "model", "name": "x", "path": "/x", "size_bytes": -1},
    ],
)
def test_what_cannot_be_believed_of_a_zone_is_left_out(row: Any) -> None:
    from vault.zone_listing import _asset

    assert _asset("3090", row) is None


async def test_an_asset_of_another_zone_is_brought_here_and_booked(
    paths: RealmPaths, trainer: Visitor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A4, G6: fetched by the keeper of this host from the vault of another."""
    name_hosts(paths, trainer={"vault": trainer.site.port})
    roots = Roots.of(paths)
    with VaultKeeper(paths.base) as keeper:
        await CatalogRounds(keeper, zones_of(paths), lambda news, now: None).ask_zones()
        fetched = await asyncio.to_thread(keeper.fetch, "checkpoint_30000")
        assert (fetched.success, fetched.local_path) == (True, str(paths.models / NEWER))
        assert check_manifest(Path(fetched.local_path or "")) == []
        lookup = keeper.locate("checkpoint_30000")
        assert [each.stronghold for each in lookup.locations] == [LOCAL, "trainer"]
        async with serving(transfer_routes(paths, keeper, roots), service="vault_keeper") as api:
            answer = await api.post("/api/transfer", {"asset_id": "checkpoint_1000", "source_zone": "trainer"})
            assert (answer.status, answer.body["destination"]) == (200, str(paths.models / EARLY))
            assert (await api.post("/api/transfer", {"asset_id": "latest"})).status == 409
            assert (await api.post("/api/push", {"asset_id": "none", "to_stronghold": "nas"})).status == 404
            outside = {"asset_path": "/etc/hostname", "target_zone": "trainer"}
            assert (await api.post("/api/transfer", outside)).status == 403
            written = {"asset_id": "latest", "source_zone": "trainer", "dest_path": "inbox/x"}
            assert (await api.post("/api/transfer", written)).status == 403
        told = [each.asset_id for each in keeper.catalog.recent_transfers()]
        assert told[:2] == ["checkpoint_1000", "checkpoint_30000"]


def test_a_registry_with_mistakes_makes_no_look_up_fail(paths: RealmPaths) -> None:
    ways = ZoneWays(paths)
    assert ways.kind_of("3090") is None
    paths.hosts_file.write_text("hosts: [")
    assert ways.kind_of("3090") is None
    name_hosts(paths, nas={"branch": 8768})
    assert (ways.kind_of("nas"), ways.kind_of("here")) == (StrongholdType.NAS, StrongholdType.REMOTE)


async def test_zones_that_cannot_be_asked_stop_no_round(paths: RealmPaths) -> None:
    paths.hosts_file.write_text("hosts: [")
    with VaultKeeper(paths.base) as keeper:
        await CatalogRounds(keeper, zones_of(paths), lambda news, now: None).ask_zones()
        keeper.close()
        with pytest.raises(Unavailable):
            keeper.stats()


async def test_on_an_inference_host_the_vault_of_the_trainer_is_asked(
    paths: RealmPaths, trainer: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed 003, "Ask Vault First": no realm runs here, and no listing was ever taken over."""
    name_hosts(paths, trainer={"vault": trainer.site.port})
    monkeypatch.setenv("REALM_BASE_DIR", str(paths.base))
    path = await asyncio.to_thread(ask_vault_first, "checkpoint_30000", "/nowhere")
    assert path == str(paths.models / NEWER)
    assert await asyncio.to_thread(ask_vault_first, "checkpoint_1", "/nowhere") == "/nowhere"
    assert await asyncio.to_thread(ask_vault_first, "checkpoint_20000", "/nowhere", False) == "/nowhere"

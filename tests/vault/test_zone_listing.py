"""What other zones hold comes into the catalog by their own word, and nearness by the registry (A4)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

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
        {"asset_id": "model_x", "asset_type": "model", "name": "x", "path": "/x", "size_bytes": -1},
        {"asset_id": "model_x", "asset_type": "model", "name": "../inbox/high/x.jsonl", "path": "/x"},
        {"asset_id": "model_x", "asset_type": "model", "name": "/home/u/.config/x", "path": "/x"},
        {"asset_id": "model_x", "asset_type": "model", "name": ".hidden", "path": "/x"},
        {"asset_id": "model_x", "asset_type": "model", "name": "\udce9", "path": "/x"},
        {"asset_id": "model_x", "asset_type": "model", "name": "x", "path": "/x", "description": "\ud800"},
        {"asset_id": "latest", "asset_type": "model", "name": "x", "path": "/x"},
        {"asset_id": "175000", "asset_type": "checkpoint", "name": "checkpoint-175000", "path": "/x"},
        {"asset_id": "model_a/../b", "asset_type": "model", "name": "x", "path": "/x"},
        {"asset_id": "checkpoint_175000", "asset_type": "model", "name": "x", "path": "/x"},
        {"asset_id": "checkpoint_175000", "asset_type": "checkpoint", "name": "checkpoint-7", "path": "/x"},
        {"asset_id": "checkpoint_0", "asset_type": "checkpoint", "name": "x", "path": "/x"},
    ],
)
def test_what_cannot_be_believed_of_a_zone_is_left_out(row: Any) -> None:
    """Laws 6 and 8: a name is written to the disk here, and an id may not stand in the way of another one's."""
    from vault.zone_listing import _asset

    assert _asset("3090", row) is None


@pytest.mark.parametrize(
    ("asset_id", "kind", "name"),
    [
        ("checkpoint_175000", "checkpoint", "checkpoint-175000-20261121-0930"),
        ("checkpoint_175000-20261121-0930", "checkpoint", "checkpoint-175000-20261121-0930"),
        ("data_my färm 2", "training_data", "my färm 2.jsonl"),
        ("snapshot_2026-11-21", "snapshot", "2026-11-21"),
    ],
)
def test_what_a_zone_holds_is_believed(asset_id: str, kind: str, name: str) -> None:
    from vault.zone_listing import _asset

    found = _asset("3090", {"asset_id": asset_id, "asset_type": kind, "name": name, "path": "/x"})
    assert found is not None
    assert (found.asset_id, found.name) == (asset_id, name)


async def test_a_host_that_has_the_name_of_a_storage_is_not_listed(paths: RealmPaths, trainer: Visitor) -> None:
    """What was scanned at the mount was struck out, and paths of the other machine were opened here."""
    name_hosts(paths, trainer={"vault": trainer.site.port})
    with VaultKeeper(paths.base) as keeper:
        keeper.catalog.put(asset("checkpoint_8", stronghold="trainer", path="/mnt/8"))
        assert not await asyncio.to_thread(take_over_listings, keeper.catalog, zones_of(paths), ["trainer"])
        assert keeper.catalog.locate("checkpoint_8") is not None


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


class Listed:
    """A zone that lists what it is told to; `between` changes it after so many pages."""

    def __init__(self, *ids: str, total: int | None = None) -> None:
        self.ids = list(ids)
        self.total = total
        self.asked = 0
        self.between: dict[int, Any] = {}

    def registry(self) -> Any:
        return SimpleNamespace(hosts={"nas": None}, local_id="here")

    def assets(self, zone_id: str, *, asset_type: str | None, limit: int, offset: int) -> dict[str, Any]:
        self.asked += 1
        self.between.pop(self.asked, lambda: None)()
        rows = [
            {"asset_id": f"model_{each}", "asset_type": "model", "name": each, "path": f"/m/{each}"}
            for each in sorted(self.ids)
        ]
        return {"total": self.total or len(rows), "assets": rows[offset : offset + limit]}


@pytest.fixture
def nas(paths: RealmPaths) -> Iterator[Callable[[Listed], set[str]]]:
    """Takes a listing over, and says what is known of the NAS then."""
    with Catalog.opened(paths.catalog_db, paths.base) as catalog:

        def take_over(listed: Listed) -> set[str]:
            take_over_listings(catalog, cast("Zones", listed))
            return {asset.asset_id.removeprefix("model_") for asset in catalog.export()}

        yield take_over


def test_pages_that_shift_while_they_are_read_strike_nothing_out(
    nas: Callable[[Listed], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One asset came and one went: the number was the same, a row fell between two pages, and was struck out."""
    monkeypatch.setattr("vault.zone_listing.PAGE", 3)
    ids = {"b", "c", "d", "e", "f", "g"}
    assert nas(Listed(*ids)) == ids
    listed = Listed(*ids)
    listed.between = {2: lambda: (listed.ids.remove("b"), listed.ids.append("h"))}
    assert nas(listed) == ids
    assert nas(listed) == ids - {"b"} | {"h"}
    assert nas(Listed("c")) == {"c"}
    assert nas(Listed()) == set()


def test_a_listing_without_an_end_is_given_up(
    nas: Callable[[Listed], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`total: 10**15` and empty pages were asked for until the realm ended."""
    monkeypatch.setattr("vault.zone_listing.PAGE", 3)
    assert nas(Listed("a", "b", total=2)) == {"a", "b"}
    for endless in (Listed("a", total=10**15), Listed(total=9_000_000), Listed("a", total=1000), Listed("a", "a")):
        assert nas(endless) == {"a", "b"}
        assert endless.asked <= 2


def test_a_name_that_no_disk_can_have_is_left_out_alone(nas: Callable[[Listed], set[str]]) -> None:
    """It stopped the rounds of all zones."""
    assert nas(Listed("a", "b\ud800", "c")) == {"a", "c"}


def test_a_copy_is_verified_only_where_its_zone_says_so() -> None:
    """A30: whatever had a checksum counted as verified, torn or never read."""
    from vault.zone_listing import _asset

    row = {"asset_id": "model_x", "asset_type": "model", "name": "x", "path": "/x", "checksum": "0" * 64}
    for status in (None, "active", "unverified", "corrupted", "verified"):
        asset = _asset("nas", {**row, "status": status, "verified_at": "2026-11-21T00:00:00+00:00"})
        assert asset is not None
        assert asset.locations[0].status == (status if status in ("corrupted", "verified") else "unverified")


async def test_a_zone_with_other_bytes_of_the_same_name_is_no_news_at_every_look(
    paths: RealmPaths, away: RealmPaths, trainer: Visitor
) -> None:
    """Of two realms that both train, each has a checkpoint 30000: every ten minutes for ever the battle log told that
    the zone holds other assets, without one of them, and all open vaults asked for everything anew."""
    publish(CheckpointStore(paths.current_model), NEWER, "other weights")
    told: list[str] = []
    name_hosts(paths, trainer={"vault": trainer.site.port})
    with VaultKeeper(paths.base) as keeper:
        keeper.reconcile()
        rounds = CatalogRounds(keeper, zones_of(paths), lambda news, now: told.extend(each.message for each in news))
        for _ in range(3):
            await rounds.ask_zones()
        assert [each.stronghold for each in keeper.locate("checkpoint_30000").locations] == [LOCAL]
    assert len(told) == 1
    assert told[0].endswith(" added")

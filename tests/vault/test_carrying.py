"""What is carried is what was meant, is booked as that and nothing else, and keeps nobody waiting who did not ask."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from core.errors import Conflict, Unavailable
from core.hosts import get_registry
from core.instance import REALM_UP, InstanceLock
from core.own_threads import OwnThreads
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, furnish
from tests.vault.making import publish
from tests.vault.transfer.byte_service import described
from tests.waiting import PATIENCE_SECONDS, wait_until_async
from vault.assets import LOCAL, Transfer
from vault.benches import Benches
from vault.branch.arrivals import Wish
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.bytes.making import BeingMade
from vault.bytes.routes import byte_routes
from vault.bytes.source import KeeperSource
from vault.carrying import Carrier, Sent
from vault.catalog.catalog import Catalog
from vault.catalog.routes import catalog_routes
from vault.catalog.visiting import visited
from vault.checkpoints import CheckpointStore
from vault.keeper import VaultKeeper
from vault.manifest import read_manifest
from vault.roots import Roots
from vault.rounds import news_of
from vault.transfer.pull import PullOptions
from vault.transfer_routes import transfer_routes

OPTIONS = PullOptions(retry_seconds=20, reserve_bytes=0)


@dataclass
class Two:
    """A trainer with its vault, and a NAS with its officer."""

    paths: RealmPaths
    keeper: VaultKeeper
    benches: Benches
    api: Visitor
    officer: BranchOfficer
    nas: Path

    def carrier(self, **more: Any) -> Carrier:
        registry = get_registry(self.paths, {})
        return replace(Carrier(self.paths, registry, lambda: None, OPTIONS, catalog=self.keeper.catalog), **more)


def name_hosts(paths: RealmPaths, local: str, ports: dict[str, dict[str, int]]) -> None:
    hosts = {name: {"name": name, "host": "127.0.0.1", "role": "storage" if name == "nas" else "trainer",
                    "services": services} for name, services in ports.items()}  # fmt: skip
    paths.configs.mkdir(parents=True, exist_ok=True)
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts, "local_host": local}))


@pytest.fixture
async def two(paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    furnish(paths)
    nas = RealmPaths(tmp_path_factory.mktemp("nas"))
    with VaultKeeper(paths.base) as keeper, Catalog.opened(nas.base / ".b.db", nas.base) as catalog:
        roots = Roots.of(paths)
        officer = BranchOfficer("nas", nas.base, catalog, lambda: get_registry(nas, {}), lambda: None, OPTIONS)
        benches = Benches(hauls=OwnThreads("long errands", 4))
        routes = [*catalog_routes(keeper, roots, benches), *byte_routes(KeeperSource(keeper), benches)]
        routes += transfer_routes(paths, keeper, roots, benches)
        async with serving(routes) as api, serving(branch_routes(officer)) as branch:
            ports = {"trainer": {"vault": api.site.port}, "nas": {"branch": branch.site.port}}
            name_hosts(paths, "trainer", ports)
            name_hosts(nas, "nas", ports)
            yield Two(paths, keeper, benches, api, officer, nas.base)
        officer.arrivals.stop(10)


async def test_of_two_files_of_one_name_the_one_that_was_meant_is_sent(two: Two) -> None:
    """The training file went as the validation file, and was booked as verified."""
    (two.paths.lane("normal") / "math.jsonl").write_text('{"of": "training"}\n')
    (two.paths.validation / "math.jsonl").write_text('{"of": "validation"}\n')
    two.keeper.reconcile()
    for body in (
        {"asset_path": "data/validation/math.jsonl", "dest_path": "by-path.jsonl"},
        {"asset_id": "data_validation_math", "dest_path": "by-id.jsonl"},
    ):
        answer = await two.api.post("/api/transfer", {**body, "target_zone": "nas"})
        assert answer.status == 200, answer.text
        assert Path(answer.body["destination"]).read_text() == '{"of": "validation"}\n'
    held = two.keeper.get_asset("data_validation_math").locations
    assert {(each.stronghold, each.status) for each in held} >= {("nas", "verified")}
    assert two.officer.find("data_validation_math").locations[0].status == "verified"


async def test_an_archive_can_be_sent_and_is_booked_as_one(two: Two) -> None:
    """It landed whole, and then nobody knew what it was: failed, for ever."""
    # As the archives of whole `current_model/` directories are: no model by itself.
    archive = two.paths.archive / "dio-20261102T120000Z"
    archive.mkdir()
    publish(CheckpointStore(archive), EARLY)
    two.keeper.reconcile()
    answer = await two.api.post("/api/push", {"asset_id": f"backup_{archive.name}", "to_stronghold": "nas"})
    assert answer.status == 200, answer.text
    asset = two.officer.find(f"backup_{archive.name}")
    assert (asset.asset_type, asset.locations[0].path) == ("backup", str(two.nas / archive.name))


async def test_another_asset_of_the_same_id_is_refused_by_who_fetches(two: Two) -> None:
    told = await asyncio.to_thread(two.officer.receive, "checkpoint_1000", "checkpoint", "x", "trainer", "0" * 64)
    arrival = two.officer.arrivals.find(told["transfer_id"])
    assert arrival is not None
    await wait_until_async(lambda: arrival.state != "running")
    assert (arrival.state, arrival.error_code) == ("failed", "conflict")
    assert "is another one there" in str(arrival.error)
    assert not (two.nas / "x").exists()
    sent = Sent(two.paths.current_model / EARLY, "checkpoint_1000", "checkpoint", "0" * 64, 5)
    with pytest.raises(Conflict, match="is another one there"):
        await asyncio.to_thread(two.carrier().send, sent.path, "nas", sent=sent)


async def test_what_was_made_anew_where_it_comes_from_is_not_taken_for_what_is_known(two: Two) -> None:
    """It landed, was a conflict of the catalog then, and stayed there as nobody's."""
    folder = two.paths.base.parent / "third"
    third = RealmPaths(folder)
    third.create()
    third.hosts_file.write_text(two.paths.hosts_file.read_text())
    with VaultKeeper(folder) as keeper:
        known = two.keeper.get_asset("checkpoint_1000")
        stale = replace(known.locations[0], stronghold="trainer", checksum="0" * 64, is_primary=False)
        keeper.catalog.put(replace(known, locations=(stale,)))
        fetched = await asyncio.to_thread(keeper.fetch, "checkpoint_1000")
        assert not fetched.success
        assert "is another one there" in str(fetched.error)
        assert not list(third.models.iterdir())
        carrier = Carrier(third, get_registry(third, {}), lambda: None, OPTIONS, catalog=keeper.catalog)
        report = await asyncio.to_thread(carrier.fetch, "checkpoint_1000", "trainer", folder / "models" / "ck")
        asset = keeper.get_asset("checkpoint_1000")
        assert [(each.stronghold, each.path) for each in asset.locations] == [(LOCAL, str(report.path))]


async def test_transfers_take_no_thread_that_others_need_and_end_with_the_realm(two: Two) -> None:
    """Six of them to a NAS that was off froze the daemon, waited for themselves, and outlived the realm."""
    let_go = threading.Event()
    for _ in range(4):
        two.benches.hauls.start(lambda: let_go.wait(20))
    for path, body in (
        ("/api/push", {"asset_id": "checkpoint_1000", "to_stronghold": "nas"}),
        ("/api/transfer", {"asset_id": "checkpoint_1000", "source_zone": "nas"}),
        ("/api/fetch", {"asset_id": "checkpoint_1000"}),
    ):
        answer = await two.api.post(path, body)
        assert (answer.status, "4 long errands run already" in answer.body["message"]) == (503, True)
    let_go.set()

    async def not_now(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "unavailable", "message": "not now", "details": None}, status=503)

    # There, but of no use: one that nobody has started is not waited for.
    async with serving([web.post("/receive", not_now), web.get("/api/assets/{id}/manifest", not_now)]) as busy:
        ports = {"trainer": {"vault": two.api.site.port}, "nas": {"branch": busy.site.port}}
        name_hosts(two.paths, "trainer", ports)
        for body in ({"target_zone": "nas"}, {"source_zone": "nas"}):
            two.keeper.ending.clear()
            asking = asyncio.create_task(two.api.post("/api/transfer", {"asset_id": "checkpoint_1000", **body}))
            done, _ = await asyncio.wait({asking}, timeout=0.5)
            assert not done
            two.keeper.ending.set()
            answer = await asyncio.wait_for(asking, PATIENCE_SECONDS)
            assert (answer.status, "was cancelled" in answer.body["message"]) == (503, True)


async def test_our_own_copy_stays_as_the_catalog_knows_it(two: Two) -> None:
    """A2: what retention had deleted during the transfer came back."""
    before = two.keeper.get_asset("checkpoint_1000").locations
    manifest = read_manifest(two.paths.current_model / EARLY)
    assert manifest is not None
    sent = Sent.of(two.paths.current_model / EARLY, "checkpoint_1000", "checkpoint", manifest)
    told = {"destination": "/nas/x", "bytes_total": 1, "digest": sent.digest}
    begun = datetime.now(UTC)
    two.carrier()._book_there(sent, "nas", told, begun)
    after = two.keeper.get_asset("checkpoint_1000").locations
    assert after[0] == before[0]
    assert [(each.stronghold, each.status) for each in after[1:]] == [("nas", "verified")]
    two.carrier()._book_there(sent, "nas", {**told, "digest": None}, begun)
    assert two.keeper.get_asset("checkpoint_1000").locations[1].status == "unverified"


async def test_a_manifest_that_is_being_made_is_waited_for_without_a_name(two: Two, tmp_path: Path) -> None:
    """`POST /receive` without a destination failed for every model that takes more than ten seconds to hash."""
    refusals = 2
    (tmp_path / "source").mkdir()
    source = tmp_path / "source" / "train_bin.jsonl"
    source.write_text("{}\n")

    async def manifest(request: web.Request) -> web.StreamResponse:
        nonlocal refusals
        if refusals:
            refusals -= 1
            return web.json_response({"error": BeingMade.code, "message": "later", "details": None}, status=503)
        return web.json_response(described(source))

    async def file(request: web.Request) -> web.StreamResponse:
        etag = described(source)["manifest"]["files"][source.name]["blake3"]
        headers = {"ETag": f'"{etag}"', "Content-Range": "bytes 0-2/3"}
        return web.Response(status=206, body=source.read_bytes(), headers=headers)

    routes = [web.get("/api/assets/x/manifest", manifest), web.get("/api/assets/{id}/files/{name}", file)]
    async with serving(routes, held_to_models=False) as busy:
        name_hosts(RealmPaths(two.nas), "nas", {"trainer": {"vault": busy.site.port}, "nas": {"branch": 9}})
        told = await asyncio.to_thread(two.officer.receive, "x", "training_data", None, "trainer")
        assert told["destination"] == str(two.nas)
        arrival = two.officer.arrivals.find(told["transfer_id"])
        assert arrival is not None
        await wait_until_async(lambda: arrival.state != "running")
    assert (arrival.state, arrival.destination) == ("done", str(two.nas / source.name)), arrival.error


def test_a_wish_for_another_content_is_another_transfer(tmp_path: Path) -> None:
    assert Wish("x", "a", "/x", "1") != Wish("x", "a", "/x", "2")


def test_a_verb_enters_beside_a_living_realm_and_never_replaces_its_catalog(paths: RealmPaths) -> None:
    """The file was set aside under the realm that kept writing into it."""
    moved = Transfer("checkpoint_5", "nas", LOCAL, "a", "b", True, "2026-11-21T00:00:00+00:00")
    with visited(paths) as catalog:
        catalog.note_transfer(moved)
        assert InstanceLock.holder(paths.lock) is not None
    assert InstanceLock.holder(paths.lock) is None
    realm = InstanceLock(paths.lock)
    realm.acquire({"what": REALM_UP, "base_dir": str(paths.base)})
    try:
        with visited(paths) as catalog:
            catalog.note_transfer(moved)
            assert len(catalog.recent_transfers()) == 2
        paths.catalog_db.write_bytes(b"no database at all" * 1000)
        with pytest.raises(Unavailable), visited(paths):
            pass
    finally:
        realm.release()
    assert not list(paths.catalog_db.parent.glob("*.corrupt.*"))


def test_what_was_carried_is_told(two_transfers: tuple[Transfer, Transfer]) -> None:
    done, failed = map(news_of, two_transfers)
    assert (done.kind, failed.kind) == ("asset_carried", "asset_not_carried")
    assert done.message.startswith("checkpoint_5 from nas to here: 7 bytes")
    assert "did not arrive: away" in failed.message


@pytest.fixture
def two_transfers() -> tuple[Transfer, Transfer]:
    done = Transfer("checkpoint_5", "nas", LOCAL, "a", "b", True, "2026-11-21T00:00:00+00:00", 7, 1.0)
    return done, replace(done, success=False, error="away")

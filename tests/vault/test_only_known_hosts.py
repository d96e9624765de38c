"""Only hosts of the registry are ever called, whatever a request names and wherever a peer points to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from core.checkpoint_ledger import CheckpointLedger, RemoteLedgerClient
from core.errors import RealmError
from core.hosts import get_registry
from core.http.access import Access
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, furnish
from vault.branch.officer import BranchOfficer
from vault.branch.routes import branch_routes
from vault.carrying import Carrier
from vault.catalog.catalog import Catalog
from vault.client import VaultKeeperClient
from vault.front_routes import vault_routes
from vault.joining import join
from vault.keeper import VaultKeeper
from vault.transfer.pull import PullOptions
from vault.zone_calls import ZoneCalls
from vault.zones import Zones

TOKEN = "a-token-that-nobody-guesses"
QUICK = PullOptions(retry_seconds=1.0, stall_seconds=0.2, reserve_bytes=0)


@dataclass
class Listener:
    """Answers whatever comes with one answer, and counts."""

    answer: Callable[[], web.Response]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """Tokens."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def meet(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(f"{request.method} {request.raw_path}")
        self.shown += request.headers.getall("Authorization", [])
        return self.answer()


@asynccontextmanager
async def listening(answer: Callable[[], web.Response]) -> AsyncIterator[Listener]:
    listener = Listener(answer)
    runner = web.ServerRunner(web.Server(listener.meet))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield listener
    finally:
        await runner.cleanup()


@pytest.fixture
async def trap() -> AsyncIterator[Listener]:
    """A service of this machine that is none of the realm's."""
    async with listening(lambda: web.json_response({"status": "trapped"})) as listener:
        yield listener


def name_hosts(paths: RealmPaths, local: str, **ports: int) -> None:
    about: dict[str, tuple[str, tuple[str, ...]]] = {
        "4090": ("trainer", ("vault", "ledger")),
        "nas": ("storage", ("branch",)),
    }
    hosts: dict[str, Any] = {
        name: {"host": "127.0.0.1", "role": about[name][0], "services": dict.fromkeys(about[name][1], port)}
        for name, port in ports.items()
    }
    paths.hosts_file.parent.mkdir(parents=True, exist_ok=True)
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts, "local_host": local}))


@asynccontextmanager
async def trainer(paths: RealmPaths) -> AsyncIterator[Visitor]:
    """The vault of the host 4090, on a realm that has checkpoints."""
    furnish(paths)
    paths.token_file.write_text(TOKEN)
    with VaultKeeper(paths.base) as keeper:
        async with serving(vault_routes(paths, keeper, CheckpointLedger.of(paths), []), service="vault_keeper") as site:
            yield site


async def test_no_request_makes_a_vault_or_an_officer_call_somebody_else(paths: RealmPaths, trap: Listener) -> None:
    """G7, law 8: whoever may speak to one of them must not make it speak to others, and show them its token."""
    strangers = (
        trap.url, trap.url.removeprefix("http://"), f"{trap.url}/", f"4090@127.0.0.1:{trap.port}", "",
        f"//127.0.0.1:{trap.port}", "127.0.0.1", "localhost", "nas.evil.example", "NAS", "nas ",
    )  # fmt: skip
    (paths.base / "zone").mkdir()
    with Catalog.opened(paths.base / "zone" / "catalog.db", paths.base / "zone") as catalog:
        officer = BranchOfficer("nas", paths.base / "zone", catalog, lambda: get_registry(paths, {}), lambda: TOKEN)
        async with trainer(paths) as vault, serving(branch_routes(officer), service="branch_officer") as branch:
            name_hosts(paths, "4090", **{"4090": vault.site.port, "nas": branch.site.port})
            for stranger in strangers:
                asset = {"asset_id": "checkpoint_1000"}
                for path, body in (
                    ("/api/transfer", {**asset, "target_zone": stranger}),
                    ("/api/transfer", {**asset, "to_zone": stranger or "-"}),
                    ("/api/transfer", {**asset, "source_zone": stranger}),
                    ("/api/transfer", {"asset_path": f"{trap.url}/x", "source_zone": stranger}),
                    ("/api/transfer", {"asset_path": f"{trap.url}/x", "target_zone": "nas"}),
                    ("/api/push", {**asset, "to_stronghold": stranger}),
                    ("/api/register", {"path": "current_model", "stronghold": stranger}),
                    ("/api/register", {"path": f"{trap.url}/x"}),
                ):
                    answer = await vault.post(path, body)
                    assert 400 <= answer.status < 500, (path, body, answer.text)
                fetched = await vault.post("/api/fetch", {**asset, "from_stronghold": stranger})
                assert fetched.status >= 400 or not fetched.body["success"], stranger
                answer = await branch.post("/receive", {"asset_id": "checkpoint_1000", "source": stranger})
                assert 400 <= answer.status < 500, (stranger, answer.text)
                assert (await vault.get(f"/api/zones/{stranger.replace('/', '%2F')}")).status == 404
            assert (await branch.get("/transfers")).body["count"] == 0
        officer.arrivals.stop(5)
    assert trap.asked == []


async def test_no_peer_sends_anybody_to_somebody_else(
    paths: RealmPaths, trap: Listener, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of the registry answers with a redirect, and the environment names a proxy: neither is followed, and the
    token is shown to that host alone."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, trap.url)
    monkeypatch.setenv("REALM_TOKEN", TOKEN)
    here, zone = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("zone")
    redirect = lambda: web.Response(status=307, headers={"Location": f"{trap.url}/stolen"})  # noqa: E731
    async with listening(redirect) as peer, trainer(paths) as vault:
        name_hosts(paths, "4090", **{"4090": vault.site.port, "nas": peer.port})
        registry = get_registry(paths, {})
        carrier, zones = Carrier(paths, registry, lambda: TOKEN, QUICK), Zones.of(paths)
        client, ledger = VaultKeeperClient(peer.url), RemoteLedgerClient(f"{peer.url}/api/ledger")
        with Catalog.opened(zone / "catalog.db", zone) as catalog:
            officer = BranchOfficer("x", zone, catalog, lambda: registry, lambda: TOKEN, QUICK)
            calls: dict[str, Callable[[], object]] = {
                "a fetch": lambda: carrier.fetch("checkpoint_1000", "nas"),
                "a transfer": lambda: carrier.send(paths.current_model / EARLY, "nas"),
                "a listing": lambda: zones.assets("nas", asset_type=None, limit=5, offset=0),
                "an officer's fetch": lambda: officer.receive("checkpoint_1000", "checkpoint", None, "nas"),
                "a question": lambda: client.locate("latest"),
                "a question with a body": lambda: client.verify("latest"),
                "an asset for here": lambda: client.ensure_local("latest", here),
                "the ledger": ledger.get_latest,
                "joining": lambda: join(RealmPaths(here), peer.url, "nas", TOKEN, env={"HOME": str(here)}),
            }
            for what, call in calls.items():
                before = len(peer.asked)
                with pytest.raises(RealmError):
                    await asyncio.to_thread(call)
                assert len(peer.asked) > before, what
        states = {each["zone_id"]: each["status"] for each in (await asyncio.to_thread(zones.overview))["zones"]}
        assert states == {"4090": "online", "nas": "degraded"}
    assert (trap.asked, trap.shown) == ([], [])
    assert set(peer.shown) == {f"Bearer {TOKEN}"}
    assert os.listdir(here) == []


async def test_an_address_that_is_not_the_registrys_is_not_called_even_by_us(paths: RealmPaths, trap: Listener) -> None:
    """The last guard, whatever the code before it has made of a name."""
    name_hosts(paths, "4090", **{"4090": 9})
    calls = ZoneCalls(lambda: TOKEN, 1.0)
    for root in (trap.url, f"{trap.url}@127.0.0.1:9", "file:///etc/passwd", "http://[::1", "gopher://127.0.0.1:9"):
        with pytest.raises(RealmError, match="is no service of a host"):
            await asyncio.to_thread(calls.get, get_registry(paths, {}), root, "/status")
    assert trap.asked == []


async def test_whoever_calls_another_host_shows_the_token(paths: RealmPaths, tmp_path: Path) -> None:
    """G1, G10: one host called another without its key, and was refused every time."""
    (tmp_path / "nas").mkdir()
    with Catalog.opened(tmp_path / "nas" / "catalog.db", tmp_path / "nas") as catalog:
        officer = BranchOfficer("nas", tmp_path / "nas", catalog, lambda: get_registry(paths, {}), lambda: TOKEN, QUICK)
        furnish(paths)
        paths.token_file.write_text(TOKEN)
        with VaultKeeper(paths.base) as keeper:
            routes = [*vault_routes(paths, keeper, CheckpointLedger.of(paths), [])]
            async with (
                serving(routes, service="vault_keeper", access=Access(TOKEN)) as vault,
                serving(branch_routes(officer), service="branch_officer", access=Access(TOKEN)) as branch,
            ):
                name_hosts(paths, "4090", **{"4090": vault.site.port, "nas": branch.site.port})
                carrier = Carrier.of(paths, QUICK)
                told = await asyncio.to_thread(carrier.send, paths.current_model / EARLY, "nas")
                zones = await asyncio.to_thread(Zones.of(paths).overview)
                assert (told["state"], zones["online_zones"]) == ("done", 2)
                nas = RealmPaths(tmp_path / "nas")
                name_hosts(nas, "nas", **{"4090": vault.site.port, "nas": branch.site.port})
                nas.token_file.write_text(TOKEN)
                await asyncio.to_thread(Carrier.of(nas, QUICK).fetch, "checkpoint_20000", "4090")
                headers = {"Authorization": f"Bearer {TOKEN}"}
                known = await branch.get("/assets/checkpoint_20000", headers=headers)
                assert known.status == 200, "what was fetched there is handed out there"
                # Without it, each of these is told in words what is missing.
                without = Carrier(paths, get_registry(paths, {}), lambda: None, QUICK)
                for call in (
                    lambda: without.fetch("checkpoint_20000", "nas"),
                    lambda: without.send(paths.current_model / EARLY, "nas"),
                ):
                    with pytest.raises(RealmError, match="token"):
                        await asyncio.to_thread(call)
        officer.arrivals.stop(5)


async def test_an_officer_that_nobody_has_started_is_told_of_at_once(paths: RealmPaths) -> None:
    """G14, F21: one that is away is shown, and not waited for; one that goes away in the middle is."""
    async with trainer(paths) as vault:
        name_hosts(paths, "4090", **{"4090": vault.site.port, "nas": 9})
        async with asyncio.timeout(20):
            with pytest.raises(RealmError, match=r"nas is away: .* cannot be reached.*Is it up"):
                await asyncio.to_thread(Carrier.of(paths).send, paths.current_model / EARLY, "nas")

"""`VaultKeeperClient` against a real vault on a socket: everything it can ask, and bytes that really come."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import InvalidInput, NotFound, RealmError, Unavailable
from core.http.access import Access
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, LATE, furnish
from vault.bytes.routes import byte_routes
from vault.bytes.source import KeeperSource
from vault.catalog.routes import catalog_routes
from vault.client import VaultKeeperClient
from vault.keeper import VaultKeeper
from vault.manifest import check_manifest
from vault.roots import Roots

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
async def site(paths: RealmPaths) -> AsyncIterator[Visitor]:
    furnish(paths)
    with VaultKeeper(paths.base) as keeper:
        routes = [*catalog_routes(keeper, Roots.of(paths)), *byte_routes(KeeperSource(keeper))]
        async with serving(routes, service="vault_keeper", access=Access(TOKEN, ())) as visitor:
            yield visitor


def client_of(site: Visitor, **options: Any) -> VaultKeeperClient:
    return VaultKeeperClient(site.site.url.removeprefix("http://"), **{"token": TOKEN, **options})


def answering(status: int, body: Any) -> VaultKeeperClient:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, json=body))
    return VaultKeeperClient("10.0.0.9:8767", transport=transport)


async def test_everything_can_be_asked_for_as_the_seed_writes_it(site: Visitor, paths: RealmPaths) -> None:
    def ask() -> None:
        client = client_of(site)
        assert client.is_healthy()
        result = client.locate("checkpoint_1000")
        assert result.found
        assert result.best_location is not None
        assert result.best_location.path == str(paths.current_model / EARLY)
        assert not client.locate("checkpoint_175000").found
        assert client.get_stats()["total_assets"] == 7
        assert client.get_strongholds()[0]["name"] == "local_vault"
        assert [each.step for each in client.list_checkpoints()] == [20000, 1000]
        assert [each.step for each in client.list_checkpoints(limit=1)] == [20000]
        assert [each.asset_id for each in client.list_by_type("model")] == ["model_qwen3_0.6b"]
        assert len(client.list_in_stronghold("local_vault")) == 7
        assert client.search(name="held") == [client.get_asset("data_held_out")]
        latest, found = client.get_latest_checkpoint(), client.find_checkpoint(1000)
        assert latest is not None
        assert found is not None
        assert (latest.name, found.name, client.get_asset("none")) == (LATE, EARLY, None)
        assert client.register("models/Qwen3-0.6B").asset_id == "model_qwen3_0.6b"
        assert client.scan("models") == ["model_qwen3_0.6b"]
        assert client.verify("checkpoint_1000")[0]["status"] == "verified"
        fetched = client.fetch("checkpoint_1000", "models/here")
        assert (fetched.success, fetched.local_path) == (True, str(paths.models / "here"))
        with pytest.raises(InvalidInput, match="Did you mean"):
            client.search("checkpont")
        with pytest.raises(RealmError, match="outside of what may be named"):
            client.register("/etc")

    await asyncio.to_thread(ask)


async def test_pages_are_put_together(site: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.client.PAGE", 2)
    found = await asyncio.to_thread(client_of(site).search)
    assert len({each.asset_id for each in found}) == 7


async def test_an_asset_really_comes_to_the_disk_of_whoever_asks(
    site: Visitor, paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G6: `ensure_local` once copied on the server's disk, and told the client a path of the server."""
    here = tmp_path_factory.mktemp("inference")
    path = await asyncio.to_thread(client_of(site).ensure_local, "checkpoint_1000", here)
    assert path == str(here / EARLY)
    assert check_manifest(Path(path)) == []
    # Once it is here, the vault's own copy is not needed to tell that it is whole.
    assert await asyncio.to_thread(client_of(site).ensure_local, "checkpoint_1000", here) == path
    monkeypatch.setenv("REALM_BASE_DIR", str(here))
    model = await asyncio.to_thread(client_of(site).ensure_local, "model_qwen3_0.6b")
    assert model == str(here / "models" / "Qwen3-0.6B")
    shutil.rmtree(paths.current_model / LATE)
    with pytest.raises(NotFound):
        await asyncio.to_thread(client_of(site).ensure_local, "checkpoint_20000", here)


async def test_without_the_right_token_nothing_is_told(site: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALM_TOKEN", "another-token-altogether")
    with pytest.raises(Unavailable, match="wants a token"):
        await asyncio.to_thread(client_of(site, token=None).locate, "latest")
    monkeypatch.setenv("REALM_TOKEN", TOKEN)
    assert (await asyncio.to_thread(client_of(site, token=None).locate, "latest")).found


def test_what_is_no_vault_is_told_as_such() -> None:
    with pytest.raises(Unavailable, match="does not answer like a vault"):
        answering(200, ["a list"]).get_stats()
    with pytest.raises(Unavailable, match="does not answer like a vault"):
        answering(404, {"detail": "Not Found"}).get_stats()
    with pytest.raises(Unavailable, match="closed for today"):
        answering(503, {"error": "unavailable", "message": "closed for today", "details": None}).get_stats()
    assert not answering(500, {}).is_healthy()
    with pytest.raises(NotFound):
        answering(200, {}).locate("..")
    with pytest.raises(Unavailable, match="does not answer"):
        VaultKeeperClient("127.0.0.1:9", timeout=2).get_stats()
    assert VaultKeeperClient("http://vault:8767/api/").base_url == "http://vault:8767"

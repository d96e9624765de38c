"""A second host is set up with one token, and what is there already is never overwritten."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.hosts import get_registry
from core.http.access import Access
from core.http.tokens import client_token
from core.paths import CHECKOUT, RealmPaths
from tests.serving import Visitor, serving
from tests.vault.branch.posts import Posts
from vault.catalog.routes import catalog_routes
from vault.joining import join
from vault.keeper import VaultKeeper
from vault.roots import Roots
from vault.zone_routes import zone_routes
from vault.zones import Zones

TOKEN = "secret-of-this-realm"


@pytest.fixture
def posts(tmp_path: Path) -> Posts:
    return Posts(tmp_path / "posts")


@pytest.fixture
def trainer(posts: Posts) -> Zones:
    return Zones(lambda: get_registry(posts.paths("4090"), {}), lambda: TOKEN, probe_seconds=0.5)


@pytest.fixture
def second(tmp_path: Path) -> RealmPaths:
    return RealmPaths(tmp_path / "second")


async def joined(visitor: Visitor, paths: RealmPaths, host: str = "3090", token: str = TOKEN) -> object:
    env = {"HOME": str(paths.base.parent)}
    return await asyncio.to_thread(join, paths, visitor.site.url, host, token, env=env)


async def test_a_second_host_is_set_up_with_one_token(trainer: Zones, second: RealmPaths) -> None:
    """G4: the registry says there which host it is."""
    async with serving(zone_routes(trainer), access=Access(TOKEN)) as visitor:
        await joined(visitor, second)
        await joined(visitor, second)  # the same again is no harm
    registry = get_registry(second, {})
    assert (registry.local_id, registry.is_trainer_local) == ("3090", False)
    assert registry.trainer is not None
    assert registry.hosts == trainer.registry().hosts
    assert client_token(second.token_file, {"HOME": "/nowhere"}) == TOKEN
    assert client_token(None, {"HOME": str(second.base.parent)}) == TOKEN
    assert second.token_file.stat().st_mode & 0o777 == 0o600
    assert TOKEN not in second.hosts_file.read_text()


async def test_nothing_is_written_unless_all_of_it_can_be(trainer: Zones, second: RealmPaths) -> None:
    async with serving(zone_routes(trainer), access=Access(TOKEN)) as visitor:
        with pytest.raises(NotFound, match=r"no host '3080' \(there are: 4090, 3090"):
            await joined(visitor, second, "3080")
        with pytest.raises(InvalidInput, match="does not believe this token") as caught:
            await joined(visitor, second, token="wrong")
        assert "wrong" not in str(caught.value)
        assert not second.base.exists()
        second.base.mkdir()
        second.token_file.write_text("another")
        with pytest.raises(Conflict, match="says something else"):
            await joined(visitor, second)
        assert second.token_file.read_text() == "another"
        assert not second.configs.exists()
    with pytest.raises(Unavailable, match="does not answer"):
        join(second, "http://127.0.0.1:9", "3090", TOKEN, env={"HOME": str(second.base)})


async def test_zones_are_told_over_http_whatever_state_they_are_in(trainer: Zones) -> None:
    async with serving(zone_routes(trainer)) as visitor:
        body = (await visitor.get("/api/zones")).body
        assert (body["total_zones"], body["online_zones"]) == (5, 0)
        assert (await visitor.get("/api/zones/refresh")).body["offline_zones"] == 5
        zone = (await visitor.get("/api/zones/nas")).body
        assert (zone["status"], zone["zone_type"], zone["asset_count"]) == ("offline", "storage", None)
        assert (zone["offline"], zone["live_status"], zone["last_sync"]) == (True, {"status": "offline"}, None)
        assert (await visitor.get("/api/zones/5090")).status == 404
        assert (await visitor.get("/api/zones/nas/assets")).status == 503
        body = (await visitor.get("/api/hosts")).body
        assert (list(body["hosts"])[:2], body["default_trainer"]) == (["4090", "3090"], "4090")


def test_the_command_tells_what_is_missing_in_one_line(second: RealmPaths) -> None:
    second.base.mkdir()
    command = [sys.executable, "realm.py", "--base-dir", str(second.base), "join", "http://127.0.0.1:9", "--as", "3090"]
    env = {"PATH": "", "HOME": str(second.base), "REALM_TOKEN": TOKEN}
    ended = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "does not answer" in ended.stderr
    assert TOKEN not in ended.stderr + ended.stdout


async def test_a_trainer_without_an_officer_is_online_by_its_vault(posts: Posts) -> None:
    """F21: it was shown as offline although it was up."""
    with VaultKeeper(posts.folder / "4090") as keeper:
        async with serving(catalog_routes(keeper, Roots.of(posts.paths("4090")))) as visitor:
            hosts = posts.hosts()
            hosts["4090"]["services"]["vault"] = {"port": visitor.site.port, "path": "/api"}
            posts.paths("nas").hosts_file.write_text(yaml.safe_dump({"hosts": hosts, "local_host": "nas"}))
            zones = Zones.of(posts.paths("nas"))
            zone = await asyncio.to_thread(zones.zone, "4090")
            assert (zone["status"], zone["asset_count"], zone["offline"], zone["last_sync"]) == (
                "online",
                1,
                False,
                None,
            )
            assert zone["disk_total_gb"] > zone["disk_free_gb"] > 0
            live = zone["live_status"]
            assert (live["status"], live["total_assets"]) == ("online", 1)
            assert live["disk"]["free_gb"] == zone["disk_free_gb"]
            listed = await asyncio.to_thread(lambda: zones.assets("4090", asset_type=None, limit=5, offset=0))
            assert (listed["zone_id"], [each["asset_id"] for each in listed["assets"]]) == ("4090", ["config_hosts"])


async def test_a_registry_that_cannot_be_read_here_is_not_written(trainer: Zones, second: RealmPaths) -> None:
    """What a newer trainer sent left a file with which every verb failed, and `hosts.json` was not seen."""

    async def hosts(request: web.Request) -> web.StreamResponse:
        return web.json_response({**trainer.registry().summary(), "of_a_newer_version": 1})

    async with serving([web.get("/api/hosts", hosts)], held_to_models=False) as visitor:
        with pytest.raises(InvalidInput, match="It cannot be used here: the registry of http"):
            await joined(visitor, second)
    assert not second.base.exists()
    second.configs.mkdir(parents=True)
    as_json = second.hosts_file.with_suffix(".json")
    as_json.write_text("{}")
    async with serving(zone_routes(trainer), access=Access(TOKEN)) as visitor:
        with pytest.raises(Conflict, match=r"hosts\.json is there already"):
            await joined(visitor, second)
    assert list(second.configs.iterdir()) == [as_json]

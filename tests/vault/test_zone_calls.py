"""Answers of other hosts: however long or slow they are, they are nobody's trouble here, and odd ones spoil nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from core.errors import Conflict, Unavailable
from core.hosts import get_registry
from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.waiting import PATIENCE_SECONDS
from vault import zone_calls
from vault.zone_calls import answer_of
from vault.zones import Zones

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[Visitor]:
    async with serving([web.get("/status", handler)], held_to_models=False) as visitor:
        yield visitor


def zones_with(folder: Path, port: int) -> Zones:
    paths = RealmPaths(folder)
    paths.configs.mkdir(parents=True)
    hosts = {"nas": {"name": "nas", "host": "127.0.0.1", "role": "storage", "services": {"branch": port}}}
    paths.hosts_file.write_text(yaml.safe_dump({"hosts": hosts}))
    return Zones(lambda: get_registry(paths, {}), lambda: None, probe_seconds=1.0)


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def dribbling(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.05)


async def packed(request: web.Request) -> web.StreamResponse:
    body = gzip.compress(b" " * 50_000_000)
    return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


async def test_an_answer_without_an_end_is_read_no_further_than_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 GB of it came into the memory of the control process before anybody looked at its length."""
    monkeypatch.setattr(zone_calls, "ANSWER_BYTES", 1 << 20)
    for handler in (endless, packed):
        async with answering(handler) as visitor:
            told = await asyncio.to_thread(answer_of, "GET", visitor.site.url, "/status", None, 5.0)
            assert told == (200, None)


async def test_a_byte_now_and_then_is_no_answer() -> None:
    """The time was measured from byte to byte, so nothing ever ended."""
    async with answering(dribbling) as visitor:
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="does not answer"):
            await asyncio.to_thread(answer_of, "GET", visitor.site.url, "/status", None, 0.2)
        assert time.monotonic() - begun < PATIENCE_SECONDS, "it goes on for ever"


@pytest.mark.parametrize(
    "catalog",
    [
        {"total_assets": "many", "total_size_gb": 1.0},
        {"total_assets": -1, "total_size_gb": 1.0},
        {"total_assets": 1, "total_size_gb": [1]},
        [],
        {},
    ],
)
async def test_a_zone_that_tells_odd_numbers_is_degraded_and_the_others_are_not(tmp_path: Path, catalog: Any) -> None:
    """One of them made `/api/zones` fail for all."""

    async def odd(request: web.Request) -> web.StreamResponse:
        return web.Response(text=json.dumps({"catalog": catalog, "disk": {}}), content_type="application/json")

    async with answering(odd) as visitor:
        overview = await asyncio.to_thread(zones_with(tmp_path, visitor.site.port).overview)
        assert [zone["status"] for zone in overview["zones"]] == ["degraded"]
        assert overview["total_assets"] == 0


async def test_what_is_no_json_object_is_no_answer_of_a_zone(tmp_path: Path) -> None:
    async def a_list(request: web.Request) -> web.StreamResponse:
        return web.Response(text="[1]")

    async with answering(a_list) as visitor:
        zones = zones_with(tmp_path, visitor.site.port)
        with pytest.raises(Conflict, match="does not answer like a vault"):
            await asyncio.to_thread(zones._calls.get, zones.registry(), visitor.site.url, "/status")

"""`/metrics` over a real socket: Prometheus' own parser reads it, requests are counted, what is unknown is absent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from core.errors import NotFound, Unavailable
from core.http.metrics import Meters, Reading
from tests.serving import Visitor, serving

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def miss(request: web.Request) -> web.Response:
    raise NotFound("No.")


async def stumble(request: web.Request) -> web.Response:
    raise RuntimeError("secret")


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    return response


ROUTES = [
    web.get("/hello/{name}", hello),
    web.get("/miss", miss),
    web.get("/stumble", stumble),
    web.get("/stream", stream),
]


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((name, frozenset(labels.items())))


async def metrics(visitor: Visitor) -> str:
    answer = await visitor.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return answer.text


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    meters = Meters(version="1.2.3", with_process=True)
    async with serving(ROUTES, service="tavern", meters=meters) as visitor:
        yield visitor


async def test_requests_are_counted_by_route_method_and_status(visitor: Visitor) -> None:
    for path in ("/hello/a", "/hello/b", "/miss", "/stumble", "/nowhere/1", "/nowhere/2"):
        await visitor.get(path)
    await visitor.ask("PROPFIND", "/nowhere/3")
    await visitor.get("/hello/c", headers={"Host": "evil.example"})
    text = await metrics(visitor)
    for route, method, status, count in (
        ("/hello/{name}", "GET", "200", 2),
        ("/hello/{name}", "GET", "403", 1),
        ("/miss", "GET", "404", 1),
        ("/stumble", "GET", "500", 1),
        ("unmatched", "GET", "404", 2),
        ("unmatched", "other", "404", 1),
    ):
        labels = {"site": "tavern", "route": route, "method": method}
        assert value(text, "realm_http_requests_total", **labels, status=status) == count, (route, status)
    labels = {"site": "tavern", "route": "/hello/{name}", "method": "GET"}
    assert value(text, "realm_http_request_duration_seconds_count", **labels) == 3
    assert value(text, "realm_http_request_duration_seconds_bucket", **labels, le="+Inf") == 3


async def test_a_stream_is_counted_but_not_timed(visitor: Visitor) -> None:
    await visitor.get("/stream")
    text = await metrics(visitor)
    labels = {"site": "tavern", "route": "/stream", "method": "GET"}
    assert value(text, "realm_http_requests_total", **labels, status="200") == 1
    assert value(text, "realm_http_request_duration_seconds_count", **labels) is None


async def test_the_process_and_the_build_are_told(visitor: Visitor) -> None:
    text = await metrics(visitor)
    assert (value(text, "process_resident_memory_bytes") or 0) > 1e6
    assert re.search(r'^realm_build_info\{python="3\.11\.[0-9]+",version="1\.2\.3"\} 1\.0$', text, re.MULTILINE)
    assert "_created" not in text


async def text_of(*readings: Reading) -> str:
    return (await Meters(readings).text()).decode()


async def test_what_is_unknown_is_absent_and_never_0() -> None:
    """Law 7: unknown is null, never 0."""
    text = await text_of(
        Reading("realm_a", "Unknown.", lambda: None),
        Reading("realm_b", "A true zero.", lambda: 0),
        Reading("realm_c_total", "By kind.", lambda: {"x": 2, "y": None}, kind="counter", label="kind"),
        Reading("realm_d", "No disk.", lambda: None, seconds=0.0),
    )
    assert value(text, "realm_b") == 0
    assert value(text, "realm_c_total", kind="x") == 2
    for absent in ("realm_a", "realm_d", 'kind="y"'):
        assert absent not in text


async def test_a_reading_that_fails_leaves_the_others_alone() -> None:
    def fail() -> float:
        raise OSError(5, "Input/output error")

    def be_away() -> float:
        raise Unavailable("The daemon is away.")

    text = await text_of(
        Reading("realm_a", "A broken disk.", fail, seconds=0.0),
        Reading("realm_b", "Away.", be_away, seconds=0.0),
        Reading("realm_c", "Well.", lambda: 1, seconds=0.0),
    )
    assert (value(text, "realm_a"), value(text, "realm_b"), value(text, "realm_c")) == (None, None, 1)


async def test_folders_are_not_read_again_for_every_scrape() -> None:
    """F20: a page once walked every checkpoint directory each time it was asked for."""
    read: list[str] = []

    def count(name: str) -> float:
        read.append(name)
        return len(read)

    meters = Meters(
        [
            Reading("realm_slow", "Folders.", lambda: count("slow"), seconds=60.0),
            Reading("realm_quick", "The system.", lambda: count("quick"), seconds=0.0),
        ]
    )
    await asyncio.gather(*(meters.text() for _ in range(3)))
    assert (read.count("slow"), read.count("quick")) == (1, 3)


async def test_no_series_is_told_by_two_sites_of_one_process() -> None:
    """Whoever scrapes all sites of a realm and adds up would count such a series twice."""
    reading = Reading("realm_a", "Of the vault.", lambda: 1)
    vault_meters = Meters([reading], with_process=True)
    async with (
        serving(ROUTES, service="tavern", meters=Meters()) as tavern,
        serving(ROUTES, service="vault", meters=vault_meters) as vault,
    ):
        for visitor in (tavern, vault):
            await visitor.get("/hello/a")
            await visitor.get("/metrics")
        told = [samples(await metrics(visitor)).keys() for visitor in (tavern, vault)]
    assert {name for name, _ in told[0] & told[1]} == {"realm_build_info"}
    assert ("realm_a", frozenset()) in told[1]

"""The shared application and site over real sockets: guards, error shape, JSON, start and stop."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.http.answers import json_response, json_text
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs
from core.http.limits import MAX_BODY_BYTES
from core.http.site import Site, make_app
from tests.serving import serving


async def hello(request: web.Request) -> web.Response:
    return json_response({"hello": "world"})


class Person(Inputs):
    name: str | None = None
    age: int | None = None


async def echo(body: Person) -> dict[str, Any]:
    return body.model_dump()


async def stumble(request: web.Request) -> web.Response:
    raise RuntimeError("secret detail of the code")


async def miss(request: web.Request) -> web.Response:
    raise NotFound("No such quest.", hint="List them first.", quest="x")


async def be_away(request: web.Request) -> web.Response:
    raise Unavailable("The daemon is away.")


async def move(request: web.Request) -> web.Response:
    raise web.HTTPFound("/hello")


ROUTES = [
    web.get("/hello", hello),
    Endpoint("POST", "/echo", echo, "Say it again.", tag="test"),
    web.get("/stumble", stumble),
    web.get("/miss", miss),
    web.get("/away", be_away),
    web.get("/move", move),
]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/miss", 404, "not_found"),
        ("GET", "/away", 503, "unavailable"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/../../etc/passwd", 404, "not_found"),
        ("POST", "/hello", 405, "method_not_allowed"),
        ("GET", "/stumble", 500, "internal"),
    ],
)
async def test_every_error_has_one_shape(method: str, path: str, status: int, code: str) -> None:
    async with serving(ROUTES) as visitor:
        answer = await visitor.ask(method, path)
    assert (answer.status, answer.body["error"]) == (status, code)
    assert set(answer.body) == {"error", "message", "details"}
    assert answer.body["message"].endswith(".")
    assert "Traceback" not in answer.text
    assert "secret detail" not in answer.text


async def test_an_expected_error_carries_its_hint_and_details() -> None:
    async with serving(ROUTES) as visitor:
        answer = await visitor.get("/miss")
    assert answer.body == {
        "error": "not_found",
        "message": "No such quest. List them first.",
        "details": {"quest": "x"},
    }


async def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with serving(ROUTES) as visitor:
            await visitor.get("/stumble")
    (record,) = [record for record in caplog.records if getattr(record, "event", "") == "http_handler_failed"]
    assert "secret detail" in str(record.exc_info)


async def test_a_refused_method_names_the_allowed_ones_and_redirects_pass() -> None:
    async with serving(ROUTES) as visitor:
        assert (await visitor.ask("DELETE", "/hello")).headers["Allow"] == "GET,HEAD"
        assert (await visitor.get("/move", allow_redirects=False)).status == 302


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8888", "LocalHost:1", "[::1]:8888"])
async def test_loopback_hosts_are_served(host: str) -> None:
    async with serving(ROUTES) as visitor:
        assert (await visitor.get("/hello", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8888", "localhost.evil", "0.0.0.0", "", "localhost:x"],
)
async def test_a_rebound_name_is_refused(host: str) -> None:
    """DNS rebinding: a page whose name was pointed at 127.0.0.1 still sends its own name as Host."""
    async with serving(ROUTES) as visitor:
        for path in ("/hello", "/health", "/nowhere"):
            answer = await visitor.get(path, headers={"Host": host})
            assert (answer.status, answer.body["error"]) == (403, "forbidden")


async def test_a_request_without_host_is_refused() -> None:
    async with serving(ROUTES) as visitor:
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.site.port)
        writer.write(b"GET /hello HTTP/1.0\r\n\r\n")
        assert b" 403 " in await reader.readline()
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://localhost:9",
        "http://127.0.0.1",
        "https://127.0.0.1:8888",
        "http://localhost:8888.evil.example",
        "http://localhost:99999999",
        "file://",
    ],
)
async def test_a_post_from_a_foreign_page_is_refused(origin: str) -> None:
    """CSRF: the realm is changed by our own pages and by local programs only."""
    async with serving(ROUTES, own_ports=lambda: [8888]) as visitor:
        answer = await visitor.post("/echo", {"name": "x"}, headers={"Origin": origin})
    assert (answer.status, answer.body["error"]) == (403, "forbidden")


async def test_a_post_from_our_pages_and_from_programs_is_taken() -> None:
    """A program sends no Origin; through an SSH tunnel Origin and Host agree on a port that is not ours."""
    async with serving(ROUTES, own_ports=lambda: [8888]) as visitor:
        for headers in (
            {},
            {"Origin": "http://localhost:8888"},
            {"Origin": visitor.site.url},
            {"Origin": "http://localhost:9999", "Host": "localhost:9999"},
        ):
            assert (await visitor.post("/echo", {"name": "x"}, headers=headers)).status == 200, headers


async def test_reading_needs_no_origin_of_ours() -> None:
    async with serving(ROUTES) as visitor:
        answer = await visitor.get("/hello", headers={"Origin": "https://evil.example"})
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/hello", "/miss", "/stumble", "/nowhere", "/health"])
async def test_every_answer_carries_the_security_headers(path: str) -> None:
    async with serving(ROUTES) as visitor:
        headers = (await visitor.get(path)).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "realm"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[1]",
        b'"text"',
        b"null",
        b'{"name": NaN}',
        b'{"name": "x", "extra": 1}',
        b'{"name": "\xff"}',
        b'{"name": "x", "name": "y"}',
        '{"name": "x"}'.encode("utf-8-sig"),
        '{"name": "x"}'.encode("utf-16"),
        rb'{"name": "\ud800"}',
        b'{"age": ' + b"9" * 5000 + b"}",
        b"[" * 200_000,
        b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}",
    ],
)
async def test_a_bad_body_is_a_plain_error(body: bytes) -> None:
    async with serving(ROUTES) as visitor:
        answer = await visitor.ask("POST", "/echo", data=body)
    assert (answer.status, answer.body["error"]) == (400, "invalid_input")
    assert "age, name" in answer.body["message"]
    assert "Traceback" not in answer.text


async def test_a_body_over_the_limit_is_refused() -> None:
    async with serving(ROUTES) as visitor:
        fits = json.dumps({"name": "x" * (MAX_BODY_BYTES - 100)}).encode()
        assert (await visitor.ask("POST", "/echo", data=io.BytesIO(fits))).status == 200
        answer = await visitor.ask("POST", "/echo", data=io.BytesIO(b" " * MAX_BODY_BYTES + b"{}"))
    assert (answer.status, answer.body["error"]) == (413, "request_entity_too_large")


def test_json_never_holds_nan_or_infinity() -> None:
    """F23: browsers cannot read them."""
    data = {"a": float("nan"), "b": [1.5, float("inf"), {"c": (float("-inf"), "NaN")}]}
    assert json.loads(json_text(data)) == {"a": None, "b": [1.5, None, {"c": [None, "NaN"]}]}


def test_json_survives_a_file_name_that_is_not_unicode() -> None:
    name = os.fsdecode(b"quest-\xff.jsonl")
    assert json.loads(json_text({"file": name}).encode("utf-8")) == {"file": name}


async def test_health_says_who_answers_and_turns_red() -> None:
    state = {"status": "healthy", "hero": "seedling"}
    async with serving(ROUTES, service="vault_keeper", health=lambda: state) as visitor:
        answer = await visitor.get("/health")
        assert answer.status == 200
        assert {"status": "healthy", "service": "vault_keeper", "hero": "seedling"}.items() <= answer.body.items()
        assert answer.body["timestamp"].endswith("+00:00")
        state["status"] = "starting"
        assert [(await visitor.get(path)).status for path in ("/health", "/readyz", "/healthz")] == [503, 503, 200]


async def test_a_busy_port_names_its_holder_and_the_way_out() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        site = Site(make_app(ROUTES, service="test", health=dict), "localhost", port, "tavern")
        with pytest.raises(Conflict) as caught:
            await site.start()
    assert f"Port {port} of the tavern is taken by pid {os.getpid()}" in str(caught.value)
    assert "--ports auto" in str(caught.value)
    await site.stop()


async def test_an_address_that_is_not_ours_is_a_plain_error() -> None:
    site = Site(make_app(ROUTES, service="test", health=dict), "192.0.2.1", 0, "tavern")
    with pytest.raises(RealmError, match=r"tavern cannot listen on http://192\.0\.2\.1"):
        await site.start()


async def test_a_stopped_site_gives_its_port_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.http.site.STOP_SECONDS", 60.0)
    site = Site(make_app(ROUTES, service="test", health=dict), "127.0.0.1", 0, "test")
    await site.start()
    port = site.port
    async with aiohttp.ClientSession() as session:
        # The connection stays open (keep-alive) and must hold up neither the stop nor the next start.
        async with session.get(f"{site.url}/hello") as response:
            assert await response.json() == {"hello": "world"}
        async with asyncio.timeout(30.0):
            await site.stop()
    again = Site(make_app(ROUTES, service="test", health=dict), "127.0.0.1", port, "test")
    await again.start()
    await again.stop()


async def test_a_request_that_never_ends_does_not_hold_up_the_stop() -> None:
    started = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    site = Site(make_app([web.get("/hang", hang)], service="test", health=dict), "127.0.0.1", 0, "test")
    await site.start()
    async with aiohttp.ClientSession() as session:
        request = asyncio.create_task(session.get(f"{site.url}/hang"))
        await asyncio.wait_for(started.wait(), 30)
        async with asyncio.timeout(30.0):
            await site.stop()
        with pytest.raises(aiohttp.ClientError):
            await request


async def test_stopping_closes_what_was_named_and_a_site_that_never_started_stops_too() -> None:
    closed: list[str] = []

    async def close() -> None:
        closed.append("hub")

    site = Site(make_app(ROUTES, service="test", health=dict, closing=[close]), "127.0.0.1", 0, "test")
    await site.stop()
    assert closed == []
    await site.start()
    await site.stop()
    assert closed == ["hub"]

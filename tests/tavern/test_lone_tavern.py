"""The Tavern alone: pages of its own, everything else from one realm elsewhere, streams as they come."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from core.errors import InvalidInput
from core.http import upstream as upstream_module
from core.http.answers import json_response
from core.http.limits import Limits
from core.http.upstream import Upstream, checked_url
from core.paths import CHECKOUT, RealmPaths
from tavern.server import House, lone_site
from tests.serving import Visitor, serving
from tests.tavern.scripted_realm import ScriptedRealm
from tests.waiting import PATIENCE_SECONDS, wait_until_async

TOKEN = "the-token-of-the-realm"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}


@asynccontextmanager
async def tavern_of(
    url: str, folder: Path, *, token: str | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Visitor]:
    """A lone tavern in front of `url`, which shows it `token`."""
    upstream = Upstream(url, lambda: token)
    site = lone_site(House(RealmPaths(folder), url, host, 0), upstream)
    async with upstream.open(), aiohttp.ClientSession() as session:
        await site.start()
        try:
            yield Visitor(site, session)
        finally:
            await site.stop()


async def test_pages_are_its_own_and_all_else_is_the_realm_s(tmp_path: Path) -> None:
    realm = await ScriptedRealm(tmp_path).start()
    try:
        async with tavern_of(realm.site.url, tmp_path) as visitor:
            assert "<title>" in (await visitor.get("/")).text
            assert (await visitor.get("/static/tavern.css")).status == 200
            assert (await visitor.get("/health")).body["service"] == "tavern"
            assert (await visitor.get("/api/game")).body["hero"]["id"] == "seedling"
            done = await visitor.post("/api/daemon/control", {"action": "pause", "reason": "dinner"})
            assert (done.status, realm.wishes) == (200, [("pause", "dinner")])
            # F16: what the realm refuses arrives as the realm said it.
            refused = await visitor.post("/api/daemon/control", {"action": "save"})
            assert (refused.status, refused.body["error"]) == (409, "conflict")
            assert (await visitor.get("/api/nothing")).body["error"] == "not_found"
            assert (await visitor.get("/docs/sites")).status == 200
    finally:
        await realm.stop()


async def test_while_the_realm_is_away_pages_load_and_the_rest_says_so(tmp_path: Path) -> None:
    realm = await ScriptedRealm(tmp_path).start()
    url = realm.site.url
    await realm.stop()
    async with tavern_of(url, tmp_path) as visitor:
        assert (await visitor.get("/")).status == 200
        away = await visitor.get("/api/game")
        assert (away.status, away.body["error"]) == (503, "unavailable")
        assert f"Nothing answers at {url}" in away.body["message"]
        assert away.headers["Retry-After"] == "5"
        assert (await visitor.get("/health")).status == 200
        realm = await ScriptedRealm(tmp_path, port=realm.site.port).start()
        try:
            assert (await visitor.get("/api/game")).status == 200
        finally:
            await realm.stop()


async def test_events_come_through_at_once_and_are_replayed_for_many_viewers(tmp_path: Path) -> None:
    realm = await ScriptedRealm(tmp_path).start()
    try:
        async with tavern_of(realm.site.url, tmp_path) as visitor:
            newest = realm.saga.latest_events(1)[0].id
            streams = [
                await visitor.session.get(
                    f"{visitor.site.url}/api/events/stream", headers={"Last-Event-ID": str(newest - 1)}
                )
                for _ in range(30)
            ]
            assert all(stream.content_type == "text/event-stream" for stream in streams)
            for stream in streams:
                assert f"id: {newest}\n".encode() in await _until(stream, b'"id":%d' % newest)
            realm.tell("level_mastered", "Level 2")
            for stream in streams:
                assert b"level_mastered" in await _until(stream, b"Level 2")
            realm.show_state("paused")
            assert b"event: progress" in await _until(streams[0], b'"paused"')
            for stream in streams:
                stream.close()
            # Who has left is noticed with the next words for him.
            await wait_until_async(
                lambda: realm.tell("nobody", "hears this") or realm.hub.viewers == 0,  # type: ignore[func-returns-value]
                message="viewers who left are still served",
            )
    finally:
        await realm.stop()


async def _until(stream: aiohttp.ClientResponse, wanted: bytes) -> bytes:
    heard = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while wanted not in heard:
            heard += await stream.content.readany()
    return heard


class Listener:
    """An upstream that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.gate = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.bodies.append(await request.read())
        match request.path:
            case "/html":
                return web.Response(status=502, text="<h1>Bad gateway</h1>", content_type="text/html")
            case "/slow":
                await self.gate.wait()
            case "/elsewhere":
                return web.Response(status=302, headers={"Location": "http://evil.example/"})
            case "/half":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"only this")
                assert request.transport is not None
                request.transport.abort()
                return response
        response = json_response({"path": request.raw_path})
        response.headers.update({"Set-Cookie": "a=b", "Connection": "X-Secret", "X-Secret": "1", "ETag": '"7"'})
        return response


@asynccontextmanager
async def listening(
    folder: Path, client_max_size: int = 1 << 20, **options: Any
) -> AsyncIterator[tuple[Listener, Visitor]]:
    listener = Listener()
    routes = [web.route("*", "/{path:.*}", listener.answer)]
    async with (
        serving(routes, held_to_models=False, limits=Limits(body_bytes=client_max_size)) as upstream,
        tavern_of(upstream.site.url, folder, **options) as visitor,
    ):
        yield listener, visitor


async def test_nothing_of_the_caller_but_the_question_reaches_the_realm(tmp_path: Path) -> None:
    """Cookies and tokens of the tavern are none of the realm's business, and headers of one connection end there."""
    async with listening(tmp_path, token=TOKEN) as (listener, visitor):
        sent = {
            "Cookie": "realm_session_8888=secret", "Authorization": "Bearer of-the-caller", "Origin": visitor.site.url,
            "Referer": visitor.site.url, "X-Forwarded-For": "1.2.3.4", "Sec-Fetch-Site": "same-origin",
            "Connection": "keep-alive, X-Between", "X-Between": "1", "Last-Event-ID": "7", "Accept-Language": "de",
        }  # fmt: skip
        answer = await visitor.post("/api/a%2Fb?x=1", {"a": 1}, headers=sent)
        assert answer.body == {"path": "/api/a%2Fb?x=1"}
        (asked,) = listener.asked
        assert asked.headers["Authorization"] == f"Bearer {TOKEN}"
        assert not {"Cookie", "Origin", "Referer", "X-Forwarded-For", "Sec-Fetch-Site", "X-Between"} & set(
            asked.headers
        )
        assert (asked.headers["Last-Event-ID"], asked.headers["Accept-Language"]) == ("7", "de")
        assert listener.bodies == [b'{"a": 1}']
        assert not {"Set-Cookie", "X-Secret"} & set(answer.headers)
        assert answer.headers["ETag"] == '"7"'
        assert answer.headers["Server"] == "realm"


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "/../../etc/passwd", "/%2e%2e/x", "/@evil.example", "/a//b?http://x"]
)
async def test_only_the_one_realm_is_ever_asked(tmp_path: Path, path: str) -> None:
    async with listening(tmp_path) as (listener, visitor):
        reader, writer = await asyncio.open_connection("127.0.0.1", visitor.site.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head = await reader.read()
        writer.close()
        assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 404")), head
        for asked in listener.asked:
            assert asked.host == asked.headers["Host"]
            assert "evil" not in asked.host


async def test_its_own_guards_come_first(tmp_path: Path) -> None:
    async with listening(tmp_path) as (listener, visitor):
        assert (await visitor.get("/api/x", headers={"Host": "evil.example"})).status == 403
        assert (await visitor.post("/api/x", {}, headers={"Origin": "http://evil.example"})).status == 403
        assert (await visitor.ask("POST", "/api/x", data=io.BytesIO(b"x" * ((1 << 20) + 1)))).status == 413
        assert listener.asked == []


async def test_a_file_of_any_size_is_passed_on_piece_by_piece(tmp_path: Path) -> None:
    async with listening(tmp_path, client_max_size=8 << 20) as (listener, visitor):
        rows = b"row" * (1 << 20)
        done = await visitor.ask("POST", "/api/quests/upload?name=a.jsonl", data=io.BytesIO(rows))
        assert done.status == 200, done.text
        assert listener.bodies == [rows]
        assert listener.asked[0].headers["Content-Length"] == str(len(rows))


async def test_a_file_without_a_byte_is_not_the_realm_s_fault(tmp_path: Path) -> None:
    """F16: it was told as a realm that does not answer."""
    async with listening(tmp_path) as (_, visitor):
        refused = await visitor.ask("POST", "/api/quests/upload?name=a.jsonl", data=b"")
        assert (refused.status, refused.body["error"]) == (400, "invalid_input")


async def test_long_work_is_waited_for_and_a_silent_stream_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at all rows of a large file was cut off as a realm that is away."""
    monkeypatch.setattr(upstream_module, "SILENT_SECONDS", 0.05)
    async with listening(tmp_path) as (listener, visitor):
        work = asyncio.create_task(visitor.get("/slow"))
        await wait_until_async(lambda: listener.asked)
        silent = await visitor.get("/slow", headers={"Accept": "text/event-stream"})
        assert (silent.status, silent.body["error"]) == (503, "unavailable")
        assert not work.done()
        listener.gate.set()
        assert (await work).status == 200


async def test_beyond_loopback_people_log_in_with_the_realm_s_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 8."""
    monkeypatch.setenv("REALM_TOKEN", TOKEN)
    async with listening(tmp_path, token=TOKEN, host="0.0.0.0") as (listener, visitor):
        assert (await visitor.get("/api/x")).status == 401
        page = await visitor.get("/", headers={"Accept": "text/html"})
        assert "token" in page.text
        assert listener.asked == []
        form = {"token": TOKEN}
        origin = {"Origin": visitor.site.url}
        await visitor.ask("POST", "/login", data=form, headers=origin, allow_redirects=False)
        # aiohttp keeps no cookies of bare addresses.
        assert (await visitor.get("/api/x", headers={"Authorization": f"Bearer {TOKEN}"})).status == 200
        assert not (tmp_path / ".realm.token").exists()


async def test_what_is_no_answer_of_a_realm_is_told_as_one(tmp_path: Path) -> None:
    """F16: the page reads every error as JSON."""
    async with listening(tmp_path) as (_, visitor):
        html = await visitor.get("/html")
        assert (html.status, html.body["error"]) == (502, "upstream")
        moved = await visitor.get("/elsewhere", allow_redirects=False)
        assert (moved.status, moved.body["error"]) == (502, "bad_gateway")
        with pytest.raises(aiohttp.ClientError):
            await visitor.get("/half")


async def test_a_realm_that_wants_another_token_says_what_to_do(tmp_path: Path) -> None:
    realm = await ScriptedRealm(tmp_path, token=TOKEN).start()
    shown = ["a-wrong-token-of-before"]
    try:
        upstream = Upstream(realm.site.url, lambda: shown[0])
        site = lone_site(House(RealmPaths(tmp_path), realm.site.url, port=0), upstream)
        async with upstream.open(), aiohttp.ClientSession() as session:
            await site.start()
            visitor = Visitor(site, session)
            refused = await visitor.get("/api/game", headers={"Accept": "text/html"})
            assert (refused.status, refused.body["error"]) == (502, "bad_gateway")
            assert "REALM_TOKEN" in refused.body["message"]
            shown[0] = TOKEN
            assert (await visitor.get("/api/game")).status == 200, "a token that was put in its place is seen"
            await site.stop()
    finally:
        await realm.stop()


async def test_a_tavern_that_is_told_to_ask_itself_says_so(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, visitor), tavern_of(visitor.site.url, tmp_path) as second:
        answer = await second.get("/api/x")
        assert (answer.status, answer.body["error"]) == (409, "conflict")


@pytest.mark.parametrize(
    "url", ["trainer:8888", "ftp://x", "http://", "http://u:p@h", "http://h/path", "http://h?x", "http://h:99999"]
)
def test_an_address_that_is_none_of_a_realm_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        checked_url(url)


def test_as_a_script_and_as_a_verb_it_needs_no_torch_and_opens_no_database(tmp_path: Path) -> None:
    """DESIGN section 6: the seed's command; on a host that does not train."""
    heavy = ("torch", "transformers", "accelerate", "tokenizers", "huggingface_hub", "numpy", "sqlite3", "_sqlite3")
    light = f"import sys; sys.modules.update(dict.fromkeys({heavy!r})); import realm; realm.main()"
    options = ["--api-url", "http://127.0.0.1:9", "--port", "0", "--base-dir", str(tmp_path)]
    for command in (
        [sys.executable, str(CHECKOUT / "tavern" / "server.py")],
        [sys.executable, "-c", light, "serve", "tavern"],
    ):
        with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
            assert process.stderr is not None
            told = process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, told + process.stderr.read()
            assert re.search(r"http://127\.0\.0\.1:9: http://127\.0\.0\.1:\d+", told)
    assert list(tmp_path.iterdir()) == []

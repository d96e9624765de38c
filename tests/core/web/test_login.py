"""The form, the cookie that only its own site believes, and the way out; over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.http.access import Access
from core.http.answers import json_response
from core.http.attempts import FREE_FAILURES
from core.http.endpoints import Endpoint
from core.http.login import MESSAGE_MARK, Login
from tests.serving import Answer, Visitor, serving
from tests.waiting import wait_until_async

TOKEN = "a-token-for-the-network"
PERSON = {"Accept": "text/html,application/xhtml+xml"}
"""What a browser says when somebody follows a link or sends a form."""


async def hello(request: web.Request) -> web.Response:
    return json_response({"hello": "world"})


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    await asyncio.Event().wait()
    return response


ROUTES = [
    Endpoint("GET", "/", hello, "Hello.", tag="test"),
    Endpoint("POST", "/change", hello, "Hello.", tag="test"),
    Endpoint("GET", "/stream", stream, "Hello, for ever.", tag="test", media="text/event-stream"),
    web.get("/static/style.css", hello),
]


@asynccontextmanager
async def tavern(tmp_path: Path, token: str | None = TOKEN, **options: Any) -> AsyncIterator[Visitor]:
    page = tmp_path / "login.html"
    page.write_text(f"<h1>Log in</h1>{MESSAGE_MARK}<form method='post' action='/login'></form>")
    login = Login(page, files=["/static/style.css"])
    async with serving(ROUTES, **{"access": Access(token), "login": login, **options}) as visitor:
        yield visitor


async def log_in(visitor: Visitor, token: str = TOKEN, **headers: str) -> Answer:
    headers = PERSON | {"Origin": visitor.site.url} | headers
    return await visitor.ask("POST", "/login", data={"token": token}, headers=headers, allow_redirects=False)


def cookie_of(answer: Answer) -> dict[str, str]:
    """The header that shows the cookie of a login, as a browser would send it."""
    (morsel,) = SimpleCookie(answer.headers["Set-Cookie"]).values()
    return {"Cookie": f"{morsel.key}={morsel.value}"}


async def test_a_login_gives_a_cookie_and_the_cookie_opens_the_site(tmp_path: Path) -> None:
    async with tavern(tmp_path) as visitor:
        answer = await log_in(visitor)
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        cookie = answer.headers["Set-Cookie"]
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=604800"):
            assert attribute in cookie
        assert "Secure" not in cookie
        assert TOKEN not in str(answer.headers)
        shown = cookie_of(answer)
        assert (await visitor.get("/", headers=shown)).status == 200
        assert (await visitor.get("/api/session", headers=shown)).body == {"login": True}
        assert (await visitor.get("/", headers={"Cookie": f"{shown['Cookie']}x"})).status == 401


async def test_behind_a_proxy_that_adds_tls_the_cookie_stays_on_tls(tmp_path: Path) -> None:
    async with tavern(tmp_path) as visitor:
        origin = visitor.site.url.replace("http:", "https:")
        assert "Secure" in (await log_in(visitor, Origin=origin)).headers["Set-Cookie"]


async def test_people_without_a_login_are_led_to_the_form_and_programs_are_not(tmp_path: Path) -> None:
    async with tavern(tmp_path) as visitor:
        answer = await visitor.get("/", headers=PERSON, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (303, "/login")
        assert (await visitor.get("/")).status == 401
        assert (await visitor.post("/change", {}, headers=PERSON)).status == 401
        form = await visitor.get("/login", headers=PERSON)
        assert (form.status, form.text) == (200, "<h1>Log in</h1><form method='post' action='/login'></form>")
        assert "default-src 'self'" in form.headers["Content-Security-Policy"]
        assert (await visitor.get("/static/style.css")).status == 200
        assert (await visitor.get("/static/style.css/../../")).status == 401


async def test_a_wrong_token_is_told_on_the_form_and_slowed_down(tmp_path: Path) -> None:
    async with tavern(tmp_path) as visitor:
        for _ in range(FREE_FAILURES):
            answer = await log_in(visitor, "<b>guess</b>")
            assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "That is not the token" in answer.text
            assert "guess" not in answer.text
            assert "Set-Cookie" not in answer.headers
        answer = await log_in(visitor)
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert 'role="alert">Too many wrong tokens came from this address. Try again in 1 s.' in answer.text
        # Another way in counts by itself: a forgotten script does not lock its owner out.
        assert (await visitor.get("/", headers={"Authorization": f"Bearer {TOKEN}"})).status == 200


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"token=", "application/x-www-form-urlencoded"),
        (b"token=a&token=b", "application/x-www-form-urlencoded"),
        (b"other=a", "application/x-www-form-urlencoded"),
        (b"token=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"a=1&b=2&c=3&d=4&token=5", "application/x-www-form-urlencoded"),
        (b'{"token": "x"}', "application/json"),
        (b"token=x", "text/plain"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_what_is_no_form_is_refused(tmp_path: Path, data: bytes, content_type: str) -> None:
    async with tavern(tmp_path) as visitor:
        answer = await visitor.ask("POST", "/login", data=data, headers={"Content-Type": content_type})
    assert (answer.status, answer.body["error"]) == (400, "invalid_input")


async def test_a_foreign_page_can_neither_log_in_nor_use_a_login(tmp_path: Path) -> None:
    """CSRF: SameSite keeps the cookie from other sites; the Origin holds for other ports of the same host."""
    async with tavern(tmp_path) as visitor:
        assert (await log_in(visitor, Origin="http://evil.example")).status == 403
        cookie = cookie_of(await log_in(visitor))
        for headers, status in (
            ({"Origin": visitor.site.url}, 200),
            ({"Origin": "http://127.0.0.1:9"}, 403),
            ({"Origin": "null"}, 403),
            ({}, 403),
        ):
            assert (await visitor.post("/change", {}, headers=cookie | headers)).status == status, headers


async def test_the_cookie_is_worth_nothing_on_a_site_without_a_login(tmp_path: Path) -> None:
    """Only 8888 accepts it, although browsers send it to every port of the host."""
    access = Access(TOKEN)
    async with (
        tavern(tmp_path, access=access) as visitor,
        serving(ROUTES, access=access) as vault,
        tavern(tmp_path, access=access) as other,
    ):
        cookie = cookie_of(await log_in(visitor))
        assert (await visitor.get("/", headers=cookie)).status == 200
        vault_cookie = {"Cookie": f"realm_session_{vault.site.port}={cookie['Cookie'].partition('=')[2]}"}
        for headers in (cookie, vault_cookie):
            assert (await vault.get("/", headers=headers)).status == 401
        assert (await other.get("/", headers=cookie)).status == 401, "the name of the cookie is that of one port"


async def test_logging_out_ends_the_login_and_its_open_streams(tmp_path: Path) -> None:
    async with tavern(tmp_path) as visitor:
        mine, another = cookie_of(await log_in(visitor)), cookie_of(await log_in(visitor))
        url = f"{visitor.site.url}/stream"
        async with (
            visitor.session.get(url, headers=mine) as ending,
            visitor.session.get(url, headers=another) as staying,
        ):
            assert await ending.content.readexactly(5) == await staying.content.readexactly(5) == b"begun"
            headers = mine | {"Origin": visitor.site.url}
            answer = await visitor.ask("POST", "/logout", headers=headers, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
            assert "Max-Age=0" in answer.headers["Set-Cookie"]
            await wait_until_async(lambda: ending.content.exception() is not None, message="the stream goes on")
            assert staying.content.exception() is None
        assert (await visitor.get("/", headers=mine)).status == 401
        assert (await visitor.get("/", headers=another)).status == 200


async def test_logging_in_anew_ends_the_login_before(tmp_path: Path) -> None:
    async with tavern(tmp_path) as visitor:
        first = cookie_of(await log_in(visitor))
        second = cookie_of(await log_in(visitor, **first))
        assert (await visitor.get("/", headers=first)).status == 401
        assert (await visitor.get("/login", headers=second, allow_redirects=False)).headers["Location"] == "/"


async def test_where_no_token_is_wanted_the_form_leads_to_the_page(tmp_path: Path) -> None:
    async with tavern(tmp_path, token=None) as visitor:
        for method, path in (("GET", "/login"), ("POST", "/login"), ("POST", "/logout")):
            answer = await visitor.ask(method, path, allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/"), path
        assert (await visitor.get("/api/session")).body == {"login": False}

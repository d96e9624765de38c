"""Beyond loopback every route wants the token, over real sockets: bearer, Host allow-list, Origin, wrong tokens."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from aiohttp import web

from core.http.access import Access
from core.http.answers import json_response
from core.http.attempts import FREE_FAILURES
from tests.serving import Visitor, serving

TOKEN = "a-token-for-the-network"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def hello(request: web.Request) -> web.Response:
    return json_response({"hello": "world"})


ROUTES = [web.get("/hello", hello), web.post("/change", hello)]


def guarded(host: str = "127.0.0.1", allowed_hosts: tuple[str, ...] = (), **options: Any) -> Any:
    """A site that wants the token, as one beyond loopback does."""
    return serving(ROUTES, host, access=Access(TOKEN, allowed_hosts), held_to_models=False, **options)


# --- the token ------------------------------------------------------------------------------------------------------


async def test_everything_but_health_wants_the_token() -> None:
    """Law 8."""
    async with guarded() as visitor:
        for path in ("/hello", "/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere", "/health/", "//health"):
            answer = await visitor.get(path)
            assert (answer.status, answer.body["error"]) == (401, "unauthorized"), path
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (await visitor.post("/change", {})).status == 401
        assert (await visitor.get("/health")).status == 200
        for path in ("/hello", "/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert (await visitor.get(path, headers=BEARER)).status == 200, path
        assert (await visitor.post("/change", {}, headers=BEARER)).status == 200


async def test_on_loopback_local_programs_need_none() -> None:
    async with serving(ROUTES) as visitor:
        assert (await visitor.get("/hello")).status == 200
        assert (await visitor.get("/hello", headers={"Authorization": "Bearer of-another-realm"})).status == 200


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer{TOKEN}",
        f"Bearer x {TOKEN}",
        "Bearer ünïcödé",
        "Bearer " + "x" * 8000,
    ],
)
async def test_what_is_not_the_token_opens_nothing(shown: str) -> None:
    async with guarded() as visitor:
        answer = await visitor.get("/hello", headers={"Authorization": shown})
    assert (answer.status, answer.body["error"]) == (401, "unauthorized")
    assert TOKEN not in answer.text


async def test_the_scheme_may_be_written_in_any_case_but_only_once() -> None:
    async with guarded() as visitor:
        assert (await visitor.get("/hello", headers={"Authorization": f"bearer {TOKEN}"})).status == 200
        twice = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
        assert (await visitor.get("/hello", headers=twice)).status == 401


async def test_the_token_in_a_query_is_no_token() -> None:
    """It would stand in logs and histories."""
    async with guarded() as visitor:
        assert (await visitor.get(f"/hello?token={TOKEN}&access_token={TOKEN}")).status == 401


async def test_guessing_is_slowed_down_and_says_for_how_long(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with guarded() as visitor:
            wrong = {"Authorization": "Bearer a-guess"}
            for _ in range(FREE_FAILURES):
                assert (await visitor.get("/hello", headers=wrong)).status == 401
            # From here on even the right one has to wait: an answer to it would tell the guesser.
            for headers in (wrong, BEARER):
                answer = await visitor.get("/hello", headers=headers)
                assert (answer.status, answer.body["error"]) == (429, "too_many_attempts")
                assert answer.headers["Retry-After"] == "1"
            assert (await visitor.get("/health")).status == 200
    told = [record for record in caplog.records if getattr(record, "event", "") == "wrong_token"]
    assert len(told) == FREE_FAILURES
    assert "127.0.0.1" in told[0].getMessage()
    assert not [record for record in caplog.records if TOKEN in record.getMessage() or "a-guess" in record.getMessage()]


# --- hosts and origins ----------------------------------------------------------------------------------------------


async def ask_as(visitor: Visitor, host: str, origin: str | None = None) -> int:
    headers = BEARER | {"Host": host} | ({"Origin": origin} if origin else {})
    return (await visitor.post("/change", {}, headers=headers)).status


async def test_names_that_were_allowed_are_served_and_others_are_not() -> None:
    """DNS rebinding: a name that somebody points at us is not one of ours, token or not."""
    async with guarded(allowed_hosts=("Realm.lan", "192.168.1.9")) as visitor:
        for host in ("realm.lan", "REALM.LAN:8888", "192.168.1.9:80", "localhost", "127.0.0.1:1", "[::1]:8888"):
            assert await ask_as(visitor, host) == 200, host
        for host in ("evil.example", "realm.lan.evil.example", "xrealm.lan", "192.168.1.8", "realm.lan.", "[::2]"):
            assert await ask_as(visitor, host) == 403, host


async def test_the_address_that_is_bound_is_served() -> None:
    async with guarded("127.0.0.2") as visitor:
        assert await ask_as(visitor, f"127.0.0.2:{visitor.site.port}") == 200
        assert await ask_as(visitor, "127.0.0.3") == 403


async def test_a_site_that_listens_everywhere_is_served_at_the_address_that_was_dialled() -> None:
    """The machine's own addresses may change; the one a connection came in on is one of them."""
    async with guarded("0.0.0.0") as visitor:
        assert visitor.site.url == f"http://127.0.0.1:{visitor.site.port}"
        assert await ask_as(visitor, "127.0.0.1") == 200
        there = f"http://127.0.0.7:{visitor.site.port}"
        for host, status in (("127.0.0.7", 200), ("127.0.0.8", 403), ("0.0.0.0", 403), ("evil.example", 403)):
            async with visitor.session.get(f"{there}/hello", headers=BEARER | {"Host": host}) as response:
                assert response.status == status, host


async def test_ipv6_addresses_are_compared_as_addresses() -> None:
    async with guarded("::1", allowed_hosts=("fe80::1",)) as visitor:
        assert visitor.site.url == f"http://[::1]:{visitor.site.port}"
        for host in ("[::1]", "[0:0:0:0:0:0:0:1]:80", "[FE80:0::1]"):
            assert await ask_as(visitor, host) == 200, host
        assert await ask_as(visitor, "[fe80::2]") == 403


async def test_a_page_of_an_allowed_name_may_change_the_realm_and_others_may_not() -> None:
    """CSRF; a proxy that adds TLS shows itself by the scheme alone."""
    async with guarded(allowed_hosts=("realm.lan",), own_ports=lambda: [8888]) as visitor:
        for origin in ("http://realm.lan", "https://realm.lan", "http://realm.lan:8888", "http://127.0.0.1:8888"):
            assert await ask_as(visitor, "realm.lan", origin) == 200, origin
        for origin in (
            "https://realm.lan:8888",
            "http://realm.lan:9",
            "http://evil.example",
            "null",
            "http://a@realm.lan",
        ):
            assert await ask_as(visitor, "realm.lan", origin) == 403, origin

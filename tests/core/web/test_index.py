"""`/` of a site without a page of its own, and the packing of what is large."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from aiohttp import web

from core.http.endpoints import Endpoint
from tests.serving import serving


async def answer() -> dict[str, Any]:
    return {"x": 1}


async def show_page() -> web.Response:
    return web.Response(text="a page", content_type="text/html")


def endpoint(path: str, summary: str, method: str = "GET", **more: Any) -> Endpoint:
    return Endpoint(method, path, answer, summary, tag="x", **more)


ROUTES = [endpoint("/api/x", "An <b>x</b>."), endpoint("/api/{id}", "One."), endpoint("/api/x", "Change.", "POST")]


async def test_programs_get_everything_that_is_served_as_json() -> None:
    async with serving(ROUTES, service="vault_keeper", docs_port=lambda: 8888) as visitor:
        index = (await visitor.get("/")).body
        assert index["service"] == "vault_keeper"
        assert index["docs"] == "http://127.0.0.1:8888/docs"
        listed = {(entry["method"], entry["path"]) for entry in index["endpoints"]}
        assert listed >= {("GET", "/api/x"), ("POST", "/api/x"), ("GET", "/health"), ("GET", "/openapi.json")}
        for method, path in listed:
            if method == "GET" and "{" not in path:
                assert (await visitor.get(path)).status == 200, path


async def test_browsers_get_a_page_whose_text_is_never_markup() -> None:
    async with serving(ROUTES, docs_port=lambda: 8888, held_to_models=False) as visitor:
        page = await visitor.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Vary"] == "Accept"
    assert "<b>" not in page.text
    assert "An &lt;b&gt;x&lt;/b&gt;." in page.text
    for link in ('href="http://127.0.0.1:8888/docs"', 'href="/openapi.json"', 'href="/health"', 'href="/api/x"'):
        assert page.text.count(link) == 1, link
    assert 'href="/api/{id}"' not in page.text


async def test_a_site_with_a_page_of_its_own_has_no_index() -> None:
    page = Endpoint("GET", "/", show_page, "The page.", tag="x", media="text/html")
    async with serving([page]) as visitor:
        assert (await visitor.get("/")).text == "a page"


async def large() -> dict[str, Any]:
    return {"x": "y" * 10_000}


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip, deflate, br", True),
        ("gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0, br", False),
        ("br", False),
        ("", False),
    ],
)
async def test_a_large_answer_is_packed_for_those_who_take_it(accepted: str, packed: bool) -> None:
    routes = [Endpoint("GET", "/large", large, "Much.", tag="x"), *ROUTES]
    async with serving(routes) as visitor:
        options: dict[str, Any] = {"headers": {"Accept-Encoding": accepted}}
        url = f"{visitor.site.url}/large"
        async with visitor.session.get(url, auto_decompress=False, **options) as response:
            body = await response.read()
        small = await visitor.get("/api/x", **options)
    assert response.headers["Vary"] == "Accept-Encoding"
    assert (response.headers.get("Content-Encoding") == "gzip") == packed
    assert int(response.headers["Content-Length"]) == len(body)
    assert json.loads(gzip.decompress(body) if packed else body) == await large()
    assert "Content-Encoding" not in small.headers

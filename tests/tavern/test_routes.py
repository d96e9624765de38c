"""Port 8888 over a real socket: the page, its files, its snapshot, its control."""

from __future__ import annotations

import re

import aiohttp
import pytest
from yarl import URL

from tavern.pages import STATIC
from tests.tavern.scripted_realm import ScriptedRealm
from tests.tavern.test_static import own_scripts

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_every_file_that_a_page_names_is_served_with_its_type(realm: ScriptedRealm) -> None:
    """F10, F22: no dead link, no file that the browser refuses for its type, and none that nobody asks for."""
    types = {".css": "text/css", ".js": "application/javascript", ".svg": "image/svg+xml"}
    async with aiohttp.ClientSession(realm.site.url) as session:
        for path in ("/", "/game", "/game.html", "/docs"):
            async with session.get(path) as response:
                assert (response.status, response.content_type) == (200, "text/html")
                assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
        named = set()
        for page in STATIC.glob("*.html"):
            named |= set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.read_text(encoding="utf-8")))
        for script in own_scripts():
            for name in re.findall(r'(?:from|import\() ?"(\.[^"]+)"', script.read_text(encoding="utf-8")):
                named.add(f"/static/{(script.parent / name).resolve().relative_to(STATIC)}")
        # The script that shows a page is asked for by the name of that page.
        pages = re.findall(r'name: "(\w+)"', (STATIC / "pages.js").read_text(encoding="utf-8"))
        named |= {f"/static/pages/{page}/page.js" for page in pages}
        files = {f"/static/{file.relative_to(STATIC)}" for file in STATIC.rglob("*") if file.suffix in types}
        assert named == files
        async with session.get("/favicon.ico") as response:
            assert (response.status, response.content_type) == (200, "image/png")
            assert (await response.read()).startswith(b"\x89PNG")
        for path in named:
            async with session.get(path) as response:
                assert response.status == 200, path
                assert response.content_type == types["." + path.rsplit(".", 1)[1]]
                assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/static/", "/static/../routes.py", "/static/%2e%2e/routes.py", "/static//etc/passwd"]
)
async def test_nothing_outside_the_static_folder_is_served(realm: ScriptedRealm, path: str) -> None:
    async with aiohttp.ClientSession() as session:
        address = URL(realm.site.url + path, encoded=True)
        async with session.get(address) as response:
            assert response.status in {403, 404}
            assert set(await response.json()) == {"error", "message", "details"}


async def test_the_control_of_8888_is_that_of_8767(realm: ScriptedRealm) -> None:
    """F15: the browser talks to 8888 only."""
    async with aiohttp.ClientSession(realm.site.url) as session:
        async with session.post("/api/daemon/control", json={"action": "pause", "reason": "dinner"}) as response:
            assert (await response.json())["success"] is True
        async with session.post("/api/daemon/control", json={"action": "dance"}) as response:
            assert response.status == 400
    assert realm.wishes == [("pause", "dinner")]


async def test_a_snapshot_that_cannot_be_taken_is_a_plain_error(realm: ScriptedRealm) -> None:
    realm.away = True
    async with aiohttp.ClientSession(realm.site.url) as session, session.get("/api/game") as response:
        assert response.status == 503
        assert (await response.json())["message"] == "The daemon is away."

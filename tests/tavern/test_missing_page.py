"""Addresses that lead nowhere: people get a page, programs an error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from docs.make_reference import idle_realm
from tests.tavern.conftest import OpenPage
from tests.tavern.test_lone_tavern import tavern_of

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def tavern(tmp_path: Path) -> AsyncIterator[str]:
    with idle_realm(tmp_path) as (_, sites):
        site = next(site for site in sites if site.name == "tavern")
        await site.start()
        yield site.url
        await site.stop()


async def test_a_mistyped_address_leads_back_to_the_pages(tavern: str, open_page: OpenPage) -> None:
    """F22: it showed `{"error": "not_found"}` in place of a page."""
    page = await open_page(f"{tavern}/quest")
    await expect(page.locator("#content")).to_have_text("There is no such page.")
    await page.locator("nav a[href='/quests']").click()
    await expect(page.locator(".lane-column").first).to_be_visible()


async def test_programs_are_told_in_json(tavern: str) -> None:
    async with aiohttp.ClientSession(tavern) as http:
        for headers, media in (({}, "application/json"), ({"Accept": "text/html,*/*;q=0.8"}, "text/html")):
            async with http.get("/quest", headers=headers) as answer:
                assert (answer.status, answer.content_type) == (404, media)
        async with http.post("/quest", headers={"Accept": "text/html"}) as answer:
            assert (answer.status, (await answer.json())["error"]) == (404, "not_found")
        async with http.get("/static/none.js", headers={"Accept": "*/*"}) as answer:
            assert (answer.status, answer.content_type) == (404, "application/json")


async def test_what_is_not_there_is_not_there_for_whoever_has_seen_it_before(tavern: str) -> None:
    """The page was told like a file: a mistyped address answered 304, 206 and 412."""
    conditions = ({"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}, {"If-None-Match": "*"},
                  {"Range": "bytes=0-9"}, {"If-Match": '"x"'})  # fmt: skip
    async with aiohttp.ClientSession(tavern) as http:
        for asked in conditions:
            async with http.get("/quest", headers={**BROWSER, **asked}) as answer:
                assert (answer.status, answer.content_type) == (404, "text/html"), asked
                assert (await answer.text()).endswith("</html>\n")
                assert answer.headers["Cache-Control"] == "no-store"
        async with http.head("/quest", headers=BROWSER) as answer:
            assert (answer.status, answer.content_type) == (404, "text/html")


async def test_no_page_is_shown_to_who_may_not_enter(tavern: str, tmp_path: Path) -> None:
    """A path longer than any disk holds was answered before anybody looked at who asks."""
    too_long = f"/{'a' * 300}"
    async with aiohttp.ClientSession(tavern) as http:
        for name, expected in (("evil.example", 403), ("localhost", 404)):
            async with http.get(too_long, headers={**BROWSER, "Host": name}) as answer:
                assert answer.status == expected
    async with tavern_of(tavern, tmp_path, host="0.0.0.0") as visitor:
        for path in ("/quest", "/static/none.js", too_long):
            sent_away = await visitor.get(path, headers=BROWSER, allow_redirects=False)
            assert (sent_away.status, sent_away.headers["Location"]) == (303, "/login")
            assert (await visitor.get(path)).status == 401


async def test_a_lone_tavern_shows_the_page_too(tavern: str, tmp_path: Path) -> None:
    """F16, F22: it said that the realm has no readable message, as the realm's own page is no JSON."""
    async with tavern_of(tavern, tmp_path / "lone") as visitor:
        for path in ("/quest", "/static/none.js"):
            shown = await visitor.get(path, headers=BROWSER)
            assert (shown.status, shown.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
            told = await visitor.get(path)
            assert (told.status, told.body["error"]) == (404, "not_found")

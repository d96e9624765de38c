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

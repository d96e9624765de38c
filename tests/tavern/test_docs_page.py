"""`/docs`: the vendored API browser in a real Chromium, under our own content security policy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import expect

from core.http.guards import CONTENT_SECURITY_POLICY
from docs.make_reference import idle_realm
from tests.idle_realm import furnish
from tests.tavern.conftest import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def tavern(tmp_path: Path) -> AsyncIterator[str]:
    """Address of the tavern of a whole realm."""
    with idle_realm(tmp_path) as (daemon, sites):
        await furnish(daemon)
        for site in sites:
            await site.start()
        yield next(site.url for site in sites if site.name == "tavern")
        for site in sites:
            await site.stop()


async def test_all_sites_are_shown_and_only_our_own_can_be_tried(tavern: str, open_page: OpenPage) -> None:
    """F15: a browser may ask 8888 only; `open_page` fails for any complaint on the console."""
    page = await open_page(f"{tavern}/docs")
    await expect(page.locator(".info .title")).to_contain_text("Realm of Training: tavern")
    await expect(page.locator("#sites a")).to_have_text(["Realm of Training", "tavern", "vault", "watchtower"])
    await expect(page.locator("#sites a[aria-current]")).to_have_text("tavern")
    await page.locator("#operations-game-get_api_events_stream .opblock-summary-control").click()
    await expect(page.locator("#operations-game-get_api_events_stream .opblock-body")).to_be_visible()
    await expect(page.locator("#operations-game-get_api_events_stream .try-out")).to_have_count(0)

    await page.get_by_role("link", name="vault", exact=True).click()
    await expect(page.locator(".info .title")).to_contain_text("Realm of Training: vault_keeper")
    await page.locator("#operations-ledger-get_api_ledger .opblock-summary-control").click()
    await expect(page.locator("#operations-ledger-get_api_ledger tr[data-param-name=limit]")).to_be_visible()
    await expect(page.locator(".try-out")).to_have_count(0)


async def test_an_operation_of_the_tavern_can_be_tried(tavern: str, open_page: OpenPage) -> None:
    page = await open_page(f"{tavern}/docs")
    block = page.locator("#operations-game-get_api_game")
    await block.locator(".opblock-summary-control").click()
    await block.locator(".try-out__btn").click()
    await block.locator(".execute").click()
    answer = block.locator(".live-responses-table .response")
    await expect(answer.locator(".response-col_status")).to_have_text("200")
    await expect(answer.locator(".response-col_description")).to_contain_text("running.jsonl")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_readable_on_a_phone_by_day_and_night(tavern: str, open_page: OpenPage, scheme: str) -> None:
    page = await open_page(f"{tavern}/docs?site=vault", width=390, height=844, color_scheme=scheme)
    await page.locator("#operations-quests-post_api_training_quests_move .opblock-summary-control").click()
    await expect(page.locator("#operations-quests-post_api_training_quests_move .opblock-body")).to_be_visible()
    overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0
    assert await page.evaluate("document.documentElement.classList.contains('dark-mode')") is (scheme == "dark")


async def test_a_site_that_is_not_there_is_said_in_words(tavern: str, open_page: OpenPage) -> None:
    page = await open_page(f"{tavern}/docs?site=nobody")
    await expect(page.get_by_role("alert")).to_have_text("There is no site 'nobody'. /docs/sites lists them.")


async def test_the_page_is_looser_than_others_for_icons_alone(tavern: str) -> None:
    """DESIGN section 8: strict CSP; Swagger UI's style sheet holds its icons as `data:`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(tavern.rpartition(":")[2]))
    writer.write(b"HEAD /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    (policy,) = re.findall(r"^Content-Security-Policy: (.*)\r$", head, re.MULTILINE)
    assert policy == f"{CONTENT_SECURITY_POLICY}; img-src 'self' data:"
    assert "unsafe" not in policy

"""The way into a realm beyond loopback, in a real Chromium: the form, the page behind it, and the way out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from core.http.attempts import FREE_FAILURES
from tests.tavern.conftest import OpenPage
from tests.tavern.scripted_realm import ScriptedRealm

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "a-token-for-the-network"


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(tmp_path: Path) -> AsyncIterator[ScriptedRealm]:
    """A scripted realm that wants its token."""
    realm = await ScriptedRealm(tmp_path, token=TOKEN).start()
    yield realm
    await realm.stop()


async def log_in(page: Page, token: str = TOKEN) -> None:
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Log in").click()


async def test_the_token_opens_the_page_and_its_stream(guarded: ScriptedRealm, open_page: OpenPage) -> None:
    """Law 8: whoever has no token sees the form and nothing else; fetches and EventSource work behind it."""
    page = await open_page(guarded.site.url)
    await expect(page).to_have_url(f"{guarded.site.url}/login")
    await expect(page.get_by_label("Token")).to_be_focused()
    await log_in(page, "<b>a guess</b>")
    await expect(page.get_by_role("alert")).to_have_text("That is not the token of this realm.")
    assert guarded.snapshots == 0
    await log_in(page)
    await expect(page).to_have_url(f"{guarded.site.url}/")
    await expect(page.locator("#state")).to_have_text("Training")
    await guarded.watched()
    guarded.strike(rows=3200, step=1239, loss=0.4)
    await expect(page.locator("#percent")).to_have_text("50 %")
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#answer")).to_have_text("pause takes effect after the present step.")
    assert guarded.wishes == [("pause", None)]
    assert await page.evaluate("document.cookie") == "", "no script may read the cookie"
    assert TOKEN not in str(await page.context.cookies())


async def test_logging_out_leads_back_to_the_form(guarded: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(guarded.site.url)
    await log_in(page)
    await guarded.watched()
    await page.get_by_role("button", name="Log out").click()
    await expect(page).to_have_url(f"{guarded.site.url}/login")
    await page.goto(f"{guarded.site.url}/game")
    await expect(page).to_have_url(f"{guarded.site.url}/login")
    assert await page.context.cookies() == []


async def test_a_page_whose_login_has_ended_goes_to_the_form_by_itself(
    guarded: ScriptedRealm, open_page: OpenPage
) -> None:
    """A restart ends all logins: the page must not stay `Away` for ever."""
    page = await open_page(guarded.site.url)
    await log_in(page)
    await guarded.watched()
    (cookie,) = await page.context.cookies()
    guarded.access.sessions.end(cookie["value"])
    await expect(page).to_have_url(f"{guarded.site.url}/login")
    await log_in(page)
    await expect(page.locator("#state")).to_have_text("Training")


async def test_the_form_works_without_scripts_and_on_a_phone(guarded: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(guarded.site.url, width=320, height=600, java_script_enabled=False)
    await log_in(page, "a guess")
    await expect(page.get_by_role("alert")).to_have_text("That is not the token of this realm.")
    for _ in range(FREE_FAILURES + 6):  # a minute's wait, which no busy machine lets pass between two clicks
        guarded.access.attempts.failed("login 127.0.0.1", time.monotonic())
    await log_in(page)
    await expect(page.get_by_role("alert")).to_contain_text("Too many wrong tokens came from this address.")
    field = await page.get_by_label("Token").bounding_box()
    assert field is not None
    assert field["x"] >= 0
    assert field["x"] + field["width"] <= 320
    other = await open_page(guarded.site.url, java_script_enabled=False)
    await expect(other.get_by_role("heading", level=1)).to_have_text("Realm of Training")
    await expect(other.get_by_role("button", name="Log in")).to_be_visible()


async def test_on_loopback_there_is_nothing_to_log_in_to(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(f"{realm.site.url}/login")
    await expect(page).to_have_url(f"{realm.site.url}/")
    await expect(page.locator("#state")).to_have_text("Training")
    await expect(page.locator("#logout")).to_be_hidden()

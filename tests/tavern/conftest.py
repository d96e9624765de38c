"""A real Chromium, started once, and pages in it that fail the test on any script error (F10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.chromium import ARGUMENTS, find_chromium
from tests.tavern.scripted_realm import ScriptedRealm
from tests.waiting import PATIENCE_SECONDS

PATIENCE_MS = 1000 * PATIENCE_SECONDS
EXPECTED_COMPLAINTS = (
    "Failed to load resource",
    "net::ERR_CONNECTION_CLOSED",
    "net::ERR_CONNECTION_REFUSED",
    "net::ERR_CONNECTION_RESET",
    "net::ERR_EMPTY_RESPONSE",
    "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
)
"""What Chromium itself says when a server goes away; everything else on the console fails the test."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; without one the test fails and says how to get it."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


OpenPage = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Browser) -> AsyncIterator[OpenPage]:
    """`await open_page(url, width=…, **context options)`; at the end no page may have had a script error."""
    contexts = []
    complaints: list[str] = []

    def complain(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(known in message.text for known in EXPECTED_COMPLAINTS):
            complaints.append(message.text)

    async def open_one(url: str, *, width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = await browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(url)
        return page

    yield open_one
    for context in contexts:
        await context.close()
    assert complaints == []


@pytest_asyncio.fixture(loop_scope="session")
async def realm(tmp_path: Path) -> AsyncIterator[ScriptedRealm]:
    """A scripted realm in the middle of a fight, listening on a free port."""
    realm = await ScriptedRealm(tmp_path).start()
    yield realm
    await realm.stop()

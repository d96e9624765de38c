"""Every page as those find it who hear it, work it by keyboard, or need contrast: axe, in a real Chromium.

Leaves pictures of all pages in `screenshots/`, for people to look at: desktop and phone, by day and by night.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from core.paths import CHECKOUT
from tavern.pages import PAGE_PATHS
from tests.tavern.looking import make_wide
from tests.tavern.vaulted_realm import vaulted_realm

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAME_AS_ANOTHER = {"/game", "/game.html", "/armory"}
GRAVE = {"serious", "critical"}
PICTURES = CHECKOUT / "screenshots"
SCREENS = {"phone": (390, 844), "desktop": (1440, 900)}
WHAT_AXE_ASKS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@dataclass(frozen=True)
class Opened:
    """One page of a realm with a past, to be led from address to address."""

    page: Page
    url: str
    parts: dict[str, str]

    async def look_at(self, path: str) -> None:
        await self.page.goto(self.url + path.format(**self.parts))
        await expect(self.page.locator("main h2").first).to_be_visible()
        await expect(self.page.locator("main .told[role=status]")).to_have_count(0)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def opened(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    async with vaulted_realm(tmp_path_factory.mktemp("accessible")) as realm:
        page = await browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
        (quest, *_) = realm.paths.lane("recently_completed").glob("*.jsonl")
        step = realm.names["last"].split("-")[1]
        yield Opened(page, realm.url, {"quest": quest.name, "id": "bin", "step": step})
        await page.close()


@pytest.mark.parametrize("path", [path for path in PAGE_PATHS if path not in SAME_AS_ANOTHER])
async def test_no_page_shuts_anybody_out(opened: Opened, path: str) -> None:
    """By day and by night, which have other colours."""
    await opened.look_at(path)
    for scheme in ("light", "dark"):
        await opened.page.emulate_media(color_scheme=scheme)
        found = await Axe().run(opened.page, options=WHAT_AXE_ASKS)
        grave = [
            (one["id"], one["help"], node["html"][:200], node["failureSummary"][:300])
            for one in found.response["violations"]
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ]
        assert grave == [], scheme
        for screen, (width, height) in SCREENS.items():
            await make_wide(opened.page, width, height)
            assert await opened.page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
            name = path.strip("/").partition("/")[0] or "battle"
            part = "-opened" if "{" in path and name == "quests" else ""
            await opened.page.screenshot(path=PICTURES / f"{name}{part}-{screen}-{scheme}.png")

"""Looking at a page whose browser others keep from the processor: at what it shows for a moment only, or late."""

from __future__ import annotations

import json

from playwright.async_api import Page

from tests.waiting import PATIENCE_SECONDS

RECORDER = """
(selectors) => {
  window.sightings = [];
  const look = () => {
    for (const selector of selectors) {
      for (const element of document.querySelectorAll(selector)) {
        const seen = `${selector} ${element.textContent.trim()}`;
        if (!window.sightings.includes(seen)) window.sightings.push(seen);
      }
    }
  };
  const all = { subtree: true, childList: true, characterData: true, attributes: true };
  new MutationObserver(look).observe(document, all);
}
"""


async def until(page: Page, expression: str) -> None:
    """Wait for it; `wait_for_function` is not let in by the page's security policy."""
    for _ in range(round(PATIENCE_SECONDS / 0.02)):
        if await page.evaluate(expression):
            return
        await page.wait_for_timeout(20)
    raise AssertionError(f"never seen: {expression}")


async def make_wide(page: Page, width: int, height: int) -> None:
    """Returns once the page is so wide: the browser answers before it is drawn anew."""
    await page.set_viewport_size({"width": width, "height": height})
    await until(page, f"innerWidth === {width}")


async def record(page: Page, *selectors: str) -> None:
    """From now on, write down what elements of these are there, however short; until the page is loaded anew."""
    await page.evaluate(RECORDER, selectors)


async def recorded(page: Page, selector: str, text: str = "") -> None:
    """Wait until one of it, with this text, has been there."""
    await until(page, f"window.sightings.includes({json.dumps(f'{selector} {text}')})")


async def nodes_drawn(page: Page, drawings: int) -> int:
    """Elements and texts in memory once `window.drawFrom` was called with 0, 1, … and garbage is collected."""
    await page.evaluate("(drawings) => { for (let at = 0; at < drawings; at++) window.drawFrom(at); }", drawings)
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    nodes: int = (await session.send("Memory.getDOMCounters"))["nodes"]
    await session.detach()
    return nodes

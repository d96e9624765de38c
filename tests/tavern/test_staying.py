"""A page that is left open for months, in a real Chromium: it goes on, and what it shows stays true."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect

from tests.tavern.conftest import OpenPage
from tests.tavern.looking import record, until
from tests.tavern.scripted_realm import ScriptedRealm, now
from tests.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="session")

OWN_STREAMS = """
window.streams = [];
window.EventSource = class extends EventSource {
  constructor(...all) { super(...all); window.streams.push(this); }
};
"""


async def show_text(page: Page, identifier: str, text: str) -> None:
    await expect(page.locator(f"#{identifier}")).to_have_text(text)


async def test_the_clock_of_the_browser_may_be_set_back(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """For as long as it had been set back by, no snapshot was asked for, and no silence noticed."""
    page = await open_page(realm.site.url)
    await realm.watched()
    for completed in (4, 5):
        realm.body["queue"].update(completed=completed)
        realm.tell("quest_completed", f"{completed} are learned.")
        await show_text(page, "lane-completed", str(completed))
        await page.evaluate("() => { const now = Date.now; Date.now = () => now() - 3_600_000; }")


async def test_a_stream_that_died_without_a_word_is_opened_anew(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F3: in a long quest nothing is told but frames, and those of a stream that is dead reach nobody."""
    page = await open_page("about:blank")
    await page.clock.install()
    await page.add_init_script(
        """
        window.opened = 0;
        window.EventSource = class extends EventSource {
          constructor(...all) { super(...all); window.opened += 1; }
          addEventListener(kind, listener) { if (window.opened > 1) super.addEventListener(kind, listener); }
        };
        """
    )

    async def answer(route: Route) -> None:
        response = await route.fetch()
        told = {**await response.json(), "last_event_id": 1000, "events": []}
        await route.fulfill(response=response, json=told)

    await page.route("**/api/game", answer, times=1)
    await page.goto(realm.site.url)
    await until(page, "window.opened === 1")
    await page.clock.fast_forward(30_000)
    await until(page, "window.opened === 2")
    await wait_until_async(lambda: realm.hub.viewers > 0, message="no page listens")
    realm.strike(rows=4800, step=1289, loss=0.398)
    await show_text(page, "percent", "75 %")
    # Ids of events have begun anew, with a database that was put back meanwhile.
    realm.tell("quest_sealed", "addition_level3.jsonl is learned.")
    await expect(page.locator("#toasts")).to_contain_text("addition_level3.jsonl is learned.")


async def test_a_page_that_could_not_be_drawn_is_tried_again(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F10: on a second screen nobody presses a key for weeks."""
    page = await open_page("about:blank")
    await page.clock.install()
    await page.add_init_script("console.error = () => {};")
    await page.goto(realm.site.url)
    await show_text(page, "percent", "45 %")
    await realm.watched()
    realm.hub.publish_progress(lambda: {"timestamp": now(), "momentum": {"moving": True}})
    await expect(page.locator("main [role=alert]")).to_contain_text("cannot be shown")
    realm.hub.publish_progress(lambda: {"timestamp": now(), "momentum": None, "realm": {"state": "paused"}})
    await show_text(page, "state", "Paused")
    await page.clock.fast_forward(31_000)
    await show_text(page, "percent", "45 %")


async def test_of_a_newer_realm_the_page_is_loaded_anew(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """Pages of a newer realm do not go together with scripts that were loaded months ago."""
    page = await open_page(realm.site.url)
    await realm.watched()
    await page.evaluate("() => { window.isOld = true; }")
    await page.locator("[data-action=skip]").click()
    await expect(page.locator("#confirm")).to_be_visible()
    realm.body["realm"]["version"] = "9.9"
    realm.tell("state_changed", "The realm is a newer one.")
    await show_text(page, "version", "Realm of Training 9.9.")
    # Not under the hands of somebody who is being asked.
    assert await page.evaluate("window.isOld")
    async with page.expect_event("load"):
        await page.keyboard.press("Escape")
        await page.get_by_role("link", name="Achievements").click()
    await expect(page).to_have_url(f"{realm.site.url}/achievements")
    await show_text(page, "version", "Realm of Training 9.9.")
    assert await page.evaluate("window.isOld === undefined")


async def test_a_question_of_a_connection_that_broke_does_not_end_the_next(
    realm: ScriptedRealm, open_page: OpenPage
) -> None:
    """F3: one that had never been answered said "away" of a realm that was heard, and let go of its stream."""
    page = await open_page("about:blank")
    await page.add_init_script(OWN_STREAMS)
    await page.goto(realm.site.url)
    await show_text(page, "percent", "45 %")
    await realm.watched()
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await page.route("**/api/game", hold, times=1)
    realm.tell("checkpoint_saved", "A checkpoint is saved.")
    await wait_until_async(lambda: len(held) == 1, message="no snapshot is asked for")
    await page.evaluate("window.streams[0].dispatchEvent(new Event('error'))")
    await until(page, "window.streams.length === 2")
    await record(page, "#state")
    await held[0].abort()
    realm.strike(rows=4800, step=1289, loss=0.398)
    await until(page, "window.streams[1].readyState === 1")
    realm.strike(rows=5440, step=1299, loss=0.39)
    await show_text(page, "percent", "85 %")
    assert await page.evaluate("window.sightings.filter((seen) => !seen.includes('Training'))") == []

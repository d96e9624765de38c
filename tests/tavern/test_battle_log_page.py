"""The battle log in a real Chromium: live, searched, filtered, and read to its beginning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from core.saga import News
from tests.tavern.conftest import OpenPage
from tests.tavern.looking import nodes_drawn, until
from tests.tavern.scripted_realm import SAMPLE
from tests.tavern.storied_realm import TALES, StoriedRealm

pytestmark = pytest.mark.asyncio(loop_scope="session")
ALL = TALES + len(SAMPLE["events"])
LONG = "w" * 10_000


@pytest_asyncio.fixture(loop_scope="session")
async def realm(tmp_path: Path) -> AsyncIterator[StoriedRealm]:
    realm = StoriedRealm.make(tmp_path, tales=TALES)
    await realm.start()
    yield realm
    await realm.stop()


async def messages(page: Page) -> list[str]:
    return await page.locator(".tale p").all_inner_texts()


async def test_what_happens_comes_to_the_head_once_and_as_text(realm: StoriedRealm, open_page: OpenPage) -> None:
    """F17, F18: a tale stands once, has a sign that is drawn, and what it says is never read as HTML."""
    page = await open_page(f"{realm.site.url}/battle-log")
    await expect(page.locator("#tales-shown")).to_have_text(f"60 of {ALL} tales")
    await expect(page).to_have_title("Battle log – Realm of Training")
    assert (await messages(page))[0] == f"tale {TALES - 1} of <b>old</b>"
    await realm.watched()
    realm.tell("hero_level_up", "Seedling <img src=x onerror=alert(1)> \u202ereaches level 2")
    realm.tell("quest_learned", LONG)
    await expect(page.locator(".tale p").first).to_have_text(LONG)
    await expect(page.locator(".tale p").nth(1)).to_contain_text("Seedling <img src=x onerror=alert(1)>")
    await expect(page.locator(".tale")).to_have_count(62)
    await expect(page.locator("#tales-shown")).to_have_text(f"62 of {ALL + 2} tales")
    assert await page.locator(".tale .tale-icon svg").count() == 62
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown = await messages(page)
    assert len(set(shown)) == len(shown)


async def test_words_and_categories_find_tales_and_stand_in_the_address(
    realm: StoriedRealm, open_page: OpenPage
) -> None:
    page = await open_page(f"{realm.site.url}/battle-log", width=390, height=844)
    await expect(page.locator(".tale")).to_have_count(60)
    trouble = page.get_by_role("button", name="Trouble")
    await expect(trouble).to_contain_text(str(TALES // 3 + 1))
    await trouble.click()
    await expect(trouble).to_have_attribute("aria-pressed", "true")
    await expect(page.locator(".tale")).to_have_count(TALES // 3 + 1)
    assert await page.locator(".tale:not([data-category=trouble])").count() == 0
    await page.get_by_label("Search the log").fill("TALE 14")
    await expect(page.locator(".tale")).to_have_count(5)
    assert await messages(page) == [f"tale {number} of <b>old</b>" for number in (149, 146, 143, 140, 14)]
    await expect(page).to_have_url(f"{realm.site.url}/battle-log?category=trouble&q=TALE+14")
    await page.reload()
    await expect(page.locator(".tale")).to_have_count(5)
    await expect(page.get_by_label("Search the log")).to_have_value("TALE 14")
    await page.get_by_label("Search the log").fill("100 % nowhere")
    await expect(page.get_by_text("Nothing in the log is like that.")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_it_goes_on_to_the_beginning(realm: StoriedRealm, open_page: OpenPage) -> None:
    """Every tale once, newest first; a tale's details are a press of a key away."""
    page = await open_page(f"{realm.site.url}/battle-log")
    await expect(page.locator(".tale")).to_have_count(60)
    details = page.locator(".tale details").first
    await details.locator("summary").focus()
    await page.keyboard.press("Enter")
    await expect(details).to_contain_text(f"q_{TALES - 1}")
    await expect(details).not_to_contain_text("nothing")
    for count in (120, ALL):
        await page.locator("#older").scroll_into_view_if_needed()
        await expect(page.locator(".tale")).to_have_count(count)
    await expect(page.get_by_text("This is where the log begins.")).to_be_visible()
    told = [
        int(each.removeprefix("tale-"))
        for each in await page.locator(".tale").evaluate_all("all => all.map(each => each.id)")
    ]
    assert told == list(range(ALL, 0, -1))
    await expect(page.locator("#tales h3")).to_have_text(["Today", "Yesterday"])


async def test_a_flood_leaves_no_hole_between_new_tales_and_old(realm: StoriedRealm, open_page: OpenPage) -> None:
    """More than a page of tales between two looks: what lies between would be missing for ever."""
    page = await open_page(f"{realm.site.url}/battle-log")
    await expect(page.locator(".tale")).to_have_count(60)
    await realm.watched()
    realm.saga.append_all([News("quest_sealed", f"flood {number}") for number in range(200)], now=datetime.now(UTC))
    await expect(page.locator(".tale p").first).to_have_text("flood 199")
    told = await page.locator(".tale").evaluate_all("all => all.map(each => Number(each.id.slice(5)))")
    assert told == list(range(told[0], told[0] - len(told), -1))
    many = await page.evaluate(
        """async () => {
            const { bounded } = await import("/static/pages/log/tales.js");
            const far = (count, ...how) => {
                const tales = [...Array(count).keys()].map((place) => ({ id: count - place }));
                const { tales: kept, next } = bounded({ tales, next: 1 }, ...how);
                return [kept.length, kept.at(-1).id, next];
            };
            return [far(700, false), far(700, true), far(3001, true), far(3001, true, 60), far(3061, true, 60)];
        }"""
    )
    # A page that was left far down grows no more either than who reads there has asked for.
    assert many == [[600, 101, 101], [700, 1, 1], [600, 2402, 2402], [3001, 1, 1], [600, 2462, 2462]]


async def test_only_new_tales_are_drawn_and_old_ones_are_freed(realm: StoriedRealm, open_page: OpenPage) -> None:
    """For each one that came, six hundred were drawn again: a tenth of a second, some times a second."""
    page = await open_page(f"{realm.site.url}/achievements")
    await page.evaluate(
        """async () => {
            const { html, render } = await import("/static/preact.js");
            const { Tale } = await import("/static/pages/log/tale.js");
            const [at, place] = ["2026-11-21T09:33:40Z", document.createElement("div")];
            const kind = { at, type: "spike", category: "battle", data: { nothing: null } };
            const make = (id) => ({ id, ...kind, message: `a_quest_with_long_name_${id}` });
            const all = [...Array(500).keys()].map(make);
            const tell = Date.prototype.toLocaleTimeString;
            window.drawn = 0;
            Date.prototype.toLocaleTimeString = function (...how) { window.drawn += 1; return tell.apply(this, how); };
            window.drawFrom = (first) => render(html`
              <ul>${all.slice(first, first + 20).map((tale) => html`<${Tale} key=${tale.id} tale=${tale} />`)}</ul>
            `, place);
        }"""
    )
    few = await nodes_drawn(page, 1)
    assert await nodes_drawn(page, 400) < few + 500
    assert await page.evaluate("window.drawn") == 20 + 399


async def test_one_question_at_a_time_also_of_a_slow_realm(realm: StoriedRealm, open_page: OpenPage) -> None:
    """They piled up, and the answer to an older one took back what came after it."""
    page = await open_page("about:blank")
    await page.clock.install()
    await page.goto(f"{realm.site.url}/battle-log")
    await expect(page.locator(".tale")).to_have_count(60)
    await realm.watched()
    await page.evaluate(
        """() => {
            const ask = fetch;
            window.held = [];
            window.fetch = (path, how) => path.startsWith("/saga?")
                ? new Promise((go) => window.held.push(() => go(ask(path, how)))) : ask(path, how);
        }"""
    )
    realm.tell("quest_sealed", "first.jsonl is learned.")
    await until(page, "window.held.length === 1")
    realm.tell("quest_sealed", "second.jsonl is learned.")
    await expect(page.locator("#toasts")).to_contain_text("second.jsonl")
    await page.clock.fast_forward(3000)
    assert await page.evaluate("window.held.length") == 1
    await page.evaluate("window.held[0]()")
    await expect(page.locator(".tale p").first).to_have_text("second.jsonl is learned.")
    await until(page, "window.held.length === 2")


async def test_today_is_yesterday_by_and_by(realm: StoriedRealm, open_page: OpenPage) -> None:
    """On a page that stays open, and of which nothing else is drawn anew."""
    page = await open_page("about:blank")
    await page.clock.install()
    await page.goto(f"{realm.site.url}/battle-log")
    await expect(page.locator("#tales h3").first).to_have_text("Today")
    await page.clock.fast_forward("24:00:00")
    await expect(page.locator("#tales h3").first).to_have_text("Yesterday")

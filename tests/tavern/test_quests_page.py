"""The quest board, uploads and the Inspector in a real Chromium, against a whole realm that does not train."""

from __future__ import annotations

import asyncio
import json
import re
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Locator, Page, Route, expect

from arena.daemon import Daemon
from arena.protocol import StepPoint
from core.http.site import Site
from core.settings import BudgetSettings
from docs.make_reference import idle_realm
from tests.arena.gatekeepers.scroll_making import chat, lines
from tests.arena.quest_makers import NOW, admit, drop, take
from tests.tavern.conftest import OpenPage
from tests.waiting import PATIENCE_SECONDS, wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror=alert(1)>.jsonl"


class Realm:
    """A realm with its tavern open."""

    def __init__(self, daemon: Daemon, site: Site) -> None:
        self.daemon = daemon
        self.board = daemon.board
        self.site = site

    def lane_of(self, name: str) -> str | None:
        quest = self.board.find(name)
        return quest.lane if quest is not None else None

    def quest(self, name: str, *rows: Any, priority: str = "normal") -> str:
        data = lines(*rows).decode().removesuffix("\n")
        return admit(self.board, drop(self.daemon.paths, name, data), priority).quest_id


@pytest_asyncio.fixture(loop_scope="session")
async def realm(tmp_path: Path) -> AsyncIterator[Realm]:
    with idle_realm(tmp_path) as (daemon, sites):
        daemon.report.state = "idle"
        await sites[0].start()
        try:
            yield Realm(daemon, sites[0])
        finally:
            await sites[0].stop()


async def watched(page: Page, realm: Realm) -> None:
    """Wait until the page hears the realm: a frame that is sent before reaches nobody, and no other one follows."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "realm_event_viewers 1" not in await (await page.request.get(f"{realm.site.url}/metrics")).text():
            await asyncio.sleep(0.02)


def card(page: Page, name: str) -> Locator:
    return page.locator(".quest-card", has=page.locator("bdi", has_text=name))


async def test_quests_are_moved_by_dragging_keys_and_buttons_and_the_realm_is_asked(
    realm: Realm, open_page: OpenPage
) -> None:
    """F14: a card lies where the realm says, not where it was let go."""
    for name in ("dragged.jsonl", "keyed.jsonl", "clicked.jsonl", HOSTILE):
        take(realm.board, name)
    page = await open_page(f"{realm.site.url}/quests")
    high, low = page.locator("#lane-of-high"), page.locator("#lane-of-low")
    await expect(page.locator("#lane-of-normal .quest-card")).to_have_count(4)
    await expect(card(page, "<img src=x")).to_contain_text(HOSTILE)  # a name is a name, and no markup
    await card(page, "dragged.jsonl").drag_to(high)
    await expect(high.locator(".quest-card")).to_contain_text("dragged.jsonl")
    assert realm.lane_of("dragged.jsonl") == "high"

    await card(page, "keyed.jsonl").locator("a").press("ArrowRight")
    await expect(low.locator(".quest-card")).to_contain_text("keyed.jsonl")
    # Whoever moved it by keys goes on from there.
    await expect(card(page, "keyed.jsonl").locator("a")).to_be_focused()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator("#lane-of-normal")).to_contain_text("keyed.jsonl")
    assert realm.lane_of("keyed.jsonl") == "normal"

    await card(page, "clicked.jsonl").get_by_role("button", name="Raise clicked.jsonl to High").click()
    # The answer first: it does not stay.
    await expect(page.locator("#answer")).to_have_text("clicked.jsonl waits in High now.")
    await expect(high).to_contain_text("clicked.jsonl")

    await card(page, "clicked.jsonl").locator("a").press("Delete")
    await expect(page.locator("#confirm-text")).to_contain_text("deleted from this disk for good")
    await page.locator("#confirm-yes").click()
    await expect(card(page, "clicked.jsonl")).to_have_count(0)
    assert realm.lane_of("clicked.jsonl") is None
    await expect(page.locator("#history tr[data-ending=removed]")).to_contain_text("clicked.jsonl")
    told = [event.message for event in realm.daemon._saga.latest_events(50) if event.kind.startswith("quest_")]
    assert told[0] == "dragged.jsonl was moved to high"
    assert told[-1] == "clicked.jsonl was removed"
    # By its name too a card is taken as a whole, and one that is being fought not at all.
    await expect(card(page, "keyed.jsonl").locator("a")).to_have_js_property("draggable", False)


async def test_the_board_says_why_nothing_goes_on_and_what_lies_in_the_inbox(realm: Realm, open_page: OpenPage) -> None:
    """C7, F3: what waits says why; what is moved by hand is seen without an event."""
    take(realm.board, "waits.jsonl")
    page = await open_page(f"{realm.site.url}/quests")
    await expect(card(page, "waits.jsonl").locator(".quest-why")).to_have_text("it is next")
    await watched(page, realm)
    (realm.daemon.paths.inbox / "notes.txt").write_text("hello")
    realm.daemon.report.enter("paused", datetime.now(UTC), "dinner")
    realm.daemon.crier.show_progress()
    await expect(page.locator("#held")).to_have_text("Nothing goes on: training is paused: dinner")
    await expect(page.locator("#inbox")).to_contain_text("notes.txt")
    await expect(card(page, "waits.jsonl").locator(".quest-times")).to_have_count(0)


async def test_of_thousands_that_wait_no_more_are_asked_for_than_the_realm_tells(
    realm: Realm, open_page: OpenPage
) -> None:
    """Who asked for more and more of them was refused in the end, and lost the board."""
    take(realm.board, "one.jsonl")
    page = await open_page("about:blank")

    async def answer(route: Route) -> None:
        response = await route.fetch()
        told = await response.json()
        assert response.ok, told
        told["lanes"]["normal"]["total"] = 5000
        await route.fulfill(response=response, json=told)

    await page.route("**/api/quests/board?**", answer)
    await page.goto(f"{realm.site.url}/quests")
    more = page.locator("#lane-of-normal button.more-quests")
    for limit in (50, 100, 200, 400, 500):
        async with page.expect_response(f"**/api/quests/board?limit={limit}"):
            await more.click()
    await expect(page.locator("#lane-of-normal p.more-quests")).to_have_text("4,999 more are not shown")
    await expect(more).to_have_count(0)


async def test_files_are_judged_before_they_go_in(realm: Realm, open_page: OpenPage) -> None:
    """C8, C18, F14: each verdict with its lines; only what may be learned is put down."""
    page = await open_page(f"{realm.site.url}/quests")
    await expect(page.locator("#add-files")).to_be_visible()
    good = lines(*(chat(question=f"{number}?", answer="x" * number) for number in range(1, 40)), chat(), chat())
    bad = lines(chat(), {"messages": [{"role": "wizard", "content": "<b>x</b>"}]}, b"{broken")
    await page.set_input_files(
        "#chosen-files",
        files=[
            FilePayload(name="good.jsonl", mimeType="text/plain", buffer=good),
            FilePayload(name="bad <b>.jsonl", mimeType="text/plain", buffer=bad),
            FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"hello"),
        ],
    )
    verdicts = page.locator(".verdict")
    await expect(verdicts.nth(0)).to_have_attribute("data-state", "accepted")
    await expect(verdicts.nth(0)).to_contain_text("41 rows of OpenAI chat")
    await expect(verdicts.nth(0).locator(".bars li")).not_to_have_count(0)
    await expect(verdicts.nth(0)).to_contain_text("Looked at: every row (41)")
    await expect(verdicts.nth(1)).to_have_attribute("data-state", "rejected")
    await expect(verdicts.nth(1).locator(".finding").first).to_contain_text("line 2, messages[0].role")
    await expect(verdicts.nth(1).locator("h3")).to_have_text("bad <b>.jsonl")
    await expect(verdicts.nth(2)).to_contain_text("must end in .jsonl")
    await page.get_by_role("radio", name="High").check()
    await page.locator("#put-down").click()
    await expect(verdicts.nth(0)).to_have_attribute("data-state", "lies")
    inbox = realm.daemon.paths.inbox
    assert (inbox / "high" / "good.jsonl").read_bytes() == good
    assert [path.name for path in inbox.rglob("*.jsonl")] == ["good.jsonl"]
    await page.locator("dialog.verdicts").get_by_role("button", name="Close").click()
    await expect(page.locator("dialog.verdicts")).to_have_count(0)


async def test_a_file_is_taken_wherever_it_is_dropped(realm: Realm, open_page: OpenPage) -> None:
    page = await open_page(f"{realm.site.url}/quests")
    await expect(page.locator("#lane-of-low")).to_be_visible()
    text = lines(chat()).decode()
    transfer = await page.evaluate_handle(
        """text => { const transfer = new DataTransfer();
        transfer.items.add(new File([text], "dropped.jsonl")); return transfer; }""",
        text,
    )
    for event in ("dragenter", "dragover"):
        await page.dispatch_event("#lane-of-low", event, {"dataTransfer": transfer})
    await expect(page.locator(".drop-veil")).to_be_visible()
    await page.dispatch_event("#lane-of-low", "drop", {"dataTransfer": transfer})
    await expect(page.locator(".verdict")).to_have_attribute("data-state", "accepted")
    await expect(page.get_by_role("radio", name="Low")).to_be_checked()  # it was held over that lane
    # More files while these are shown: they must not end what runs, nor take its place.
    await page.dispatch_event("#lane-of-high", "drop", {"dataTransfer": transfer})
    await expect(page.locator(".verdicts").get_by_role("alert")).to_contain_text("these files first")
    await expect(page.get_by_role("radio", name="Low")).to_be_checked()
    await page.locator("#put-down").click()
    await wait_until_async(lambda: (realm.daemon.paths.inbox / "low" / "dropped.jsonl").exists())


async def test_the_history_tells_losses_and_lets_the_fallen_rise(realm: Realm, open_page: OpenPage) -> None:
    board = realm.board
    claimed = board.claim(take(board, "learned.jsonl"))
    board.await_seal(
        claimed.quest_id, outcome="learned", rows_learned=7, first_step=1, last_step=4, loss_first=5.5, loss_last=2.25,
        now=NOW,
    )  # fmt: skip
    board.seal([claimed.quest_id], now=NOW)
    fallen = take(board, "fallen.jsonl")
    board.fail(fallen.quest_id, outcome="withdrawn", reason="<b>three strikes</b>", now=NOW + timedelta(hours=1))
    page = await open_page(f"{realm.site.url}/quests")
    rows = page.locator("#history tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0)).to_contain_text("<b>three strikes</b>")
    await expect(rows.nth(1).locator(".loss-change.is-better")).to_have_text("5.500 → 2.250")
    await page.get_by_role("button", name="Completed 1").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("learned_")
    await page.get_by_role("button", name="Failed 1").click()
    await rows.get_by_role("button", name="Retry").click()
    await expect(page.locator("#confirm-text")).to_contain_text("waits again as a new quest")
    await page.locator("#confirm-yes").click()
    await expect(page.locator("#lane-of-normal")).to_contain_text("fallen.jsonl")
    await expect(page.locator("#history .empty")).to_be_visible()
    assert realm.lane_of("fallen.jsonl") == "normal"
    await page.get_by_role("button", name="Completed 1").click()
    await realm.daemon._housekeeper.keep(BudgetSettings(), now=NOW + timedelta(days=30))
    # Its file is deleted, which the page hears of.
    await expect(rows.locator(".clamped")).to_have_text("Its file is not on the disk any more.")
    await expect(rows.locator(".loss-change.is-better")).to_have_text("5.500 → 2.250")
    await expect(rows.locator("[data-outcome=learned]")).to_be_visible()
    await expect(rows.locator("a")).to_have_count(0)


async def test_a_page_whose_last_entry_goes_gives_way_to_the_one_before(realm: Realm, open_page: OpenPage) -> None:
    """An offset behind the end showed an empty list, and no way back."""
    for number in range(21):
        fallen = take(realm.board, f"fallen_{number}.jsonl")
        realm.board.fail(fallen.quest_id, outcome="withdrawn", reason="strikes", now=NOW + timedelta(minutes=number))
    page = await open_page(f"{realm.site.url}/quests")
    rows = page.locator("#history tbody tr")
    await page.get_by_role("button", name="Failed 21").click()
    await expect(rows).to_have_count(20)
    pager = page.locator("#history .pager")
    await pager.get_by_role("button", name="Next").click()
    await expect(rows).to_have_count(1)
    await rows.get_by_role("button", name="Remove").click()
    await page.locator("#confirm-yes").click()
    await expect(page.get_by_role("button", name="Failed 20")).to_be_visible()
    await expect(rows).to_have_count(20)
    await expect(pager).to_have_count(0)


async def test_the_inspector_shows_what_the_model_sees(realm: Realm, open_page: OpenPage) -> None:
    """D1, D2: what is coloured is learned, and nothing else; text is text, whatever it holds."""
    evil = "</pre><script>alert(1)</script> \u202eevil 👩‍👩‍👧"
    unseen = chat(answer="a\u0007\u200b" + 51 * "\u0007")
    plain = [chat(f"{n}") for n in range(19)]
    rows = [chat(question=evil, answer="Fine."), chat(answer="x" * 3000), unseen, *plain]
    quest = realm.quest("deep.jsonl", *rows, rows[3], priority="low")
    realm.daemon.report.recent = deque([StepPoint(1, 1.0, 0.1, 1.0, 500, 0.5)])
    page = await open_page(f"{realm.site.url}/quests/{quest}")
    # As on the board: by the speed that was measured.
    await expect(page.locator("#begins")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d"))
    first = page.locator(".model-row").first
    # A mark that would turn the text around is named, and turns nothing.
    await expect(first.locator("pre")).to_contain_text(evil.replace("\u202e", "[U+202E]"))
    await expect(page.locator(".model-row").nth(2).locator("ins abbr")).to_have_text("[U+0007 U+200B U+0007 +50]")
    assert await first.locator("ins").all_inner_texts() == ["Fine.<|im_end|>"]
    cut = page.locator(".model-row").nth(1)
    await expect(cut.locator("del")).to_have_count(1)
    # What the cut takes is not learned: a byte is a token.
    left = len(await cut.locator("ins").inner_text())
    await expect(cut.locator(".row-head")).to_contain_text(f"tokens, {left:,} learned")
    await expect(page.locator("#duplicates")).to_have_text("1")
    await expect(page.locator("#rows-truncated")).to_have_text("1")
    await expect(page.locator("#shape")).to_contain_text("OpenAI chat")
    await page.get_by_label("Row number").fill("23")
    await page.get_by_role("button", name="Go to row").click()
    await expect(page.locator(".model-row")).to_have_count(1)
    await expect(page.locator(".model-row")).to_have_attribute("data-row", "23")
    await page.get_by_role("button", name="Raise to Normal").click()
    await expect(page.locator("#quest-lane")).to_have_text("Normal")
    await page.get_by_role("link", name="All quests").click()
    await card(page, "deep.jsonl").locator("a").click()
    await expect(page.locator("#quest-file")).to_have_text("deep.jsonl")
    await page.goto(f"{realm.site.url}/quests/q_20261121_093000_00000000")
    await expect(page.get_by_role("alert").filter(has_text="not there")).to_be_visible()


async def test_a_phone_shows_all_of_it_without_scrolling_sideways(realm: Realm, open_page: OpenPage) -> None:
    quest = realm.quest("a_long_name_" * 12 + ".jsonl", chat(question="w" * 900))
    take(realm.board, HOSTILE, "high")
    for path in ("/quests", f"/quests/{quest}"):
        page = await open_page(f"{realm.site.url}{path}", width=390, height=844, color_scheme="dark")
        await expect(page.locator(".quest-card, .model-row").first).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), json.dumps(path)

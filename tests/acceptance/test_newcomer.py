"""A newcomer with nothing but the page: a file is dropped, fought, paused, resumed, completed, and looked into."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Page, expect, sync_playwright

from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import chat_rows
from tests.chromium import ARGUMENTS, find_chromium

PATIENCE_MS = 120_000
"""Others may want the two cores too; alone, all of it takes some ten seconds."""
LESSON_ROWS = 4000
LATER_ROWS = 64


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE_MS)
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        yield page
        browser.close()
    assert broken == []


def drop_on_page(page: Page, name: str, text: str) -> None:
    """As a hand does it that comes from a folder."""
    transfer = page.evaluate_handle(
        """([text, name]) => { const transfer = new DataTransfer();
        transfer.items.add(new File([text], name)); return transfer; }""",
        [text, name],
    )
    for event in ("dragenter", "dragover", "drop"):
        page.dispatch_event("#quest-board", event, {"dataTransfer": transfer})


def put_down(page: Page) -> None:
    """What the gates say is read, and agreed to."""
    verdict = page.locator(".verdict")
    expect(verdict).to_have_attribute("data-state", "accepted", timeout=PATIENCE_MS)
    page.locator("#put-down").click()
    expect(verdict).to_have_attribute("data-state", "lies", timeout=PATIENCE_MS)
    page.locator("dialog.verdicts").get_by_role("button", name="Close").click()


def go_to(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()


def fought(realm: LivingRealm) -> dict[str, Any]:
    """The quest in battle as every page is told of it."""
    told: dict[str, Any] = realm.http("GET", "/api/game", site="tavern").json()
    return told["quest"] or {"rows_done": None}


def rows_learned(page: Page) -> int:
    return int((page.locator("#fact-rows").inner_text()).split("/")[0].replace(",", ""))


@pytest.mark.timeout(900)
def test_a_newcomer_needs_nothing_but_the_page(found_realm: Founder, nursery: Nursery, page: Page) -> None:
    """F3, F14 and issue 8: no shell is touched between a running realm and a checkpoint that holds what was dropped."""
    realm = found_realm(nursery=nursery)
    realm.up(awake=False)  # she does not wait for the hero to wake up
    page.goto(realm.services()["tavern"]["url"])
    go_to(page, "Quests")
    lesson = "".join(f"{row}\n" for row in chat_rows(LESSON_ROWS))
    drop_on_page(page, "lesson.jsonl", lesson)
    put_down(page)

    go_to(page, "Battle")
    expect(page.locator("#quest-name")).to_have_text("lesson.jsonl", timeout=PATIENCE_MS)
    # A busy machine may be slower to show the page than to learn the quest.
    realm.wait(lambda: (fought(realm)["rows_done"] or 0) > 0, "the first rows")
    with realm.trainer_held():
        expect(page.locator("#fact-rows")).to_have_text(re.compile("^[1-9]"), timeout=PATIENCE_MS)
        page.locator("[data-action=pause]").click()
        realm.wait(lambda: (realm.paths.control / ".pause").exists(), "the wish for a pause")
    expect(page.locator("#state")).to_have_text("Paused", timeout=PATIENCE_MS)
    assert 0 < rows_learned(page) < LESSON_ROWS

    go_to(page, "Quests")
    later = "".join(f"{row}\n" for row in chat_rows(LATER_ROWS, start=LESSON_ROWS))
    page.set_input_files(
        "#chosen-files", files=[FilePayload(name="later.jsonl", mimeType="", buffer=later.encode())]
    )  # fmt: skip
    page.get_by_role("radio", name="Low").check()
    put_down(page)
    expect(page.locator("#lane-of-low")).to_contain_text("later.jsonl", timeout=PATIENCE_MS)
    expect(page.locator("#held")).to_contain_text("training is paused")
    page.get_by_role("button", name="Raise later.jsonl to Normal").click()
    expect(page.locator("#lane-of-normal")).to_contain_text("later.jsonl", timeout=PATIENCE_MS)

    page.locator("[data-action=resume]").click()
    expect(page.locator("#held")).to_have_count(0, timeout=PATIENCE_MS)
    completed = page.locator("#history tr[data-ending=completed]")
    expect(completed).to_have_count(2, timeout=2 * PATIENCE_MS)
    learned = completed.filter(has_text="lesson_")
    expect(learned).to_contain_text(f"{LESSON_ROWS:,}")
    expect(learned.locator(".loss-change.is-better")).to_be_visible()

    learned.get_by_role("link").click()
    expect(page.locator(".model-row ins").first).to_contain_text("comes after", timeout=PATIENCE_MS)
    expect(page.locator(".model-row .row-head").first).to_contain_text(re.compile(r"loss \d"), timeout=PATIENCE_MS)
    page.locator("#story a[href^='/checkpoint/']").last.click()
    expect(page.locator("#checkpoint-title")).to_contain_text("heckpoint", timeout=PATIENCE_MS)
    expect(page.locator("#files")).to_contain_text("model.safetensors")
    assert realm.lane_of("lesson") == realm.lane_of("later") == "recently_completed"
    assert [claim.name for claim in realm.claims()] == ["lesson.jsonl", "later.jsonl"]

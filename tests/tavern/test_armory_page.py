"""The Armory in a real Chromium, over a real settings file; and notifications of the browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from core.shell.config_file import change_settings
from tests.arena.ravens.one_target import listening
from tests.tavern.armory_realm import ArmoryRealm
from tests.tavern.conftest import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "discord://4815162342/hunter2"
RATE = "#setting-hyperparams-learning_rate"

RECORDER = """
window.told = [];
window.Notification = class {
  static permission = 'granted';
  static requestPermission() { window.asked = true; return Promise.resolve('granted'); }
  constructor(title, options) { if (options.body) window.told.push(options.body); }
  close() {}
};
"""
"""Stands for the browser's own: a headless one shows nothing. One without a body was only a try."""


@pytest_asyncio.fixture(loop_scope="session")
async def hall(tmp_path: Path) -> AsyncIterator[ArmoryRealm]:
    (tmp_path / "tavern").mkdir()
    realm = await ArmoryRealm(tmp_path).start()
    yield realm
    await realm.stop()


async def choose(page: Page, section: str) -> None:
    await page.locator(".sections").get_by_role("button", name=section, exact=True).click()


async def test_a_change_is_checked_while_it_is_typed_shown_as_a_diff_and_saved(
    hall: ArmoryRealm, open_page: OpenPage
) -> None:
    """F12, F14: the file is the one source, and what is shown after a save is what the realm says then."""
    page = await open_page(f"{hall.url}/settings")
    rate, review = page.locator(RATE), page.locator("#review")
    await expect(page.locator("#memory-verdict")).to_contain_text("It fits")
    await rate.fill("5")
    await expect(page.locator(f"{RATE}-findings")).to_contain_text("less than or equal to 0.1")
    await expect(rate).to_have_attribute("aria-invalid", "true")
    await expect(review).to_be_disabled()
    await rate.fill("1e-4")
    await expect(page.locator(f"{RATE}-findings")).to_have_count(0)
    await choose(page, "Trainer")
    await page.locator("#setting-trainer-tf32").check()
    await expect(page.locator(".edit-count")).to_have_text("2 changes not saved")
    await review.click()
    dialog = page.locator("#confirm")
    await expect(dialog.locator(".diff .added")).to_have_text(["+  learning_rate: 0.0001\n", "+  tf32: true\n"])
    await expect(dialog.locator(".changes tbody tr").last).to_contain_text("when the trainer starts again")
    await page.locator("#confirm-yes").click()
    await expect(page.locator(".edit-count")).to_have_text("No changes")
    assert "  learning_rate: 0.0001\n" in hall.text
    assert hall.live.current.hyperparams.learning_rate == 0.0001
    tf32 = page.locator('[data-setting="trainer.tf32"]')
    await expect(tf32.locator(".pending")).to_contain_text("In force is still off")
    await expect(tf32.locator("[data-source=file]")).to_contain_text("line ")
    other = await open_page(f"{hall.url}/settings")
    await expect(other.locator("#history .kept-default")).to_contain_text("No settings are kept yet")
    await page.get_by_role("button", name="Keep the saved settings").click()
    for each in (page, other):
        await expect(each.locator("#history .kept-default")).to_contain_text("by a page on this machine")
    await page.locator("#history li").first.get_by_role("button").click()
    await expect(dialog.locator(".diff .removed").first).to_contain_text("learning_rate: 0.0001")
    await page.locator("#confirm-yes").click()
    await expect(tf32.locator(".pending")).to_have_count(0)
    await expect(other.locator(RATE)).to_have_value("")
    assert "tf32: true" not in hall.text
    await page.get_by_role("button", name="Back to the kept ones").click()
    await expect(dialog.locator(".diff .added").first).to_contain_text("learning_rate: 0.0001")
    await page.locator("#confirm-yes").click()
    await expect(tf32.locator(".pending")).to_contain_text("In force is still off")
    await expect(other.locator(RATE)).to_have_value("0.0001")
    assert "  tf32: true\n" in hall.text


async def test_settings_are_found_by_their_words_and_kept_while_one_looks_elsewhere(
    hall: ArmoryRealm, open_page: OpenPage
) -> None:
    change_settings(hall.paths.config_file, {"save_steps": 500})
    page = await open_page(f"{hall.url}/settings", width=390, height=844)
    await page.locator("#search").fill("milestone rolling")
    await expect(page.locator(".setting")).to_have_count(1)
    await page.locator("#setting-save_steps").fill("700")
    await page.locator(".brand").click()
    await page.go_back()
    await expect(page.locator(".edit-count")).to_have_text("1 change not saved")
    await page.get_by_label("Only what is not at its default").check()
    await expect(page.locator(".setting")).to_have_count(1)
    await expect(page.locator("#setting-save_steps")).to_have_value("700")
    await page.get_by_role("button", name="Discard").click()
    await expect(page.locator("#setting-save_steps")).to_have_value("500")
    await page.get_by_role("button", name="Default").click()
    await expect(page.locator('[data-setting="save_steps"]')).to_contain_text("becomes the default, 10000")
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    await page.get_by_role("button", name="Discard").click()


async def test_what_cannot_be_changed_here_says_why_and_another_s_change_is_not_lost(
    hall: ArmoryRealm, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALM_HYPERPARAMS__EPOCHS", "3")
    page = await open_page(f"{hall.url}/armory")
    epochs = page.locator("#setting-hyperparams-epochs")
    await expect(epochs).to_be_disabled()
    await expect(epochs).to_have_value("3")
    await expect(page.locator('[data-setting="hyperparams.epochs"] .fixed')).to_contain_text(
        "REALM_HYPERPARAMS__EPOCHS"
    )
    await page.locator("#setting-hyperparams-batch_size").fill("16")
    hall.armory.save(hall.armory.view()["etag"], {"hyperparams.warmup_steps": 7}, [], "somebody else")
    await expect(page.locator("#setting-hyperparams-warmup_steps")).to_have_value("7")
    await expect(page.locator("#setting-hyperparams-batch_size")).to_have_value("16")
    await page.locator("#review").click()
    await page.locator("#confirm-yes").click()
    await expect(page.locator(".edit-count")).to_have_text("No changes")
    assert (hall.live.current.hyperparams.warmup_steps, hall.live.current.hyperparams.batch_size) == (7, 16)


async def test_what_was_edited_while_the_realm_was_away_is_checked_when_it_is_back(
    hall: ArmoryRealm, open_page: OpenPage
) -> None:
    """It could not be saved until somebody edited it again, and what a step takes was not known."""
    page = await open_page(f"{hall.url}/settings")
    await expect(page.locator("#memory-verdict")).to_contain_text("It fits")
    lost = ("**/api/game", "**/config", "**/config/*")
    for address in lost:
        await page.route(address, lambda route: route.abort())
    hall.tavern.tell("state_changed", "Nobody is told of it.")
    await expect(page.locator("#state")).to_have_text("Away")
    await page.locator(RATE).fill("1e-4")
    await expect(page.locator(".edit-count")).to_contain_text("1 fault")
    await expect(page.locator("#memory-verdict")).to_have_count(0)
    for address in lost:
        await page.unroute(address)
    await expect(page.locator("#review")).to_be_enabled()
    await expect(page.locator("#memory-verdict")).to_contain_text("It fits")


async def test_secrets_stay_with_the_realm_and_ravens_can_be_tried(hall: ArmoryRealm, open_page: OpenPage) -> None:
    with listening() as target:
        change_settings(hall.paths.config_file, {"notifications.targets": [SECRET, target.address]})
        page = await open_page(f"{hall.url}/settings")
        await choose(page, "Notifications")
        secrets = page.locator("#setting-notifications-targets")
        await expect(secrets.locator("code")).to_have_text(["discord://…", "json://…"])
        await page.get_by_role("button", name="Send a test message to target 2, json://…").click()
        await expect(page.locator("#targets")).to_contain_text("The service took it.")
        assert len(target.letters) == 1
        await secrets.get_by_role("button", name="Remove discord://…").click()
        await secrets.get_by_label("A new address").fill("bamboo://x")
        await secrets.get_by_role("button", name="Add").click()
        findings = page.locator("#setting-notifications-targets-findings")
        await expect(findings).to_contain_text("cannot use this bamboo:// address")
        await page.locator("#review").click()
        assert "hunter2" not in await page.content()
        await page.locator("#confirm-yes").click()
        await expect(page.locator(".edit-count")).to_have_text("No changes")
    assert list(hall.live.current.notifications.targets) == [target.address, "bamboo://x"]


async def test_a_browser_is_told_once_however_many_tabs_it_has(hall: ArmoryRealm, browser: Browser) -> None:
    """Only what was asked for, only what happens from then on, and each event in one tab."""
    context = await browser.new_context()
    await context.add_init_script(RECORDER)
    # A computer whose clock is wrong is told as well.
    await context.add_init_script("{ const now = Date.now; Date.now = () => now() + 7_200_000; }")
    try:
        hall.tavern.tell("quest_sealed", "long ago")
        pages = [await context.new_page() for _ in range(3)]
        for page in pages:
            await page.goto(f"{hall.url}/settings")
            await expect(page.locator("#memory")).to_be_visible()
        await choose(pages[0], "Notifications")
        assert await pages[0].evaluate("window.asked") is None, "nobody is asked before he wants it"
        await pages[0].locator("input[name=announce-quest]").check()
        hall.tavern.tell("level_mastered", "was not asked for")
        hall.tavern.tell("quest_sealed", "one")
        hall.tavern.tell("quest_sealed", "two")
        # All at once: none of them stays for long.
        toasts = [page.locator(".toast[data-kind=quest]") for page in pages]
        await asyncio.gather(*(expect(toast).to_contain_text("two") for toast in toasts))
        # Locks are given in the order in which a page asks: after this one, all that it had to tell is told.
        counted = "() => new Promise((done) => navigator.locks.request('counted', () => done(window.told)))"
        told = [message for page in pages for message in await page.evaluate(counted)]
        assert sorted(told) == ["one", "two"]
        await pages[1].reload()
        await choose(pages[1], "Notifications")
        await expect(pages[1].locator("input[name=announce-quest]")).to_be_checked()
        # Chrome on Android has the class, and throws when a page makes one.
        await pages[2].evaluate(
            "void (Notification = class { static permission = 'granted'; constructor() { throw Error('no'); } })"
        )
        await choose(pages[2], "Notifications")
        await pages[2].locator("input[name=announce-level]").click()
        await expect(pages[2].locator(".in-browser:disabled")).to_be_visible()
        await expect(pages[2].locator("input[name=announce-level]")).not_to_be_checked()
    finally:
        await context.close()

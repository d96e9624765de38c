"""Vault, Ledger and Checkpoint in a real Chromium, over a realm with a past."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from arena.protocol import CheckpointSaved
from core.checkpoint_records import read_sidecar
from tests.arena.annals.past import NOW, Past
from tests.tavern.conftest import OpenPage
from tests.tavern.vaulted_realm import HOSTILE, Vaulted, vaulted_realm
from tests.vault.catalog.assets import make_model
from vault.catalog.catalog import Catalog
from vault.checkpoints import CheckpointStore
from vault.keeper import VaultKeeper
from vault.rounds import CatalogRounds

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def realm(tmp_path: Path) -> AsyncIterator[Vaulted]:
    async with vaulted_realm(tmp_path) as vaulted:
        yield vaulted


async def is_as_wide_as_the_window(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


async def test_the_vault_shows_what_there_is_and_how_the_zones_are(realm: Vaulted, open_page: OpenPage) -> None:
    """F6, F21, F18: newest and best are told, a zone that is away says why; unknown is a dash; phones see all of it."""
    realm.paths.hosts_file.write_text(
        "hosts:\n  nas:\n    name: <b>NAS</b>\n    host: 127.0.0.1\n    role: storage\n"
        "    services:\n      branch: {port: 1}\n"
    )
    page = await open_page(f"{realm.url}/vault", width=390, height=844)
    await expect(page.locator("#newest-mark")).to_contain_text("Step 15")
    await expect(page.locator("#best-mark")).to_contain_text("Step 7")
    await expect(page.locator("#checkpoints tbody tr")).to_have_count(3)
    await expect(page.locator("#checkpoints tbody tr").first).to_contain_text("HEAD")
    await expect(page.locator("#kept-size")).to_have_text("–")
    zone = page.locator("[data-zone=nas]")
    await expect(zone).to_contain_text("<b>NAS</b> storage, offline")
    await expect(zone.locator(".zone-error")).to_contain_text("does not answer")
    await expect(page.locator("#base-name")).to_have_text("seedling")
    await page.click("#prune")
    await expect(page.locator("#confirm-text")).to_contain_text("Nothing is beyond the limits of retention. 3 are held")
    await page.click("#confirm-yes")
    await page.locator("#assets .chips button", has_text="Checkpoints").click()
    await page.fill("#asset-name", "checkpoint-7")
    await expect(page.locator("#assets tbody tr")).to_have_count(1)
    await page.locator("#assets tbody a").click()
    await expect(page.locator("#checkpoint-title")).to_contain_text("Checkpoint of step 7")
    await expect(page.locator("#lineage tbody")).to_contain_text(HOSTILE)
    assert await is_as_wide_as_the_window(page)
    assert await page.locator("main img").count() == 0


async def test_an_open_vault_hears_of_every_new_asset(realm: Vaulted, open_page: OpenPage) -> None:
    """F14: what a look at the disk had found was seen an hour later or never, and a checkpoint by chance: it was asked
    for before it was booked."""
    page = await open_page(f"{realm.url}/vault")
    await expect(page.locator("#assets tbody tr").first).to_be_visible()
    with Catalog.opened(realm.paths.catalog_db, realm.paths.base) as catalog:
        keeper = VaultKeeper(realm.paths.base, catalog=catalog)
        rounds = CatalogRounds(keeper, None, lambda news, now: realm.daemon._saga.tell(news, now=now))
        await rounds.go(NOW)
        model = make_model(realm.paths.models / "newcomer")
        await rounds.go(NOW + timedelta(hours=1))
        await expect(page.locator("[data-asset=model_newcomer]")).to_be_visible()
        shutil.rmtree(model)
        await rounds.go(NOW + timedelta(hours=2))
        await expect(page.locator("[data-asset=model_newcomer]")).to_have_count(0)
    past = Past(realm.paths).go_on()
    past.learn("fourth")
    index = realm.paths.ledger_index.read_bytes()
    name = past.save()
    realm.paths.ledger_index.write_bytes(index)  # a trainer leaves the books to the daemon
    record = read_sidecar(realm.paths.current_model / name)
    assert record is not None
    saved = CheckpointSaved(name=name, step=20, covers=[], milestone=False, seconds=0.1, record=record.to_json())
    await realm.daemon._events.handle(saved)
    await expect(page.locator("[data-asset=checkpoint_20]")).to_be_visible()


async def test_the_ledger_is_sorted_by_keyboard_and_keeps_its_place(realm: Vaulted, open_page: OpenPage) -> None:
    """Each heading is a button; what is sorted is told to readers too, and the way back leads to the same view."""
    page = await open_page(f"{realm.url}/ledger")
    steps = page.locator("#ledger tbody .checkpoint-link")
    await expect(steps).to_have_text(["Step 15", "Step 7", "Step 5"])
    heading = page.locator("th[data-column=train_loss]")
    await expect(heading).to_have_attribute("aria-sort", "none")
    await heading.locator("button").focus()
    await page.keyboard.press("Enter")
    await expect(heading).to_have_attribute("aria-sort", "ascending")
    await expect(steps).to_have_text(["Step 7", "Step 5", "Step 15"])
    await page.keyboard.press("Enter")
    await expect(heading).to_have_attribute("aria-sort", "descending")
    await expect(steps).to_have_text(["Step 15", "Step 5", "Step 7"])
    await expect(page.locator("[data-badge=best]")).to_have_count(1)
    await expect(page.locator(f"[data-checkpoint={realm.names['middle']}] [data-badge=best]")).to_be_visible()
    await page.select_option("#metric", "accuracy")
    await expect(page.locator("#best-line")).to_contain_text("None of them has a value for Accuracy")
    await expect(page.locator("[data-badge=best]")).to_have_count(0)
    await steps.nth(2).click()
    await expect(page.locator("#checkpoint-title")).to_contain_text("step 7")
    await page.go_back()
    await expect(steps).to_have_text(["Step 15", "Step 5", "Step 7"])


async def test_a_checkpoint_that_is_not_there_says_what_there_is(realm: Vaulted, open_page: OpenPage) -> None:
    page = await open_page(f"{realm.url}/checkpoint/%3Cimg%20src%3Dx%3E")
    await expect(page.locator("#missing-title")).to_have_text("There is no checkpoint <img src=x>")
    await expect(page.locator("#missing li")).to_have_count(3)
    await page.locator("#missing a").first.click()
    await expect(page.locator("#checkpoint-title")).to_contain_text("Checkpoint of step 15")
    await page.locator(".breadcrumb a", has_text="Ledger").click()
    await expect(page.locator("#ledger-count")).to_have_text("3")


async def test_a_checkpoint_is_read_again_and_kept_or_deleted_as_the_realm_says(
    realm: Vaulted, open_page: OpenPage
) -> None:
    """F14, A29: nothing goes before its text is agreed to, HEAD never; what is shown is what the realm has done."""
    page = await open_page(f"{realm.url}/checkpoint/15")
    await expect(page.locator("#protection-reason")).to_contain_text("HEAD")
    await expect(page.locator("#sums")).to_contain_text("2 quests, 32 rows in 8 steps")
    await expect(page.locator("#parent")).to_contain_text("Step 7")
    await page.click("[data-action=delete]")
    await expect(page.locator("#dry-run")).to_contain_text("stays: HEAD")
    await page.click("#confirm-yes")
    await page.goto(f"{realm.url}/checkpoint/5")
    await expect(page.locator("#verified-at")).to_have_text("not yet")
    await page.click("#verify")
    await expect(page.locator("#last-verify")).to_contain_text("is whole")
    await expect(page.locator("#verified-at time")).to_be_visible()
    await page.click("[data-action=delete]")
    await expect(page.locator("#dry-run")).to_contain_text(f"This deletes {realm.names['first']}")
    await page.click("dialog button[value=no]")
    assert (realm.paths.current_model / realm.names["first"]).is_dir()
    await page.click("[data-action=delete]")
    await page.click("#confirm-yes")
    await expect(page.locator("#ledger-count")).to_have_text("2")
    assert not (realm.paths.current_model / realm.names["first"]).exists()


async def test_a_hero_goes_back_and_hands_out_what_he_was(realm: Vaulted, open_page: OpenPage) -> None:
    """F13, F14: the page tells which quests are undone, and shows the new HEAD once the realm stands there."""
    page = await open_page(f"{realm.url}/checkpoint/7", width=390, height=844)
    await page.click("[data-action=export]")
    await expect(page.locator("#dry-run")).to_contain_text(str(realm.paths.exports / realm.names["middle"]))
    await page.click("#confirm-yes")
    await expect(page.locator("#last-errand")).to_contain_text("holds checkpoint-7")
    await page.click("[data-action=rewind]")
    await expect(page.locator("#dry-run")).to_contain_text("12 rows, 8 stay learned")
    await page.check("#requeue")
    await page.click("#confirm-yes")
    await expect(page.locator("#last-errand")).to_contain_text("The hero went back from step 15 to step 7")
    await expect(page.locator("#checkpoint-title [data-badge=head]")).to_be_visible()
    await expect(page.locator("#children")).to_contain_text("on rewound-")
    assert CheckpointStore(realm.paths.current_model).head() == realm.names["middle"]
    await page.locator("#children a").click()
    await expect(page.locator(".trail")).to_contain_text("It lies on the branch rewound-")
    assert await is_as_wide_as_the_window(page)

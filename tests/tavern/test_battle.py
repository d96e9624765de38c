"""The stage of the battle in a real Chromium: what is played is what happens, and nothing moves when nothing does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.tavern.conftest import OpenPage
from tests.tavern.looking import record, recorded, until
from tests.tavern.scripted_realm import ScriptedRealm
from tests.tavern.storied_realm import StoriedRealm
from tests.tavern.test_page import show_text
from tests.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWN = {
    "training": ("idle", "fighting"),
    "preparing": ("walk", "fighting"),
    "paused": ("kneeling", "resting"),
    "crashed": ("hurt", "wounded"),
    "idle": ("resting", "resting"),
}
"""What the hero does, and his face, in states of the realm."""
STEPS = 2000
FRAME_OF = "sprite => sprite.querySelector('g').getAttribute('transform')"
MOVING = """document.getAnimations().map(
    (one) => `${one.animationName ?? one.transitionProperty} of ${one.effect.target.className}`)"""
PAST_IS_KNOWN = """performance.getEntriesByType("resource").some(
    (one) => one.name.includes("points=200") && one.responseEnd)"""


def quest(realm: ScriptedRealm, **news: Any) -> None:
    """Another quest is fought from now on."""
    realm.body["quest"].update(news)
    realm.tell("quest_started", "The battle begins.")


async def test_the_hero_does_what_the_realm_does(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F3: no scene is played that does not happen; without a realm the last one stands still in the mist."""
    page = await open_page(realm.site.url)
    await realm.watched()
    hero, face = page.locator("#sprite-hero"), page.locator("[data-mood-shown]")
    for state, (doing, mood) in SHOWN.items():
        realm.show_state(state)
        await expect(hero).to_have_attribute("data-doing", doing)
        await expect(face).to_have_attribute("data-mood-shown", mood)
    realm.show_state("saving")
    await expect(page.locator("#sprite-prop")).to_have_attribute("data-sprite", "crystal")
    realm.body["quest"]["replaying"] = True
    realm.body["realm"]["state"] = "training"
    realm.strike(rows=100, step=1200, loss=0.5)
    await expect(page.locator(".veil.echo")).to_be_visible()
    await expect(page.locator("#battle-hint")).to_contain_text("learned again")
    realm.show_state("stopped")
    await expect(page.locator("#sprite-prop")).to_have_attribute("data-sprite", "tent")
    await expect(hero).to_have_count(0)
    await realm.stop()
    await expect(page.locator(".veil.mist")).to_be_visible()
    await expect(page.locator("#stage")).to_have_attribute("data-moving", "false")


async def test_nothing_moves_when_nothing_happens(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "percent", "45 %")
    realm.show_state("paused")
    await show_text(page, "state", "Paused")
    await until(page, f"{MOVING}.length === 0")
    before = await page.locator("#stage .sprite").evaluate_all("all => all.map(" + FRAME_OF + ")")
    for percent in (46, 47):
        realm.body["training"]["progress_percent"] = percent
        realm.show_state("paused")
    realm.tell("note", "Something is told.")
    await expect(page.locator("#log li").first).to_contain_text("Something is told.")
    assert await page.evaluate(MOVING) == []
    assert await page.locator("#stage .sprite").evaluate_all("all => all.map(" + FRAME_OF + ")") == before


async def test_a_quest_is_the_same_enemy_for_everybody(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await realm.watched()
    foe, name = page.locator("#sprite-foe"), page.locator("#plate-foe")
    seen = {}
    for rows, kinds in ((40, {"slime", "bat", "mushroom"}), (30_000, {"dragon", "beholder"})):
        quest(realm, quest_id=f"q_{rows}", rows_total=rows, rows_done=rows // 2)
        await show_text(page, "rows-left", f"{rows // 2:,} rows left")
        sprite = await foe.get_attribute("data-sprite")
        assert sprite in kinds
        seen[rows] = (sprite, await name.text_content())
    quest(realm, quest_id="q_g", file="train_SY_level3_100_20261121_093330.jsonl", rows_total=100)
    await expect(foe).to_have_attribute("data-sprite", "construct")
    quest(realm, quest_id="q_40", file="a.jsonl", rows_total=40)
    other = await open_page(realm.site.url)
    for viewer in (page, other):
        await expect(viewer.locator("#sprite-foe")).to_have_attribute("data-sprite", str(seen[40][0]))
        await expect(viewer.locator("#plate-foe")).to_have_text(str(seen[40][1]))


async def test_a_blow_is_as_strong_as_what_was_learned(tmp_path: Path, open_page: OpenPage) -> None:
    """Its number is the rows of its steps; critical is a loss below all that was ever recorded."""
    realm = await StoriedRealm.make(tmp_path, steps=STEPS).start()
    try:
        page = await open_page(realm.site.url)
        await realm.watched()
        await show_text(page, "percent", "45 %")
        await expect(page.locator(".float")).to_have_count(0)
        await until(page, PAST_IS_KNOWN)
        strike(realm, 2944, [(STEPS + 1, 4.0)])
        await expect(page.locator(".hit").last).to_have_text("−64 rows")
        await expect(page.locator(".gained").last).to_have_text("+1 XP")
        await expect(page.locator(".critical")).to_have_count(0)
        strike(realm, 3072, [(STEPS + 2, 0.25), (STEPS + 3, 0.5)])
        await expect(page.locator(".critical")).to_contain_text("−128 rows")
        await expect(page.locator(".critical small")).to_have_text("lowest loss yet: 0.250")
        assert await page.locator(".float").count() <= 6, "old ones are let go"
    finally:
        await realm.stop()


def strike(realm: StoriedRealm, rows: int, points: list[tuple[int, float]]) -> None:
    realm.body["training"]["train_loss_history"] = [list(point) for point in points]
    realm.strike(rows=rows, step=points[-1][0], loss=points[-1][1])


STRIKE_AS_THE_QUEST_LEAVES = """
  const later = window.setTimeout;
  let planned = null;
  const isBlow = (work) => String(work).includes("blowBetween");
  window.setTimeout = (work, ...rest) => (isBlow(work) ? ((planned = work), 0) : later(work, ...rest));
  window.struck = 0;
  document.addEventListener("DOMContentLoaded", () =>
    new MutationObserver(() => {
      if (planned === null || document.getElementById("health")) return;
      const work = planned;
      planned = null;
      work();
      window.struck += 1;
    }).observe(document.getElementById("app"), { subtree: true, childList: true }));
"""
"""Of the many moments in which a blow may fall, the worst: drawn is that there is no quest, and not yet heard of."""


async def test_a_blow_that_falls_as_the_quest_ends_hits_nobody(tmp_path: Path, open_page: OpenPage) -> None:
    """F10: a script broke on the quest that had just gone."""
    realm = await StoriedRealm.make(tmp_path, steps=STEPS).start()
    try:
        page = await open_page("about:blank")
        await page.add_init_script(STRIKE_AS_THE_QUEST_LEAVES)
        await page.goto(realm.site.url)
        await realm.watched()
        await show_text(page, "percent", "45 %")
        await until(page, PAST_IS_KNOWN)
        strike(realm, 2944, [(STEPS + 1, 4.0)])
        await show_text(page, "rows-left", "3,456 rows left")
        realm.body["quest"] = None
        realm.tell("quest_learned", "addition_level3.jsonl is learned.")
        await until(page, "window.struck === 1")
        await expect(page.locator(".hit")).to_have_count(0)
    finally:
        await realm.stop()


async def test_what_happens_is_played_once_and_not_again_on_reload(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "percent", "45 %")
    told_of, victor = ".happening.level .happening-told", '#sprite-hero[data-doing="victorious"]'
    await record(page, told_of, victor)
    realm.saga.append("hero_level_up", "Seedling reaches level 1", now=datetime.now(UTC) - timedelta(hours=1))
    realm.saga.append("hero_level_up", "Seedling reaches level 2", now=datetime.now(UTC), data={"level": 2})
    await recorded(page, told_of, "Seedling reaches level 2")
    await recorded(page, victor)
    await page.reload()
    await show_text(page, "percent", "45 %")
    await expect(page.locator("#log li").first).to_contain_text("Seedling reaches level 2")
    await expect(page.locator(".happening")).to_have_count(0)
    fought = realm.body["quest"]["quest_id"]
    realm.body.update(quest=None)
    realm.tell("note", "The battle is over.")
    await expect(page.locator("#quest-name")).not_to_have_text("addition_level3.jsonl")
    await record(page, ".happening.learned", ".falling", ".falling ~ .falling")
    for number in range(20):
        told = {"quest_id": fought}
        realm.saga.append("quest_learned", f"quest {number} is learned", now=datetime.now(UTC), data=told)
    # F17: one scene for all of them.
    await recorded(page, ".happening.learned", "Quest complete20 quests are learned")
    realm.tell("quest_sealed", "It is sealed.")
    await expect(page.locator("#log li").first).to_contain_text("It is sealed.")
    await recorded(page, ".falling")
    assert ".falling ~ .falling " not in await page.evaluate("window.sightings"), "it falls once"


async def test_news_of_an_enemy_that_was_never_seen_breaks_nothing(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F10: the page was opened after the battle, and the event says no more than its sentence."""
    realm.body.update(quest=None)
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "quest-name", "The next quest is about to come")
    told = "train_BIN_level1_512_20261122_054511.jsonl is learned"
    realm.tell("quest_learned", told)
    await expect(page.locator(".happening.learned")).to_contain_text(told)
    await expect(page.locator(".falling")).to_have_count(0)
    newest = page.locator("#log li").first
    await expect(newest).to_have_attribute("data-tone", "quest")
    # A long name may be broken at its joints, and is still the same text.
    await expect(newest.locator("bdi")).to_have_text(told)
    await expect(newest.locator("wbr")).to_have_count(5)


async def test_a_wound_is_seen_by_everybody_until_it_heals(realm: ScriptedRealm, open_page: OpenPage) -> None:
    spike = {"id": 3, "at": realm.time(), "kind": "spike", "message": "The loss spiked.", "data": None}
    realm.body["mood"] = {"wound": spike, "rise": None}
    page = await open_page(realm.site.url)
    await expect(page.locator("[data-mood-shown]")).to_have_attribute("data-mood-shown", "wounded")
    await expect(page.get_by_role("img", name="The hero is wounded")).to_be_visible()
    realm.clock_error = timedelta(minutes=2)
    realm.strike(rows=2944, step=1240, loss=0.4)
    await expect(page.locator("[data-mood-shown]")).to_have_attribute("data-mood-shown", "fighting")


async def test_sound_is_off_until_somebody_turns_it_on(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    toggle = page.get_by_role("button", name="Sound")
    await expect(toggle).to_have_attribute("aria-pressed", "false")
    await toggle.press("Enter")
    await expect(toggle).to_have_attribute("aria-pressed", "true")
    realm.strike(rows=3200, step=1250, loss=0.4)
    await page.reload()
    await expect(page.get_by_role("button", name="Sound")).to_have_attribute("aria-pressed", "true")


async def test_why_nothing_happens_and_what_helps(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F14, F17: the remedy is a wish like any other, and nothing is told of a realm that is not heard."""
    cause = {
        "kind": "paused", "weight": "halt", "message": "Training is paused: <b>dinner</b>", "since": realm.time(),
        "until": None, "remedies": [{"action": "resume", "command": "realm resume"}],
    }  # fmt: skip
    realm.body["momentum"] = {"moving": False, "state": "paused", "causes": [cause]}
    realm.body["realm"]["state"] = "paused"
    page = await open_page(realm.site.url)
    await realm.watched()
    card = page.locator("#momentum")
    await expect(card).to_contain_text("No steps are made")
    await expect(card).to_contain_text("Training is paused: <b>dinner</b>")
    await expect(card).to_contain_text("realm resume")
    await card.get_by_role("button", name="Resume").click()
    await wait_until_async(lambda: realm.wishes == [("resume", None)], message="resume was not asked for")
    await expect(card).to_contain_text("Training is paused")
    realm.body["momentum"] = {"moving": True, "state": "training", "causes": []}
    realm.fulfil("resume")
    await expect(card).to_contain_text("Nothing stands in the way.")
    await realm.stop()
    await expect(card).to_contain_text("The realm is not heard")


async def test_the_machine_is_shown_as_far_as_it_is_known(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F18: 23.98 GB are 24. Law 7: what is not known is a dash, and a bar without a value."""
    realm.body["machine"].update(cpu_percent=None, gpus=1)
    realm.body["gpu"].update(name="RTX <4090>", utilization_pct=97, vram_used_gb=23.98, vram_total_gb=24.0)
    page = await open_page(realm.site.url)
    await show_text(page, "machine-cpu", "– of 2 cores")
    await show_text(page, "machine-gpu", "97 %, – °C")
    await show_text(page, "machine-vram", "24 of 24 GB")
    await expect(page.locator("#machine")).to_contain_text("RTX <4090>")
    realm.body["machine"].update(gpus=None)
    await page.reload()
    await show_text(page, "machine-gpu", "–")
    assert await page.locator("#cpu-bar").get_attribute("aria-valuenow") is None
    await expect(page.get_by_role("meter", name="RAM")).to_have_attribute("aria-valuenow", "5.1")


async def test_stillness_goes_for_the_pictures_too(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url, reduced_motion="reduce")
    await realm.watched()
    hero = page.locator("#sprite-hero")
    before = await hero.evaluate(FRAME_OF)
    realm.strike(rows=3200, step=1250, loss=0.4)
    await expect(page.locator(".hit")).to_have_count(1)
    assert await hero.evaluate(FRAME_OF) == before
    assert await page.evaluate("document.getAnimations().length") == 0

"""The pages of guild, skill and achievements in a real Chromium, over a real school."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.tavern.conftest import OpenPage
from tests.tavern.guild_realm import GuildRealm

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = '<img src=x onerror="document.title=1"><b>bold</b>'
FLIPPED = "\u202eevil\u202c"
ENDLESS = "word" * 450
"""As much of 10 kB as is kept of an answer."""


@pytest_asyncio.fixture(loop_scope="session")
async def guild(tmp_path: Path) -> AsyncIterator[GuildRealm]:
    realm = await GuildRealm(tmp_path).start()
    yield realm
    await realm.stop()


async def is_as_wide_as_the_window(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


async def test_a_guild_without_a_past_says_so_and_makes_nothing_up(guild: GuildRealm, open_page: OpenPage) -> None:
    """E17, F18: unknown is a dash, never 0; there is no placeholder. Phones see no page that is wider than they are."""
    page = await open_page(f"{guild.url}/guild", width=390, height=844)
    await expect(page.locator("[data-skill=bin] h3")).to_have_text("Binary Alchemy")
    await expect(page.locator("[data-skill=bin] .facts")).to_contain_text("Accuracy–")
    await expect(page.locator("#skills > li")).to_have_count(1)
    await expect(page.locator("#other-skills > li")).to_have_count(1)
    await expect(page.locator("#last-examinations .empty")).to_be_visible()
    await expect(page.locator("#data-health .empty")).to_be_visible()
    await expect(page.locator("#data-lineage .empty")).to_be_visible()
    await expect(page.locator("#school-state")).to_have_text("Writing")
    assert await is_as_wide_as_the_window(page)


async def test_the_guild_moves_on_with_what_is_examined(guild: GuildRealm, open_page: OpenPage) -> None:
    """F11, E10: cards show what is mastered and what is learned, and follow without a reload."""
    page = await open_page(f"{guild.url}/guild")
    await expect(page.locator("#total-level")).to_have_text("0")
    guild.judge("curriculum@1.0.0", passed=3, refused=1, why="line 3: too long")
    await guild.live_on(3)
    await expect(page.locator("#total-level")).to_have_text("1")
    card = page.locator("[data-skill=bin]")
    await expect(card.locator(".mastery-text")).to_have_text("1 of 30 levels mastered")
    await expect(card).to_contain_text("level 2")
    await expect(page.locator("#last-examinations tbody tr").first).to_contain_text("4 of 4")
    await page.reload()
    await expect(page.locator("#data-lineage tbody tr").first).to_contain_text("25 %")
    await page.locator("#last-examinations tbody a").first.click()
    await expect(page.locator("#exam")).to_be_visible()
    await expect(page.locator("#skill-name")).to_contain_text("Binary Alchemy")


RECORD_TOTALS = """
  window.totals = [];
  const look = () => {
    const now = document.querySelector("#total-level")?.textContent;
    if (now !== undefined && window.totals.at(-1) !== now) window.totals.push(now);
  };
  document.addEventListener("DOMContentLoaded", () =>
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true }));
"""


async def test_a_second_viewer_takes_no_total_of_the_first_back(guild: GuildRealm, open_page: OpenPage) -> None:
    """F2: totals of examinations sprang to 0 and back as soon as a second subscriber came. Both see the same."""
    await guild.live_on(3)
    viewers = []
    for _ in range(2):
        page = await open_page("about:blank")
        await page.add_init_script(RECORD_TOTALS)
        await page.goto(f"{guild.url}/guild")
        await expect(page.locator("#total-level")).to_have_text("1")
        viewers.append(page)
    facts = [await page.locator("[data-skill=bin] .facts dd").all_inner_texts() for page in viewers]
    assert facts[0] == facts[1]
    await guild.live_on(2)
    for page in viewers:
        await expect(page.locator("#total-level")).to_have_text("2")
        seen = await page.evaluate("window.totals")
        assert [total for total in seen if total != "–"] == ["1", "2"]
        assert "–" not in seen[1:], "it was known"


async def test_a_skill_shows_every_level_and_what_is_forgotten(guild: GuildRealm, open_page: OpenPage) -> None:
    await guild.live_on(4)
    await guild.live_on(3, lambda level, right: "0" if level == 1 else right)
    page = await open_page(f"{guild.url}/skill/bin")
    await expect(page.locator("#ladder .rung")).to_have_count(30)
    mastered = guild.pupil.mastered()
    await expect(page.locator("#mastered")).to_have_text(f"{mastered} of 30 levels mastered")
    await expect(page.locator('.rung[data-state="training"]')).to_have_text(str(mastered + 1))
    await expect(page.locator('.rung[data-state="forgotten"]').first).to_have_text("1")
    await expect(page.locator("#kept tr[data-state=forgotten]")).to_contain_text("being forgotten")
    await page.get_by_role("button", name="Level 1, below its threshold").click()
    await page.get_by_role("button", name="Show the held-out problems").click()
    await expect(page.locator("#held-out tbody tr")).to_have_count(5)
    await expect(page.locator("#level-open")).to_contain_text("none of them is ever taught")
    await expect(page.locator("#curve svg .point").first).to_be_attached()


async def test_an_examination_shows_every_answer_as_text(guild: GuildRealm, open_page: OpenPage) -> None:
    """E7: unknown is not wrong. Whatever a model says is text, and no word is wider than the page."""
    odd = iter([MARKUP, FLIPPED, ENDLESS, None])
    await guild.live_on(1, lambda level, right: next(odd, right))
    page = await open_page(f"{guild.url}/skill/bin?exam=bin-1", width=390, height=844)
    answers = page.locator("#answers > li")
    await expect(answers.nth(0)).to_contain_text(MARKUP)
    await expect(answers.nth(0).locator("img, b")).to_have_count(0)
    await expect(answers.nth(1).locator("bdi").last).to_have_text(FLIPPED)
    await expect(answers.nth(2)).to_contain_text(ENDLESS)
    await expect(answers.nth(3)).to_have_attribute("data-verdict", "unknown")
    await expect(answers.nth(3)).to_contain_text("could not be asked")
    await expect(page.locator("#exam .parts")).to_contain_text("0 of 4 right, 1 unknown")
    assert await is_as_wide_as_the_window(page)
    await page.get_by_role("button", name="unknown 1").click()
    await expect(answers).to_have_count(1)


async def test_a_level_is_set_and_taken_back_after_a_question(guild: GuildRealm, open_page: OpenPage) -> None:
    """F14: the page shows the level that the realm tells, never the one that was asked for."""
    await guild.live_on(1)
    page = await open_page(f"{guild.url}/skill/bin")
    await page.locator("#level-wanted").fill("7")
    await page.locator("#set-level").click()
    await page.locator("#confirm").get_by_role("button", name="Cancel").click()
    await expect(page.locator("#mastered")).to_have_text("1 of 30 levels mastered")
    await page.locator("#set-level").click()
    await page.locator("#confirm-yes").click()
    await expect(page.locator("#mastered")).to_have_text("7 of 30 levels mastered")
    assert guild.pupil.mastered() == 7
    await page.locator("#level-wanted").fill("31")
    await expect(page.locator("#set-level")).to_be_disabled()
    await page.locator("#reset-skill").click()
    await page.locator("#confirm-yes").click()
    await expect(page.locator("#mastered")).to_have_text("0 of 30 levels mastered")
    assert guild.pupil.mastered() == 0


async def test_a_skill_that_is_not_there_is_told(guild: GuildRealm, open_page: OpenPage) -> None:
    page = await open_page(f"{guild.url}/skill/chess")
    await expect(page.locator("main")).to_contain_text("There is no such skill.")


async def test_the_wall_shows_what_is_earned_and_how_far_the_others_are(guild: GuildRealm, open_page: OpenPage) -> None:
    """F18: medals are drawn. What is earned comes without a reload."""
    page = await open_page(f"{guild.url}/achievements")
    first = page.locator("[data-name=quests_1]")
    await expect(first).to_have_attribute("data-earned", "false")
    await expect(page.locator("[data-name=steps_1000]")).to_contain_text("– of 1,000")
    guild.pupil.report.quests_completed = 4
    await guild.live_on(1)
    await guild.keeper.look_once()
    await expect(first).to_have_attribute("data-earned", "true")
    await expect(first.locator(".why")).to_have_text("4 quests are learned.")
    await expect(page.locator("[data-name=quests_10] .meter")).to_have_attribute("aria-valuenow", "4")
    shown = await page.locator(".badge-card").count()
    assert shown == await page.locator(".badge-card .medal .emblem path").count() > 25
    await page.get_by_role("button", name="Earned", exact=True).click()
    await expect(page.locator("[data-earned=false]")).to_have_count(0)

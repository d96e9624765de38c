"""The page of the tavern in a real Chromium, served by a real site over a real event hub."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, expect

from tests.tavern.conftest import OpenPage
from tests.tavern.looking import make_wide, nodes_drawn
from tests.tavern.scripted_realm import SAMPLE, ScriptedRealm, now
from tests.waiting import PATIENCE_SECONDS, wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACTIONS = ("pause", "resume", "save", "skip", "stop")


async def enabled_buttons(page: Page) -> set[str]:
    return {action for action in ACTIONS if await page.locator(f"[data-action={action}]").is_enabled()}


async def show_text(page: Page, identifier: str, text: str) -> None:
    await expect(page.locator(f"#{identifier}")).to_have_text(text)


async def test_every_number_of_the_snapshot_stands_on_the_page(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    shown = {
        "state": "Training",
        "quest-name": "addition_level3.jsonl",
        "percent": "45 %",
        "rows-left": "3,520 rows left",
        "fact-rows": "2,880 / 6,400",
        "fact-step": "45 / 100",
        "fact-loss": "0.412",
        "fact-rate": "0.002",
        "fact-speed": "18,450",
        "fact-eta": "39 s",
        "hero-name": "Seedling",
        "hero-level": "1",
        "hero-xp": "1,234 steps (XP). 766 more to level 2.",
        "stat-atk": "2.43",
        "plain-atk": "1 / loss 0.412",
        "stat-def": "2.20",
        "stat-acc": "–",
        "stat-gold": "300",
        "plain-gold": "3 quests × 100",
        "lane-low": "11",
        "lane-awaiting_seal": "1",
        "lane-failed": "1",
        "checkpoint-name": "checkpoint-1189-20261121-0933",
        "checkpoint-step": "1,189",
        "checkpoint-size": "10.1 MB",
        "vault-count": "2 checkpoints kept",
    }
    for identifier, text in shown.items():
        await show_text(page, identifier, text)
    await expect(page.locator("#log li").first).to_contain_text("addition_level3.jsonl goes into battle")
    await expect(page.locator("#log li")).to_have_count(len(SAMPLE["events"]))
    await expect(page).to_have_title("45 % addition_level3.jsonl – Realm of Training")


async def test_progress_frames_move_the_page_without_a_new_snapshot(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F5: the bar follows the rows. F4: the level goes on from where it was."""
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "percent", "45 %")
    snapshots = realm.snapshots
    realm.strike(rows=4800, step=1289, loss=0.398)
    await show_text(page, "percent", "75 %")
    await show_text(page, "rows-left", "1,600 rows left")
    await show_text(page, "hero-xp", "1,289 steps (XP). 711 more to level 2.")
    await expect(page.locator("#health")).to_have_attribute("aria-valuenow", "1600")
    assert await page.locator("#health i").evaluate("bar => bar.style.transform") == "scaleX(0.25)"
    await expect(page.locator("#loss-caption")).to_contain_text("to 0.398 at step 1,289")
    assert realm.snapshots == snapshots


async def test_a_clock_that_is_set_back_does_not_freeze_the_page(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """Law 7: every frame and snapshot is older than the last one then, and yet the newest."""
    page = await open_page(realm.site.url)
    await realm.watched()
    realm.strike(rows=4800, step=1289, loss=0.398)
    await show_text(page, "percent", "75 %")
    realm.clock_error = timedelta(hours=-1)
    realm.strike(rows=5440, step=1299, loss=0.39)
    await show_text(page, "percent", "85 %")
    snapshots = realm.snapshots
    realm.strike(rows=6080, step=1309, loss=0.38)
    await show_text(page, "percent", "95 %")
    assert realm.snapshots == snapshots


async def test_an_event_appears_in_the_log_and_brings_the_new_counts(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await show_text(page, "lane-completed", "3")
    realm.body["queue"].update(completed=4)
    realm.tell("quest_completed", "addition_level3.jsonl is learned.")
    await expect(page.locator("#log li").first).to_contain_text("addition_level3.jsonl is learned.")
    await show_text(page, "lane-completed", "4")


async def test_a_storm_of_events_asks_for_at_most_one_snapshot_a_second(
    realm: ScriptedRealm, open_page: OpenPage
) -> None:
    """F17: neither toasts nor requests rain down when many things happen at once."""
    page = await open_page(realm.site.url)
    await realm.watched()
    await expect(page.locator("#log li")).to_have_count(len(SAMPLE["events"]))
    before, started = realm.snapshots, time.monotonic()
    for number in range(60):
        realm.tell("quest_accepted", f"quest {number} entered the board.")
        await expect(page.locator("#log li").first).to_contain_text(f"quest {number} ")
    elapsed = time.monotonic() - started
    await expect(page.locator("#log li")).to_have_count(30)
    assert 1 <= realm.snapshots - before <= elapsed + 2


async def test_unknown_numbers_are_dashes_and_never_zero(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F1: no `|| 0`. F18: no placeholder such as null, NaN or undefined is shown literally."""
    body = realm.body
    body["hero"].update(level=None, xp=None, atk=None, gold=None)
    body["hero"]["def"] = None
    body["training"] = {"status": "unknown", "stale": True}
    body["quest"] = dict.fromkeys(body["quest"]) | {"quest_id": "q", "file": "first.jsonl"}
    body["queue"] = dict.fromkeys(body["queue"])
    body["inbox"] = {"waiting": None, "left_lying": None, "named": [], "blocked": None}
    body.update(loss=[], validation=[], checkpoint={"latest": None, "count": None})
    page = await open_page(realm.site.url)
    await show_text(page, "quest-name", "first.jsonl")
    for identifier in ("percent", "fact-loss", "fact-eta", "hero-level", "stat-atk", "stat-gold", "lane-high"):
        await show_text(page, identifier, "–")
    await show_text(page, "fact-rows", "– / –")
    await show_text(page, "checkpoint-name", "No checkpoint yet.")
    assert await page.locator("#health").get_attribute("aria-valuenow") is None
    words = await page.locator("body").inner_text()
    assert re.search(r"null|undefined|NaN|\[object|Infinity", words) is None, words


async def test_what_is_left_lying_in_the_inbox_is_named_until_it_is_gone(
    realm: ScriptedRealm, open_page: OpenPage
) -> None:
    """F3: the page shows what lies there, not what was told of it once; and no board is empty while quests wait."""
    realm.body["inbox"] |= {"left_lying": 12, "blocked": "The disk is full."}
    realm.body.update(quest=None)
    realm.body["realm"].update(state="preparing")
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "left-title", "12 files are left lying in the inbox:")
    lines = page.locator("#left li")
    await expect(lines.first).to_contain_text("holiday.png: only *.jsonl files are read")
    await expect(lines.last).to_have_text("and 10 more")
    await show_text(page, "blocked", "The disk is full.")
    await show_text(page, "quest-name", "The next quest is about to come")
    frame = {"timestamp": now(), "inbox": {"waiting": 0, "left_lying": 0, "named": [], "blocked": None}}
    realm.hub.publish_progress(lambda: frame)
    for identifier in ("left-lying", "blocked"):
        await expect(page.locator(f"#{identifier}")).to_be_hidden()


async def test_a_late_snapshot_does_not_turn_the_step_back(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F1: a frame that arrives while an older snapshot is still under way wins."""
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "percent", "45 %")
    asked, release = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        asked.set()
        await release.wait()

    realm.before_snapshot = hold
    realm.body["queue"].update(completed=9)
    realm.tell("checkpoint_saved", "A checkpoint is saved.")
    await asyncio.wait_for(asked.wait(), PATIENCE_SECONDS)
    realm.strike(rows=6016, step=1283, loss=0.4)
    await show_text(page, "percent", "94 %")
    release.set()
    await show_text(page, "lane-completed", "9")
    await show_text(page, "percent", "94 %")
    await expect(page.locator("#loss-caption")).to_contain_text("at step 1,283")


async def test_a_rewound_run_does_not_draw_its_steps_twice(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F9: after a replay the curve goes on from the step that is trained again."""
    page = await open_page(realm.site.url)
    await realm.watched()
    await show_text(page, "percent", "45 %")
    realm.strike(rows=2900, step=1200, loss=0.5)
    await expect(page.locator("#loss-caption")).to_contain_text("to 0.500 at step 1,200.")
    await expect(page.locator("#loss-chart .chart")).to_have_attribute("data-last", "1200")


async def test_the_page_says_away_and_comes_back_by_itself(
    realm: ScriptedRealm, open_page: OpenPage, tmp_path: Path
) -> None:
    """F3: without a server the page never goes on saying training."""
    page = await open_page(realm.site.url)
    await show_text(page, "percent", "45 %")
    await realm.stop()
    await show_text(page, "state", "Away")
    await expect(page.get_by_role("alert")).to_contain_text("The realm is away")
    await expect(page).to_have_title("Away – Realm of Training")
    assert await enabled_buttons(page) == set()
    await show_text(page, "fact-loss", "0.412")
    again = ScriptedRealm(tmp_path, port=realm.site.port)
    again.body["quest"].update(rows_done=6400)
    await again.start()
    try:
        await show_text(page, "state", "Training")
        await show_text(page, "percent", "100 %")
        await expect(page).to_have_title("100 % addition_level3.jsonl – Realm of Training")
        await expect(page.locator("#away")).to_be_hidden()
        await again.watched()
        again.strike(rows=6400, step=1290, loss=0.35)
        await show_text(page, "fact-loss", "0.350")
    finally:
        await again.stop()


async def test_an_error_answer_is_told_in_its_own_words(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F16: an error answer is not read as data."""
    realm.away = True
    page = await open_page(realm.site.url)
    await expect(page.get_by_role("alert")).to_contain_text("The daemon is away.")
    realm.away = False
    await show_text(page, "state", "Training")


async def test_an_answer_that_is_no_json_is_survived(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F16: a proxy's HTML error page blanks nothing."""
    page = await open_page(realm.site.url)
    await show_text(page, "state", "Training")

    async def refuse(route: Route) -> None:
        await route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

    await page.route("**/api/daemon/control", refuse)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#toasts")).to_contain_text("status 502")


async def test_a_quest_name_with_markup_stays_text(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """Stored XSS by file name (spec section 5): shown as written, in the page, the log and the dialog."""
    name = "<img src=x onerror=alert(1)>"
    realm.body["quest"].update(file=name)
    realm.body["realm"].update(reason=name)
    realm.tell("quest_claimed", f"{name} goes into battle.")
    page = await open_page(realm.site.url)
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    await show_text(page, "quest-name", name)
    await expect(page.locator("#log li").first).to_contain_text(name)
    await page.get_by_role("button", name="Skip quest").click()
    await expect(page.locator("#confirm-title")).to_have_text(f"Skip {name}?")
    assert await page.locator("img").count() == 1, "only the crest is an image"


async def test_buttons_follow_the_reported_state(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F14: what can be pressed is what the daemon reports."""
    allowed = {
        "Training": {"pause", "save", "skip", "stop"},
        "Paused": {"resume", "save", "skip", "stop"},
        "Stopped": {"resume"},
        "Starting": {"pause", "stop"},
        "Unknown": set[str](),
    }
    page = await open_page(realm.site.url)
    await realm.watched()
    for shown, enabled in allowed.items():
        realm.show_state(shown.lower())
        await show_text(page, "state", shown)
        assert await enabled_buttons(page) == enabled, shown
    realm.show_state("training")
    await show_text(page, "state", "Training")
    realm.show_state("a word of a later version")
    await show_text(page, "state", "Unknown")
    assert await enabled_buttons(page) == set()


async def test_save_and_skip_need_a_quest(realm: ScriptedRealm, open_page: OpenPage) -> None:
    realm.body.update(quest=None, queue=dict.fromkeys(realm.body["queue"], 0))
    realm.body["realm"].update(state="idle")
    page = await open_page(realm.site.url)
    await expect(page.locator("#battle-hint")).to_contain_text("Drop a JSONL file into inbox/")
    await expect(page.locator("#quest-name")).to_have_text("The board is empty")
    assert await enabled_buttons(page) == {"pause", "stop"}


async def test_a_click_changes_nothing_until_the_daemon_reports_it(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F14: the state shown is the daemon's, not the button's."""
    page = await open_page(realm.site.url)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#answer")).to_have_text("pause takes effect after the present step.")
    await show_text(page, "state", "Training")
    assert realm.wishes == [("pause", None)]
    assert "pause" in await enabled_buttons(page)
    realm.fulfil("pause")
    await show_text(page, "state", "Paused")
    await expect(page.get_by_role("button", name="Pause")).to_be_disabled()
    await expect(page.get_by_role("button", name="Resume")).to_be_focused()
    await page.keyboard.press("Enter")
    await wait_until_async(lambda: realm.wishes[-1] == ("resume", None), message="resume was not asked for")


async def test_a_refused_wish_is_told_with_its_reason(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await page.get_by_role("button", name="Save now").click()
    await expect(page.locator("#toasts")).to_contain_text("A checkpoint is being written already. Wait for it.")


async def test_skip_asks_first_and_escape_keeps_fighting(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await page.get_by_role("button", name="Skip quest").click()
    await expect(page.locator("#confirm-text")).to_contain_text("2,880 of 6,400 rows are learned")
    await page.keyboard.press("Escape")
    await expect(page.locator("#confirm")).to_be_hidden()
    assert realm.wishes == []
    await page.get_by_role("button", name="Skip quest").click()
    await page.get_by_role("button", name="Skip it").click()
    await wait_until_async(lambda: realm.wishes == [("skip", None)], message="skip was not asked for")


async def test_skip_spares_the_quest_that_began_while_it_was_asked(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F14: who confirmed to skip one quest must not lose another."""
    page = await open_page(realm.site.url)
    await realm.watched()
    await page.get_by_role("button", name="Skip quest").click()
    await expect(page.locator("#confirm-title")).to_have_text("Skip addition_level3.jsonl?")
    realm.body["quest"].update(quest_id="q_20261121_093330_00000000", file="next.jsonl")
    realm.strike(rows=1, step=1290, loss=0.3)
    await expect(page).to_have_title(re.compile("next"))
    await page.get_by_role("button", name="Skip it").click()
    await expect(page.locator("#answer")).to_have_text("addition_level3.jsonl is over already: nothing was skipped.")
    assert realm.wishes == []


async def test_no_width_scrolls_sideways(realm: ScriptedRealm, open_page: OpenPage) -> None:
    realm.body["quest"].update(file="a_name_without_any_place_to_break_" * 6 + ".jsonl")
    page = await open_page(realm.site.url)
    await show_text(page, "state", "Training")
    for width in (320, 390, 768, 1440):
        await make_wide(page, width, 844)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_light_and_dark_follow_the_system(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url, color_scheme="light")
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.emulate_media(color_scheme="dark")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != light


async def test_nothing_moves_for_people_who_asked_for_stillness(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url, reduced_motion="reduce")
    await realm.watched()
    await show_text(page, "state", "Training")
    realm.strike(rows=3200, step=1239, loss=0.4)
    await show_text(page, "percent", "50 %")
    assert await page.evaluate("document.getAnimations().length") == 0


async def test_the_page_is_worked_by_keyboard_and_read_aloud(realm: ScriptedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url)
    await show_text(page, "state", "Training")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Pause")).to_be_focused()
    await page.get_by_role("link", name="Skip to the content").press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await expect(page.get_by_role("status").filter(has_text="Training")).to_have_count(1)
    await expect(page.get_by_role("meter", name="Rows left to learn")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Realm of Training")
    await expect(page.get_by_role("img", name="From 5.400 at step 4 to 0.412 at step 1,234.")).to_be_visible()


async def test_the_browser_talks_to_its_own_port_only(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """F15: no address is written into the scripts."""
    asked: list[str] = []
    page = await open_page("about:blank")
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{realm.site.url.replace('127.0.0.1', 'localhost')}/game")
    await show_text(page, "state", "Training")
    own = f"http://localhost:{realm.site.port}/"
    assert [url for url in asked if not url.startswith(own)] == []
    await wait_until_async(lambda: any("/api/events/stream?last_event_id=6" in url for url in asked))


async def test_names_that_follow_each_other_in_one_place_keep_their_words_in_order(
    realm: ScriptedRealm, open_page: OpenPage
) -> None:
    """F9: the words of the next quest's name stood in another order than in its file."""
    page = await open_page(realm.site.url)
    texts = [
        "word0 some_other_long_name_of_file.jsonl", "customer_support_dialogues_part word1", "short.jsonl",
        "a b_c_d_e_f_g_h_i_j_k_l_m_n_o_p q",
    ]  # fmt: skip
    shown = await page.evaluate(
        """async (texts) => {
          const { html, render } = await import("/static/preact.js");
          const { Breakable } = await import("/static/parts/breakable.js");
          const place = document.createElement("div");
          return texts.map((text) => (render(html`<${Breakable} text=${text} />`, place), place.textContent));
        }""",
        texts,
    )
    assert shown == texts


async def test_what_has_left_a_list_is_freed(realm: ScriptedRealm, open_page: OpenPage) -> None:
    """One element that is drawn a second time keeps the first drawing, and through it every row that came after."""
    page = await open_page(realm.site.url)
    await page.evaluate(
        """async () => {
          const { html, render } = await import("/static/preact.js");
          const { Breakable } = await import("/static/parts/breakable.js");
          const { Picture, Sprite } = await import("/static/parts/sprites/sprite.js");
          const [place, picture, rows] = [document.createElement("div"), ["ow", "wo"], [...Array(20).keys()]];
          const Row = ({ name }) => html`<p><b>never another</b> <${Breakable} text=${name} /></p>`;
          const item = (number) => html`<li key=${number}><${Row} name=${`a_quest_with_long_name_${number}`} /></li>`;
          window.drawFrom = (first) => render(html`
            <div>
              <${Sprite} name="coin" /> <${Picture} rows=${picture} />
              <ul>${rows.map((row) => item(first + row))}</ul>
            </div>
          `, place);
        }"""
    )
    few = await nodes_drawn(page, 1)
    assert await nodes_drawn(page, 400) < few + 500

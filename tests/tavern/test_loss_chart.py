"""The loss curve in a real Chromium: all of it, any part of it, live, by mouse and key, and never a step twice."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.tavern.conftest import OpenPage
from tests.tavern.storied_realm import SPIKE, STEPS, StoriedRealm
from tests.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def realm(tmp_path: Path) -> AsyncIterator[StoriedRealm]:
    realm = StoriedRealm.make(tmp_path, steps=STEPS)
    await realm.start()
    yield realm
    await realm.stop()


async def drawn(page: Page) -> dict[str, int]:
    """What the canvas shows, by its element's own account."""
    data = await page.locator("#loss-chart .chart").evaluate("chart => ({...chart.dataset})")
    return {name: int(value) for name, value in data.items() if name != "told"}


async def wait_for(page: Page, **wanted: Any) -> dict[str, int]:
    chart = page.locator("#loss-chart .chart")
    for name, value in wanted.items():
        await expect(chart).to_have_attribute(f"data-{name}", str(value))
    return await drawn(page)


async def test_the_whole_life_is_drawn_and_each_part_as_fine_as_it_was(
    realm: StoriedRealm, open_page: OpenPage
) -> None:
    page = await open_page(realm.site.url)
    whole = await wait_for(page, resolution=64, last=STEPS)
    assert 300 < whole["entries"] <= 1000
    await expect(page.locator("#loss-caption")).to_contain_text(f"to 1.190 at step {STEPS:,}")
    await page.locator("#loss-chart").scroll_into_view_if_needed()
    box = await page.locator("#loss-chart .u-over").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    left, right = (box["x"] + box["width"] * (SPIKE + offset) / STEPS for offset in (-300, 300))
    await page.mouse.move(left, middle)
    await page.mouse.down()
    await page.mouse.move(right, middle, steps=4)
    await page.mouse.up()
    part = await wait_for(page, resolution=1)
    assert SPIKE - 500 < part["first"] < SPIKE < part["last"] < SPIKE + 500
    await expect(page.locator("#loss-chart")).to_have_attribute("data-zoomed", "true")
    place = box["x"] + box["width"] * (SPIKE - part["first"]) / (part["last"] - part["first"])
    await page.mouse.move(place, middle)
    await expect(page.locator(".chart-place")).to_contain_text("loss 50.0")
    await page.mouse.dblclick(place, middle)
    await wait_for(page, resolution=64, last=STEPS)
    await expect(page.locator("#loss-chart")).to_have_attribute("data-zoomed", "false")


async def test_keys_and_buttons_do_what_the_mouse_does(realm: StoriedRealm, open_page: OpenPage) -> None:
    page = await open_page(realm.site.url, width=390, height=844)
    await wait_for(page, resolution=64)
    await expect(page.get_by_role("button", name="Show all steps")).to_be_disabled()
    await page.get_by_role("group", name="Loss curve").focus()
    for _ in range(4):
        await page.keyboard.press("+")
    await expect(page.locator(".chart-place")).to_have_text("Steps 9,376 to 10,625")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator(".chart-place")).to_have_text("Steps 9,688 to 10,937")
    await wait_for(page, resolution=2)
    await page.get_by_role("button", name="Earlier steps").click()
    await expect(page.locator(".chart-place")).to_have_text("Steps 9,064 to 10,313")
    await page.get_by_role("button", name="Show more steps").click()
    await page.get_by_role("group", name="Loss curve").press("0")
    await wait_for(page, resolution=64)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_two_fingers_zoom_and_one_moves(realm: StoriedRealm, open_page: OpenPage) -> None:
    """On a phone there is no drag that the page would not take for scrolling."""
    page = await open_page(realm.site.url, width=390, height=844, has_touch=True, is_mobile=True)
    await wait_for(page, resolution=64)
    await expect(page.locator(".chart-place")).to_have_text("All steps. Pinch to zoom.")
    await page.locator("#loss-chart .u-over").evaluate(
        """area => {
            const { left, top, width } = area.getBoundingClientRect();
            const touch = (type, pointerId, part) => area.dispatchEvent(new PointerEvent(type, {
                pointerId, pointerType: "touch", bubbles: true, clientX: left + part * width, clientY: top + 20 }));
            touch("pointerdown", 1, 0.4);
            touch("pointerdown", 2, 0.6);
            touch("pointermove", 2, 0.8);
            touch("pointerup", 1, 0.4);
            touch("pointerup", 2, 0.8);
        }"""
    )
    await expect(page.locator(".chart-place")).to_have_text(re.compile(r"Steps [\d,]+ to [\d,]+"))
    part = await page.locator(".chart-place").inner_text()
    await page.locator("#loss-chart .u-over").evaluate(
        """area => {
            const { left, top, width } = area.getBoundingClientRect();
            for (const [type, part] of [["pointerdown", 0.3], ["pointermove", 0.4], ["pointerup", 0.4]]) {
                const place = { clientX: left + part * width, clientY: top + 20 };
                area.dispatchEvent(new PointerEvent(type, { pointerId: 1, pointerType: "touch", ...place }));
            }
        }"""
    )
    await expect(page.locator(".chart-place")).not_to_have_text(part)


async def test_steps_come_to_the_end_of_the_curve_each_once_and_a_replay_cuts_it_back(
    realm: StoriedRealm, open_page: OpenPage
) -> None:
    """F9: the same points came by polling and by events; after a rewind they were drawn twice."""
    page = await open_page(realm.site.url)
    before = await wait_for(page, resolution=64, last=STEPS)
    await realm.watched()
    realm.train((STEPS + 1, 0.9), (STEPS + 2, 0.8))
    after = await wait_for(page, last=STEPS + 2)
    assert before["entries"] <= after["entries"] <= before["entries"] + 1
    realm.train((STEPS + 2, 0.8), (STEPS + 3, 0.7))
    await wait_for(page, last=STEPS + 3)
    realm.saga.cut_back(15_000)
    realm.train((15_001, 0.6))
    await wait_for(page, last=15_001)
    realm.tell("trainer_ready", "Seedling is awake at step 15,000")
    await wait_until_async(lambda: realm.snapshots > 1, message="no new snapshot")
    assert (await wait_for(page, last=15_001))["resolution"] in {16, 32, 64}
    # Rewound, and no step made since: what was taken back is gone although no frame tells of another loss.
    realm.saga.cut_back(14_000)
    realm.body["training"].update(current_step=14_000, loss=None, train_loss_history=[])
    realm.tell("rewound", "Seedling is back at step 14,000")
    await wait_for(page, last=14_000)


async def test_what_is_measured_while_one_looks_is_drawn(realm: StoriedRealm, open_page: OpenPage) -> None:
    """Losses on the validation rows were drawn up to where the page had been opened, for as long as it stayed open."""
    page = await open_page(realm.site.url)
    await wait_for(page, told="true", last=STEPS)
    await realm.watched()
    realm.train((STEPS + 150, 0.9))
    realm.body["validation"].append([STEPS + 150, 1.5])
    realm.tell("checkpoint_saved", "A checkpoint is saved.")
    await expect(page.locator("#loss-caption")).to_contain_text("1.500")
    await wait_for(page, last=STEPS + 150)
    area = page.locator("#loss-chart .u-over")
    await area.scroll_into_view_if_needed()
    box = await area.bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + box["width"] - 1, box["y"] + box["height"] / 2)
    await expect(page.locator(".chart-place")).to_contain_text("validation 1.500")


async def test_what_could_not_be_had_is_asked_for_again(realm: StoriedRealm, open_page: OpenPage) -> None:
    """One answer that failed, as while a disk was busy, and the card told of it until the next event, or for ever."""
    refused = 0
    is_busy = True

    async def answer(route: Route) -> None:
        nonlocal refused
        if not is_busy:
            await route.continue_()
            return
        refused += 1
        await route.fulfill(status=503, json={"message": "The disk is busy."})

    page = await open_page("about:blank")
    await page.route("**/api/series/train_loss?points=1000", answer)
    await page.clock.install()
    await page.goto(realm.site.url)
    await expect(page.locator("#state")).to_have_text("Training")
    await wait_until_async(lambda: refused > 0, message="it is not asked for")
    before = refused
    await page.clock.fast_forward(2000)
    await wait_until_async(lambda: refused > before, message="it is not asked for again")
    is_busy = False
    await page.clock.fast_forward(4000)
    await wait_for(page, told="true", last=STEPS)


async def test_curves_in_numbers(realm: StoriedRealm, open_page: OpenPage) -> None:
    """The parts of the chart that need no canvas."""
    page = await open_page(f"{realm.site.url}/battle-log")
    found = await page.evaluate(
        """async () => {
            const parts = await import("/static/parts/curve.js");
            const { aligned, cut, extended, followed, moved, ofPoints, upTo, zoomed } = parts;
            const coarse = { resolution: 10, steps: [9, 15], values: [2, 3], lows: [1, 2], highs: [5, 4] };
            return {
              unknown: ofPoints([[1, null], [2, 0.5]]).steps,
              goesOn: followed([[1, 1], [2, 2]], [[2, 2], [3, 3], [4, null]]),
              replays: followed([[5, 1], [6, 2], [7, 3]], [[6, 9]]),
              still: followed([[5, 1]], [[5, 1]]),
              rewound: [upTo([[5, 1], [6, 2]], 5), upTo([[5, 1]], 5), upTo([[5, 1]], null), upTo([], 5)],
              cut: cut(coarse, 9).steps,
              whole: cut(coarse, 99) === coarse,
              live: extended(coarse, [[15, 9], [16, 6], [18, 2], [21, 1]]),
              aligned: aligned([ofPoints([[1, 1], [3, 3]]), ofPoints([[2, 7]])]),
              in: zoomed([0, 100], 0.5, 20, [0, 100]),
              out: zoomed([10, 30], 4, 20, [0, 60]),
              right: moved([10, 30], 5, [0, 60]),
            };
        }"""
    )
    assert found == {
        "unknown": [2],
        "goesOn": [[1, 1], [2, 2], [3, 3]],
        "replays": [[5, 1], [6, 9]],
        "still": [[5, 1]],
        "rewound": [[[5, 1]], [[5, 1]], [], []],
        "cut": [9],
        "whole": True,
        "live": {
            "resolution": 10, "steps": [9, 15, 18, 21], "values": [2, 3, 4, 1], "lows": [1, 2, 2, 1],
            "highs": [5, 4, 6, 1],
        },
        "aligned": [[1, 2, 3], [1, None, 3], [1, None, 3], [1, None, 3], *3 * [[None, 7, None]]],
        "in": [10, 60],
        "out": [0, 60],
        "right": [40, 60],
    }  # fmt: skip

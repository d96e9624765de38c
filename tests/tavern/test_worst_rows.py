"""The Inspector tells which rows of a learned quest were learned worst, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import expect

from arena.rowbook import SUFFIX
from arena.rowbook.row_book import Claimed, RowBook
from docs.make_reference import idle_realm
from tests.arena.gatekeepers.scroll_making import chat, lines
from tests.arena.quest_makers import admit, drop
from tests.tavern.conftest import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = 12
MARKUP = "<b>bold</b>"


async def test_the_rows_learned_worst_come_first_and_in_pages(tmp_path: Path, open_page: OpenPage) -> None:
    with idle_realm(tmp_path) as (daemon, sites):
        text = lines(*[chat("yes", f"{MARKUP} {number}") for number in range(1, ROWS + 1)]).decode()
        quest = admit(daemon.board, drop(daemon.paths, "sums.jsonl", text.removesuffix("\n")))
        new = admit(daemon.board, drop(daemon.paths, "new.jsonl"))
        book = RowBook(Claimed(b"0123456789abcdef", 1, ROWS, quest.record.content_hash))
        book.note(np.arange(ROWS), np.linspace(0.1, 1.2, ROWS, dtype=np.float32), 3, first=True)
        daemon.paths.row_books.mkdir(parents=True, exist_ok=True)
        book.write(daemon.paths.row_books / f"{quest.quest_id}{SUFFIX}")
        await sites[0].start()
        try:
            page = await open_page(f"{sites[0].url}/quests/{quest.quest_id}")
            worst = page.locator("#worst tbody tr")
            await expect(worst).to_have_count(8)
            await expect(worst.first).to_contain_text(f"Row {ROWS}")
            await expect(worst.first).to_contain_text(f"{MARKUP} {ROWS}")
            await expect(worst.first).to_contain_text("1.20")
            await page.locator("#worst").get_by_role("button", name="Next").click()
            await expect(worst).to_have_count(ROWS - 8)
            await expect(worst.last).to_contain_text("Row 1 ")
            await page.goto(f"{sites[0].url}/quests/{new.quest_id}")
            await expect(page.locator("#story")).to_be_visible()
            await expect(page.locator("#worst")).to_have_count(0)
        finally:
            await sites[0].stop()

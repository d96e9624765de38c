"""Which rows of a quest were learned worst, over HTTP: in pages, by loss or in the order of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.rowbook import SUFFIX, desk
from arena.rowbook.desk import RowDesk
from arena.rowbook.routes import rowbook_routes
from arena.rowbook.row_book import Claimed, RowBook
from core.paths import RealmPaths
from tests.arena.academy.pupil import InlineScribe
from tests.arena.quest_makers import make_realm, take
from tests.serving import serving

LOSSES = [0.5, 2.5, float("nan"), 1.5, 0.25]
"""Last losses by row; of the third nobody knows one."""


def rows() -> Iterator[str]:
    for number in range(1, len(LOSSES) + 1):
        chat = [{"role": "user", "content": f"<b>{number}</b>"}, {"role": "assistant", "content": f"answer {number}"}]
        yield json.dumps({"messages": chat})


@pytest.fixture
def quest(tmp_path: Path) -> Quest:
    paths = make_realm(tmp_path)
    quest = take(QuestBoard(paths), "sums.jsonl", content="\n".join(rows()) + "\n")
    book = RowBook(Claimed(b"0123456789abcdef", 1, len(LOSSES), quest.record.content_hash))
    known = np.flatnonzero(np.isfinite(LOSSES))
    book.note(known, np.array(LOSSES, dtype=np.float32)[known], 7, first=True)
    paths.row_books.mkdir(parents=True, exist_ok=True)
    book.write(paths.row_books / f"{quest.quest_id}{SUFFIX}")
    return quest


async def ask(tmp_path: Path, path: str, status: int = 200) -> Any:
    told_by = RowDesk(QuestBoard(RealmPaths(tmp_path)), InlineScribe().run)
    async with serving(rowbook_routes(told_by)) as visitor:
        answer = await visitor.get(path)
        assert answer.status == status, answer.text
        return answer.body


@pytest.mark.parametrize("small_bytes", [desk.SMALL_BYTES, 0], ids=["here", "by the scribe"])
async def test_rows_come_worst_first_in_pages(
    tmp_path: Path, quest: Quest, small_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "SMALL_BYTES", small_bytes)
    whole = await ask(tmp_path, f"/api/quests/{quest.quest_id}/row-losses")
    assert [row["row"] for row in whole["shown"]] == [2, 4, 1, 5]
    assert (whole["rows"], whole["rows_known"]) == (5, 4)
    assert whole["shown"][0]["preview"] == "<b>2</b> → answer 2"
    paged = [
        await ask(tmp_path, f"/api/quests/sums.jsonl/row-losses?limit=3&offset={offset}") for offset in (0, 3, 400)
    ]
    assert [row for page in paged for row in page["shown"]] == whole["shown"]
    in_order = await ask(tmp_path, "/api/quests/sums.jsonl/row-losses?order=file&limit=2&offset=1")
    assert [(row["row"], row["last_loss"]) for row in in_order["shown"]] == [(2, 2.5), (4, 1.5)]


async def test_a_quest_without_a_book_is_told(tmp_path: Path, quest: Quest) -> None:
    paths = RealmPaths(tmp_path)
    take(QuestBoard(paths), "new.jsonl")
    assert (await ask(tmp_path, "/api/quests/new.jsonl/row-losses", 404))["message"].startswith("Nothing is on record")
    assert (await ask(tmp_path, "/api/quests/none.jsonl/row-losses", 404))["error"] == "not_found"
    assert (await ask(tmp_path, "/api/quests/..%2Fsecret/row-losses", 404))["error"] == "not_found"

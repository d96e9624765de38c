"""The Inspector over HTTP: rows exactly as the model sees them, and the numbers of a file (PEERS F14)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from arena.gatekeepers.measures.renderers import load_renderer
from arena.quests import Quest
from arena.rowbook import SUFFIX
from arena.rowbook.row_book import Claimed, RowBook
from tests.arena.gatekeepers.scroll_making import chat, lines
from tests.arena.quest_makers import admit, drop
from tests.arena.reading_room.conftest import House, open_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert('x')</script> \u202eevil\u202c 👩‍👩‍👧‍👦 é"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One for all tests here, as its scribes take a second to start."""
    async with open_house(tmp_path_factory.mktemp("realm")) as house:
        yield house


def quest_of(house: House, name: str, *rows: Any) -> Quest:
    return admit(house.daemon.board, drop(house.daemon.paths, name, lines(*rows).decode().removesuffix("\n")))


async def rows_of(house: House, quest: Quest, query: str = "") -> dict[str, Any]:
    answer = await house.visitor.get(f"/api/quests/{quest.quest_id}/rows{query}")
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.body
    return found


def told(spans: list[dict[str, Any]], key: str) -> str:
    return "".join(span["text"] for span in spans if span[key])


async def test_a_row_is_shown_as_the_renderer_makes_it_and_only_answers_are_learned(house: House) -> None:
    """D1, D2: what is coloured is what the trainer learns. Bytes are tokens here, and no letter is torn."""
    quest = quest_of(house, "hostile.jsonl", chat(question=HOSTILE, answer=f"Answer {HOSTILE}"))
    (row,) = (await rows_of(house, quest))["rows"]
    renderer = load_renderer("seedling", "chatml").renderer
    rendered = renderer.render(messages=chat(question=HOSTILE, answer=f"Answer {HOSTILE}")["messages"])
    assert "".join(span["text"] for span in row["spans"]) == rendered.text
    assert told(row["spans"], "trained") == f"Answer {HOSTILE}<|im_end|>"
    assert (row["length"], row["trained"]) == (len(rendered.token_ids), rendered.target_tokens)
    assert (row["is_cut"], row["fault"], row["first_loss"]) == (False, None, None)


async def test_what_the_cut_takes_away_is_marked_lost(house: House) -> None:
    """C17."""
    quest = quest_of(house, "long.jsonl", chat(question="q", answer="x" * 3000))
    found = await rows_of(house, quest)
    (row,) = found["rows"]
    assert (row["is_cut"], found["max_length"]) == (True, 1024)
    assert row["tokens_lost"] == row["length"] - 1024
    assert len(told(row["spans"], "lost")) > 1900
    assert not any(span["lost"] and span["trained"] for span in row["spans"])


async def test_a_monstrous_row_is_cut_with_a_word_about_it(house: House) -> None:
    """C15: ten megabytes in one row are neither rendered nor sent."""
    quest = quest_of(house, "monster.jsonl", chat(question="y" * 10_000_000), chat())
    answer = await house.visitor.get(f"/api/quests/{quest.quest_id}/rows")
    monster, plain = answer.body["rows"]
    assert "bytes for each token of max_length" in monster["fault"]
    assert monster["spans"][0]["text"].startswith("user: yyyy")
    assert (plain["fault"], len(answer.text) < 100_000) == (None, True)


async def test_rows_are_paged_and_broken_ones_named(house: House) -> None:
    rows = [chat(question=f"{number}?") for number in range(25)]
    quest = quest_of(house, "many.jsonl", *rows[:12], b'{"messages": 5}', *rows[12:])
    page = await rows_of(house, quest, "?offset=10&limit=5")
    assert [row["number"] for row in page["rows"]] == [11, 12, 13, 14, 15]
    assert ([bool(row["fault"]) for row in page["rows"]], page["has_more"]) == (
        [False, False, True, False, False],
        True,
    )
    last = await rows_of(house, quest, "?offset=25&limit=5")
    assert ([row["number"] for row in last["rows"]], last["has_more"], last["total"]) == ([26], False, 26)
    assert (await rows_of(house, quest, "?offset=900"))["rows"] == []


async def test_rows_that_were_learned_tell_their_first_and_last_loss(house: House) -> None:
    quest = quest_of(house, "learned.jsonl", chat(), chat(question="5+5?"))
    book = RowBook(Claimed(b"0" * 16, 1, 2, quest.record.content_hash))
    book.note(np.array([1]), np.array([2.5], dtype=np.float32), 7, first=True)
    book.note(np.array([1]), np.array([0.5], dtype=np.float32), 9, first=False)
    house.daemon.paths.row_books.mkdir(exist_ok=True)
    book.write(house.daemon.paths.row_books / f"{quest.quest_id}{SUFFIX}")
    never, learned = (await rows_of(house, quest))["rows"]
    assert (never["first_loss"], never["last_loss"], never["last_step"]) == (None, None, None)
    assert (learned["first_loss"], learned["last_loss"], learned["last_step"]) == (2.5, 0.5, 9)


async def test_the_numbers_of_a_file_count_lengths_duplicates_and_the_cut(house: House) -> None:
    rows = [chat(question=f"number {number}?", answer="x" * (40 * number)) for number in range(40)]
    quest = quest_of(house, "numbers.jsonl", *rows, rows[3], rows[3])
    found = (await house.visitor.get(f"/api/quests/{quest.quest_id}/numbers")).body
    assert (found["rows"], found["duplicates"], found["duplicate_lines"]) == (42, 2, [41, 42])
    assert (found["format"], found["broken_rows"]) == ("OpenAI chat", 0)
    histogram, tokens = found["histogram"], found["tokens"]
    assert sum(histogram["bars"]) == 42
    assert histogram["max_length"] % histogram["width"] == 0
    behind = sum(histogram["bars"][histogram["max_length"] // histogram["width"] :])
    assert behind == tokens["rows_truncated"] > 0
    assert tokens["tokens_kept"] < 42 * 1024


async def test_a_verdict_names_line_field_and_reason_and_takes_nothing_in(house: House) -> None:
    """C8, C18: the same gates as the inbox has; nothing of the file stays."""
    wrong = lines(chat(), {"messages": [{"role": "wizard", "content": "x"}]}, b"{broken")
    verdict = (await house.visitor.post("/api/quests/validate?name=bad.jsonl", data=wrong)).body
    assert (verdict["accepted"], verdict["numbers"], verdict["total_errors"]) == (False, None, 2)
    assert [finding["line"] for finding in verdict["errors"]] == [2, 3]
    assert "role" in verdict["errors"][0]["field"]
    good = await house.visitor.post("/api/quests/validate?name=good.jsonl", data=lines(chat(), chat(), chat("9")))
    verdict = good.body
    assert (verdict["accepted"], verdict["rows"], verdict["format"]) == (True, 3, "OpenAI chat")
    assert (verdict["numbers"]["duplicates"], sum(verdict["numbers"]["histogram"]["bars"])) == (1, 3)
    # What the gate before training would refuse is refused here too.
    cut = lines(chat(question="q" * 5000))
    verdict = (await house.visitor.post("/api/quests/validate?name=cut.jsonl", data=cut)).body
    assert (verdict["accepted"], verdict["errors"][0]["line"]) == (False, 1)
    paths = house.daemon.paths
    assert [path for path in paths.inbox.rglob("*") if path.is_file()] == []
    assert list(paths.trials.iterdir()) == []


async def test_a_list_and_packed_files_are_judged_as_the_inbox_reads_them(house: House) -> None:
    alpaca = json.dumps([{"instruction": "add", "output": "sum"}] * 2).encode()
    verdict = (await house.visitor.post("/api/quests/validate?name=x.json", data=alpaca)).body
    assert (verdict["accepted"], verdict["format"], verdict["container"]) == (True, "Alpaca", "json_array")
    assert verdict["numbers"]["duplicates"] == 1


async def test_a_file_that_the_gates_rejected_can_be_looked_into(house: House) -> None:
    paths: Path = house.daemon.paths.lane("failed")
    (paths / "stray.jsonl").write_bytes(lines(chat(), b"{broken"))
    found = (await house.visitor.get("/api/quests/stray.jsonl/rows")).body
    assert ([bool(row["fault"]) for row in found["rows"]], found["total"]) == ([False, True], None)
    assert (await house.visitor.get("/api/quests/nobody.jsonl/rows")).status == 404
    assert (await house.visitor.get("/api/quests/stray.jsonl/rows?limit=51")).status == 400

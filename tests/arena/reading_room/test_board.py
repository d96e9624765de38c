"""The quest board over HTTP: what waits, why, and for how long (PEERS F2)."""

from __future__ import annotations

import os
from collections import deque
from datetime import UTC, datetime
from typing import Any

from arena.protocol import Claimed, StepPoint
from arena.quest_board import QuestBoard
from arena.reading_room import lane_pages
from arena.reading_room.reasons import Why
from tests.arena.quest_makers import admit, drop, learn, record_of, take
from tests.arena.reading_room.conftest import House


def names(lane: dict[str, Any]) -> list[str]:
    return [quest["file"] for quest in lane["quests"]]


async def board_of(house: House, query: str = "") -> dict[str, Any]:
    answer = await house.visitor.get(f"/api/quests/board{query}")
    assert answer.status == 200, answer.text
    found: dict[str, Any] = answer.body
    return found


async def test_each_lane_is_told_from_its_beginning_and_what_is_unknown_is_null(house: House) -> None:
    """F4: unknown is never 0."""
    board = house.daemon.board
    for number in range(4):
        take(board, f"q{number}.jsonl", "normal", mtime=1000.0 + number)
    take(board, "first.jsonl", "high", mtime=5000.0)
    board.claim(take(board, "running.jsonl", "low"))
    told = await board_of(house, "?limit=3")
    lanes = told["lanes"]
    assert (lanes["normal"]["total"], names(lanes["normal"])) == (4, ["q0.jsonl", "q1.jsonl", "q2.jsonl"])
    assert (names(lanes["high"]), names(lanes["low"]), names(lanes["processing"])) == (
        ["first.jsonl"], [], ["running.jsonl"]
    )  # fmt: skip
    assert [quest["ahead"] for quest in lanes["normal"]["quests"]] == [1, 2, 3]
    quest = lanes["high"]["quests"][0]
    assert (quest["source"], quest["rows"], quest["size_bytes"] > 0) == ("dropped", 1, True)
    assert {quest[key] for key in ("tokens", "takes_seconds", "starts_in_seconds", "loss_first")} == {None}
    assert (told["held"], told["tokens_per_second"]) == (None, None)
    assert told["upload_bytes"] == 2048 * 1_000_000


async def test_a_list_goes_on_from_lane_to_lane_in_the_order_of_the_claims(house: House) -> None:
    board = house.daemon.board
    for lane in ("low", "high", "normal"):
        for number in range(2):
            take(board, f"{lane}{number}.jsonl", lane, mtime=1000.0 + number)
    seen = []
    for offset in range(0, 6, 2):
        part = (await house.visitor.get(f"/api/quests?offset={offset}&limit=2")).body
        assert part["total"] == 6
        seen += [(quest["file"], quest["ahead"]) for quest in part["quests"]]
    names_in_order = [f"{lane}{number}.jsonl" for lane in ("high", "normal", "low") for number in range(2)]
    assert seen == list(zip(names_in_order, range(6), strict=True))
    only = (await house.visitor.get("/api/quests?lane=low&offset=1")).body
    assert (only["total"], names(only)) == (2, ["low1.jsonl"])
    assert (await house.visitor.get("/api/quests?lane=failed")).status == 400


async def test_each_quest_says_why_it_waits(house: House) -> None:
    """C6, F14: nothing lies about without a word."""
    daemon = house.daemon
    take(daemon.board, "a.jsonl", mtime=1000.0)
    take(daemon.board, "b.jsonl", mtime=2000.0)
    stranger = drop(daemon.paths, "c.jsonl", mtime=3000.0)
    os.rename(stranger, daemon.paths.lane("normal") / "c.jsonl")
    whys = [quest["why"] for quest in (await board_of(house))["lanes"]["normal"]["quests"]]
    assert [why["code"] for why in whys] == ["next", "turn", "unchecked"]
    assert whys[1]["message"] == "one quest waits before it"
    daemon.report.enter("paused", datetime.now(UTC), "dinner")
    told = await board_of(house)
    assert told["held"] == {"code": "held", "message": "training is paused: dinner"}
    assert told["lanes"]["normal"]["quests"][0]["why"] == told["held"]


async def test_the_time_until_a_quest_begins_comes_from_measured_tokens_and_speed(house: House) -> None:
    """F1: no guess stands in for what nobody has measured; while all stands still, nothing begins."""
    daemon = house.daemon
    board, report = daemon.board, daemon.report
    content = '{"messages": []}\n' * 10
    counted = {"tokens": {"rows_counted": 5, "tokens_kept": 500}}
    learned = drop(daemon.paths, "learned.jsonl", content)
    quest = board.admit(learned, record_of(learned, proof=counted), "normal", "learned.jsonl", now=datetime.now(UTC))
    learn(board, quest)  # it lies in awaiting_seal/, as its proof does
    for name in ("next.jsonl", "later.jsonl"):
        admit(board, drop(daemon.paths, name, content, mtime=1000.0 + len(name)))
    report.recent = deque([StepPoint(1, 1.0, 0.1, 1.0, 500, 0.5)])
    first, second = (await board_of(house))["lanes"]["normal"]["quests"]
    # Ten rows of 100 tokens each, in files of one size, at 1000 tokens a second.
    assert (first["starts_in_seconds"], second["starts_in_seconds"]) == (0.0, 1.0)
    assert (first["takes_seconds"], first["tokens"]) == (1.0, None)
    claimed = Claimed(quest_id=quest.quest_id, ordinal=1, rows=10, epochs=4, steps=4, first_step=0)
    report.note_claimed(claimed, "learned.jsonl", datetime.now(UTC))
    assert report.quest is not None
    report.quest.rows_learned = 20
    first, second = (await board_of(house))["lanes"]["normal"]["quests"]
    assert (first["starts_in_seconds"], second["starts_in_seconds"]) == (2.0, 3.0)  # two of four epochs are left
    report.enter("stopped", datetime.now(UTC))
    first, _ = (await board_of(house))["lanes"]["normal"]["quests"]
    assert (first["starts_in_seconds"], first["takes_seconds"]) == (None, 1.0)


async def test_what_people_do_is_done_and_told(house: House) -> None:
    daemon, visitor = house.daemon, house.visitor
    quest = take(daemon.board, "x.jsonl")
    moved = await visitor.post("/api/quests/move", {"quest": quest.quest_id, "priority": "high"})
    assert (moved.status, names((await board_of(house))["lanes"]["high"])) == (200, ["x.jsonl"])
    assert (await visitor.post("/api/quests/retry", {"quest": quest.quest_id})).status == 409
    daemon.board.fail(quest.quest_id, outcome="withdrawn", reason="three strikes", now=datetime.now(UTC))
    again = await visitor.post("/api/quests/retry", {"quest": quest.quest_id})
    assert (again.status, names((await board_of(house))["lanes"]["high"])) == (200, ["x.jsonl"])
    assert (await visitor.post("/api/quests/remove", {"quest": "../../etc/passwd"})).status == 400


async def test_of_thousands_only_those_that_are_shown_are_looked_at(house: House) -> None:
    """F19: a page costs what it shows, not what there is."""
    folder = house.daemon.paths.lane("low")
    for number in range(3000):
        (folder / f"q{number:04}.jsonl").touch()
    looked: list[str] = []
    board = house.daemon.board

    def page(lanes: Any) -> lane_pages.LanePage:
        peek = lanes.peek

        def noting(lane: str, name: str) -> Any:
            looked.append(name)
            return peek(lane, name)

        lanes.peek = noting
        try:
            return lane_pages.page_of(lanes, "low", 2900, 20)
        finally:
            del lanes.peek

    found = board.look(page)
    assert (found.total, len(found.shown), len(looked)) == (3000, 20, 20)


def test_a_reason_of_the_realm_comes_before_a_state(board: QuestBoard) -> None:
    from arena.reading_room.reasons import why_nothing_goes_on

    assert why_nothing_goes_on("training", None, [None, None]) is None
    assert why_nothing_goes_on("paused", "disk: full", ["disk: full"]) == Why("held", "disk: full")
    assert why_nothing_goes_on("stopped", None, []) == Why("held", "training is stopped")

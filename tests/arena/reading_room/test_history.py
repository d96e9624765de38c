"""What is over, newest first, and the story of one quest."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from arena.lanes.forgetting import Forgotten
from arena.quest_board import QuestBoard
from arena.reading_room import ended
from arena.reading_room.ended import EndedQuests
from arena.reading_room.parting import REMOVED, forgotten_quests, news_of_forgotten
from core.paths import RealmPaths
from core.saga import open_saga
from core.settings import BudgetSettings
from tests.arena.quest_makers import NOW, drop, record_of, take
from tests.arena.reading_room.conftest import House
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore


def complete(board: QuestBoard, name: str, at: datetime, losses: tuple[float, float]) -> str:
    claimed = board.claim(take(board, name))
    board.await_seal(
        claimed.quest_id, outcome="learned", rows_learned=1, first_step=10, last_step=14, loss_first=losses[0],
        loss_last=losses[1], now=at,
    )  # fmt: skip
    board.seal([claimed.quest_id], now=at)
    return claimed.quest_id


async def test_the_history_tells_each_quest_with_its_loss_before_and_after(house: House) -> None:
    daemon, visitor = house.daemon, house.visitor
    board = daemon.board
    complete(board, "old.jsonl", NOW, (2.5, 1.5))
    complete(board, "new.jsonl", NOW + timedelta(minutes=2), (1.5, 0.75))
    board.fail(take(board, "bad.jsonl").quest_id, outcome="withdrawn", reason="three strikes", now=NOW)
    board.fail(take(board, "dull.jsonl").quest_id, outcome="skipped", reason="by hand", now=NOW + timedelta(minutes=1))
    gone = take(board, "gone.jsonl").quest_id
    assert (await visitor.post("/api/quests/remove", {"quest": gone})).status == 200
    told = (await visitor.get("/api/quests/history")).body
    assert told["totals"] == {"completed": 2, "failed": 1, "skipped": 1, "removed": 1}
    # Removed just now, and the rest in the year 2099.
    endings = [(entry["ending"], entry["file"].split("_")[0]) for entry in told["quests"]]
    assert [ending for ending, _ in endings] == ["completed", "skipped", *[endings[2][0], endings[3][0]], "removed"]
    assert {endings[2], endings[3]} == {("failed", "bad.jsonl"), ("completed", "old")}
    newest, removed = told["quests"][0], told["quests"][-1]
    assert (newest["quest"]["loss_first"], newest["quest"]["loss_last"]) == (1.5, 0.75)
    assert (removed["quest"], removed["quest_id"], removed["rows"]) == (None, gone, 1)
    failed = (await visitor.get("/api/quests/history?ending=failed&limit=1")).body
    assert failed["total"] == 1
    assert failed["quests"][0]["quest"]["why"] == {"code": "failed", "message": "three strikes"}
    second = (await visitor.get("/api/quests/history?offset=4&limit=5")).body
    assert (second["offset"], len(second["quests"]), second["total"]) == (4, 1, 5)


async def test_quests_whose_files_are_deleted_stay_in_the_history_with_their_losses(house: House) -> None:
    """Past the days or the size of their lane, nothing was left to be seen of what the hero had learned."""
    daemon, visitor = house.daemon, house.visitor
    board = daemon.board
    old = complete(board, "old.jsonl", NOW, (2.5, 1.5))
    board.fail(take(board, "dull.jsonl").quest_id, outcome="skipped", reason="by hand", now=NOW + timedelta(hours=1))
    new = complete(board, "new.jsonl", NOW + timedelta(days=9), (1.5, 0.75))
    # A file that never had a record is past its days too.
    stray = board.paths.lane("failed") / "stray.jsonl"
    stray.write_text("no record")
    budgets = BudgetSettings.model_validate({"failed_days": 1})
    await daemon._housekeeper.keep(budgets, now=NOW + timedelta(days=10))
    assert len(board.quests("recently_completed")) == 1
    told = (await visitor.get("/api/quests/history?ending=completed")).body
    assert (told["total"], told["totals"]) == (2, {"completed": 2, "failed": 1, "skipped": 1, "removed": 0})
    newest, oldest = told["quests"]
    assert (newest["quest"]["quest_id"], newest["quest_id"]) == (new, None)
    kept = ("quest", "quest_id", "rows", "outcome", "rows_learned", "loss_first", "loss_last")
    assert [oldest[key] for key in kept] == [None, old, 1, "learned", 1, 2.5, 1.5]
    assert datetime.fromisoformat(oldest["ended_at"]) == NOW
    assert oldest["file"].startswith("old_")
    (skipped,) = (await visitor.get("/api/quests/history?ending=skipped")).body["quests"]
    assert (skipped["file"], skipped["outcome"], skipped["rows_learned"]) == ("dull.jsonl", "skipped", None)


def test_of_thousands_that_are_deleted_at_once_the_latest_are_told(paths: RealmPaths) -> None:
    """Law 9: events of a hundred thousand of them pushed everything else out of the saga."""
    gone = [
        Forgotten(f"q{number}.jsonl", NOW + timedelta(minutes=number), record_of(drop(paths, f"q{number}.jsonl")))
        for number in range(3)
    ]
    many = [gone[0]] * 40_000 + gone * 7 + [Forgotten("stray.jsonl", NOW, None)]
    with open_saga(paths) as saga:
        news = news_of_forgotten("recently_completed", many)
        assert (len(news), news[0].message.split()[0]) == (26, "39522")
        saga.append_all(news, now=NOW)
        saga.append("quests_forgotten", "of an earlier version", now=NOW, data={"lane": "failed", "files": ["x.jsonl"]})
        strange = {
            "lane": "failed",
            "quests": [1, {}, {"file": "x", "ended_at": "soon"}, {"file": 1, "ended_at": "2026"}],
        }
        saga.append("quests_forgotten", "by hand", now=NOW, data=strange)
        kept = forgotten_quests(saga, 1000)
        assert len(kept) == 500
        assert [each["file"] for each in kept[:5]] == ["stray.jsonl", "q2.jsonl", "q1.jsonl", "q0.jsonl", "q2.jsonl"]
        assert len(forgotten_quests(saga, 30)) == 30
        page = EndedQuests(QuestBoard(paths), saga).page("completed", 0, 3)
    assert (page.total, [each.name for each, _ in page.entries]) == (500, ["q2.jsonl"] * 3)


def test_twenty_thousand_are_paged_without_reading_their_records(paths: RealmPaths) -> None:
    """F19, F20. The order comes from the names; it is kept, so that only the first page pays for it."""
    lane = paths.lane("recently_completed")
    names = [f"q{number}_20261121_{number // 3600:02}{number // 60 % 60:02}{number % 60:02}.jsonl"
             for number in range(20_000)]  # fmt: skip
    for name in names:
        (lane / name).touch()
    board = QuestBoard(paths)
    with open_saga(paths) as saga:
        quests = EndedQuests(board, saga)
        page = quests.page(None, 19_990, 20)
        assert (page.total, page.totals["completed"]) == (20_000, 20_000)
        assert [each.name for each, _ in page.entries] == names[9::-1]
        cached = sum(len(records) for records in board.look(lambda lanes: lanes._records).values())
        assert cached <= 20
        (lane / names[-1]).rename(lane / "q_20261122_000000.jsonl")
        board.look(lambda lanes: lanes._listings["recently_completed"]).forget()
        newest = quests.page("completed", 0, 1).entries[0][0]
    assert newest.name == "q_20261122_000000.jsonl"
    assert newest.at == time.mktime((2026, 11, 22, 0, 0, 0, 0, 0, -1))


def test_removals_are_counted_beyond_those_that_are_listed(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "MOST_REMOVED", 2)
    with open_saga(paths) as saga:
        for number in range(3):
            saga.append(REMOVED, f"x{number}.jsonl: remove", now=NOW)
        page = EndedQuests(QuestBoard(paths), saga).page(None, 0, 10)
    assert (page.total, page.totals["removed"]) == (2, 3)


async def test_a_story_tells_record_events_and_the_checkpoints_that_hold_it(house: House) -> None:
    daemon, visitor = house.daemon, house.visitor
    store = CheckpointStore(daemon.paths.current_model)
    for step in (5, 12, 14, 20):
        publish(store, f"checkpoint-{step}-20261121-0900", train_loss=0.5)
    quest = complete(daemon.board, "x.jsonl", NOW, (2.0, 1.0))
    daemon._saga.append("quest_sealed", "x.jsonl is sealed", now=NOW, data={"quest_id": quest})
    daemon._saga.append("quest_sealed", "another", now=NOW, data={"quest_id": "q_20261121_093000_00000000"})
    told = (await visitor.get(f"/api/quests/{quest}")).body
    assert (told["quest"]["lane"], told["record"]["first_step"]) == ("recently_completed", 10)
    assert [event["message"] for event in told["events"]] == ["x.jsonl is sealed"]
    held = [(each["step"], each["holds_all"]) for each in told["checkpoints"]]
    assert held == [(12, False), (14, True), (20, True)]
    # People know it by the name under which they dropped it.
    assert (await visitor.get("/api/quests/x.jsonl")).body["quest"]["quest_id"] == quest
    assert (await visitor.get("/api/quests/q_20261121_093000_00000000")).status == 404


async def test_what_is_strange_in_a_record_is_told_as_it_is(house: House) -> None:
    """G20: a sidecar edited by hand, or a name that is no text, breaks no answer."""
    daemon, visitor = house.daemon, house.visitor
    quest = take(daemon.board, "<img src=x onerror=alert(1)>.jsonl", generator_id=["no", "name"], source=7, odd=1e999)
    told = (await visitor.get(f"/api/quests/{quest.quest_id}")).body
    assert told["quest"]["file"] == "<img src=x onerror=alert(1)>.jsonl"
    sidecar = quest.path.with_name(quest.name + ".meta.json")
    sidecar.write_text(sidecar.read_text().replace('"original_name": "<img', '"original_name": "\\ud800<img'))
    told = (await visitor.get(f"/api/quests/{quest.quest_id}")).body
    assert told["quest"]["original_name"].startswith("\\ud800<img")
    assert (told["quest"]["source"], told["record"]["lineage"]["odd"]) == ("dropped", None)
    daemon.board.fail(quest.quest_id, outcome="rejected", reason="because", now=datetime.now(UTC))
    report = daemon.paths.lane("failed") / f"{quest.name}.rejection.json"
    report.write_text('{"reasons": [{"line": 3, "message": "no"}, 5, {"message": []}], "warnings": 1}')
    rejection = (await visitor.get(f"/api/quests/{quest.quest_id}")).body["rejection"]
    assert rejection == {
        "reasons": [{"line": 3, "item": None, "field": None, "message": "no"}], "total_reasons": None,
        "warnings": [], "total_warnings": None,
    }  # fmt: skip

"""Nothing grows without bound (law 9): what a realm leaves behind is kept within the budgets of its settings."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from arena.gatekeepers.rejection import write_rejection
from arena.lanes.retention import Ended, LaneBudget, surplus
from arena.quest_board import QuestBoard
from arena.telling.live_report import LiveReport
from arena.upkeep.housekeeping import Housekeeper
from arena.upkeep.recovery import recover
from core.checkpoint_ledger import CheckpointLedger
from core.db import Database
from core.files import Files
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings, RetentionSettings
from tests.arena.annals.past import Past
from tests.arena.quest_makers import NOW, drop, everything_in, learn, record_of, take
from tests.vault.making import publish
from vault.checkpoints import CheckpointStore
from vault.treasury import Treasury

VERDICT = {"errors": [], "total_errors": 1, "warnings": [], "total_warnings": 0, "validators": {}}


@pytest.fixture
def saga(board: QuestBoard) -> Iterator[Saga]:
    db = Database(board.paths.saga_db, MIGRATIONS)
    yield Saga(db, BudgetSettings())
    db.close()


def housekeeper(board: QuestBoard, saga: Saga, **limits: float) -> Housekeeper:
    retention = RetentionSettings.model_validate(limits)
    ledger = CheckpointLedger.of(board.paths)
    treasury = Treasury(board.paths, ledger, lambda: retention, tell=lambda news, now: saga.tell(news, now=now))
    return Housekeeper(board.paths, board, saga, treasury)


def keep_house(board: QuestBoard, saga: Saga, *, now: datetime = NOW, **budgets: float) -> list[str]:
    """Once round the house; returns the kinds of the events that it told."""
    last = max((event.id for event in saga.latest_events(1)), default=0)
    settings = BudgetSettings.model_validate(budgets)
    asyncio.run(housekeeper(board, saga).keep(settings, now=now))
    return [event.kind for event in saga.events_after(last)]


def in_lanes(board: QuestBoard) -> list[str]:
    """Everything in the queue but for the view of it that is written anew each time."""
    return [name for name in everything_in(board.paths.queue) if name != board.paths.queue_metadata.name]


def fail(board: QuestBoard, name: str, *, at: datetime = NOW, size: int = 20) -> Path:
    """A rejected quest in `failed/` with its report."""
    source = drop(board.paths, name, "x" * size)
    record = record_of(source, outcome="rejected", reason="line 1", finished_at=at.isoformat())
    quest = board.admit(source, record, "failed", name, now=at)
    write_rejection(quest.path, VERDICT, now=at)
    return quest.path


def ended(name: str, days_ago: float, megabytes: float) -> Ended:
    return Ended(Path(name), NOW - timedelta(days=days_ago), int(megabytes * 1e6))


def test_what_is_past_its_days_goes_and_then_the_oldest_until_the_rest_fits() -> None:
    """A20: 2.7 GB of completed files, for which a log line promised seven days."""
    lane = [ended("a", 9, 1), ended("b", 6, 3), ended("c", 5, 3), ended("d", 1, 3), ended("e", 0, 1)]

    def going(days: float, megabytes: float) -> str:
        return "".join(quest.path.name for quest in surplus(lane, LaneBudget(days, megabytes), now=NOW))

    assert going(days=7, megabytes=100) == "a"
    assert going(days=7, megabytes=7) == "ab"
    assert going(days=100, megabytes=7) == "ab"
    assert going(days=100, megabytes=11) == ""
    assert going(days=0.5, megabytes=100) == "abcd"


def test_the_newest_ended_quest_stays_whatever_its_size() -> None:
    assert surplus([ended("huge", 0, 900)], LaneBudget(7, 1), now=NOW) == []


def test_completed_and_failed_quests_go_with_their_sidecars_and_reports(board: QuestBoard, saga: Saga) -> None:
    """A20, C6: completed and rejected files pile up silently."""
    (sealed,) = board.seal([learn(board, take(board, "old.jsonl")).quest_id], now=NOW)
    fail(board, "bad.jsonl")

    assert keep_house(board, saga, now=NOW + timedelta(days=6)) == []
    assert sealed.path.exists()

    assert keep_house(board, saga, now=NOW + timedelta(days=8)) == ["quests_forgotten"]
    left = in_lanes(board)
    assert left == ["failed/bad.jsonl", "failed/bad.jsonl.meta.json", "failed/bad.jsonl.rejection.json"]

    assert keep_house(board, saga, now=NOW + timedelta(days=91)) == ["quests_forgotten"]
    assert in_lanes(board) == []
    told = saga.latest_events(1)[0]
    assert told.kind == "quests_forgotten"
    assert told.data is not None
    assert (told.data["lane"], told.data["files"]) == ("failed", ["bad.jsonl"])


def test_what_a_fallback_would_learn_again_stays_whatever_the_budgets_say(board: QuestBoard, saga: Saga) -> None:
    """A6: one torn HEAD, and quests that were older than a week were lost, with newer ones trained on top."""
    past, later = Past(board.paths), NOW + timedelta(days=400)
    past.learn("first")
    past.begin("second", lane="failed", outcome="skipped")
    past.step_on(2)
    past.skip()
    past.save()
    keep_house(board, saga, now=later)
    assert past_stems(board) == ["first", "second"], "there is no other checkpoint"

    past.learn("third")
    past.save(optimizer=False)
    past.begin("fourth", lane="failed", outcome="skipped")
    past.step_on(1)
    past.skip()
    past.save()
    fail(board, "rejected.jsonl")
    keep_house(board, saga, now=later)
    assert past_stems(board) == ["fourth", "third"]

    past.learn("fifth")
    past.save()
    keep_house(board, saga, now=later)
    assert past_stems(board) == ["fifth"]


def test_after_a_start_the_present_checkpoint_is_the_one_that_training_goes_on_from(
    board: QuestBoard, saga: Saga
) -> None:
    """F3: the newest may be weights alone, and status and page showed its step as the hero's."""
    past = Past(board.paths)
    past.learn("first")
    resumable = past.save(loss=0.5)
    past.learn("second")
    past.save(optimizer=False, loss=0.4)

    def shown() -> tuple[str | None, int | None, float | None]:
        report = LiveReport(
            hero="seedling", hero_title="Seedling", model_name="x", since=NOW, context_window=8
        )  # fmt: skip
        recover(board.paths, board=board, ledger=CheckpointLedger.of(board.paths), saga=saga, report=report, now=NOW)
        return report.checkpoint, report.step, report.loss

    past.store.set_head(resumable)
    assert shown() == (resumable, 5, 0.5)
    past.store.forget_head()
    assert shown() == (resumable, 5, 0.5)

    saga.put_points("train_loss", [(8, 0.3)], now=NOW)
    assert shown() == (resumable, 5, 0.5), "what nobody has any more is not told"
    left_behind = InstanceLock(board.paths.current_model / ".lock")
    left_behind.acquire({"what": "trainer"})
    # F4: it saves while the next daemon is up already, and the hero's level dropped for as long.
    assert shown() == (resumable, 8, 0.3)
    left_behind.release()


def past_stems(board: QuestBoard) -> list[str]:
    files = [path for lane in ("failed", "recently_completed") for path in board.paths.lane(lane).glob("*.jsonl")]
    return sorted(path.stem.split("_")[0] for path in files)


def test_a_lane_keeps_within_its_megabytes(board: QuestBoard, saga: Saga) -> None:
    for day in range(3):
        fail(board, f"bad{day}.jsonl", at=NOW + timedelta(days=day), size=600_000)

    keep_house(board, saga, now=NOW + timedelta(days=3), failed_megabytes=1)

    assert [path.name for path in board.paths.lane("failed").glob("*.jsonl")] == ["bad2.jsonl"]


def test_waiting_quests_and_those_being_learned_are_never_touched(board: QuestBoard, saga: Saga) -> None:
    learn(board, take(board, "sealing.jsonl"))
    take(board, "waiting.jsonl")
    before = in_lanes(board)

    keep_house(board, saga, now=NOW + timedelta(days=4000), completed_megabytes=1, failed_megabytes=1)

    assert in_lanes(board) == before


class Undeletable(Files):
    """A file that root has made, in a folder where only its owner may delete it."""

    refuses = False

    def unlink(self, path: Path) -> None:
        if self.refuses and path.name == "a.jsonl":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        super().unlink(path)


def test_one_file_that_cannot_be_deleted_holds_up_nothing_else_and_is_told_once(paths: RealmPaths, saga: Saga) -> None:
    """Law 9: budgets of everything else are kept, and hand moves are followed all the same."""
    files = Undeletable()
    board = QuestBoard(paths, files)
    fail(board, "a.jsonl")
    fail(board, "b.jsonl")
    files.refuses = True
    keeper, budgets = housekeeper(board, saga), BudgetSettings(failed_days=1)

    def keep(day: int) -> list[str]:
        last = max((event.id for event in saga.latest_events(1)), default=0)
        asyncio.run(keeper.keep(budgets, now=NOW + timedelta(days=day)))
        return [event.kind for event in saga.events_after(last)]

    assert keep(2) == ["quests_forgotten", "upkeep_blocked"]
    assert [path.name for path in paths.lane("failed").glob("*.jsonl")] == ["a.jsonl"]
    take(board, "waiting.jsonl")
    for end in ("", ".meta.json"):
        (paths.lane("normal") / f"waiting.jsonl{end}").rename(paths.lane("high") / f"waiting.jsonl{end}")
    assert keep(3) == ["lanes_tidied"]
    files.refuses = False
    assert keep(4) == ["quests_forgotten", "upkeep_goes_on"]
    assert json.loads(paths.queue_metadata.read_text())["updated_at"] == (NOW + timedelta(days=4)).isoformat()


def test_what_the_sweep_notices_is_told_and_of_very_much_the_rest_is_counted(
    board: QuestBoard, saga: Saga, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law 1: moves by hand are allowed and noticed; law 9: not with ten thousand events."""
    lost = learn(board, take(board, "lost.jsonl")).path
    lost.with_name("lost.jsonl.meta.json").unlink()
    assert keep_house(board, saga) == ["lanes_tidied"]
    assert "lost.jsonl in awaiting_seal/ has lost its record" in saga.latest_events(1)[0].message

    monkeypatch.setattr("arena.upkeep.housekeeping.TOLD_AT_ONCE", 2)
    for number in range(4):
        quest = take(board, f"{number}.jsonl")
        for path in (quest.path, quest.path.with_name(f"{quest.name}.meta.json")):
            path.rename(board.paths.lane("low") / path.name)
    assert keep_house(board, saga) == ["lanes_tidied"] * 3
    assert saga.latest_events(1)[0].message.startswith("2 more files")


def test_only_the_newest_torn_checkpoints_are_kept(board: QuestBoard, saga: Saga) -> None:
    """A23: the disk fills with checkpoint directories; torn ones are whole gigabytes that nobody can use."""
    store = CheckpointStore(board.paths.current_model)
    names = [f"checkpoint-{step}-20261121-0930" for step in (10, 20, 30)]
    for name in names:
        (board.paths.current_model / name).mkdir()
        store.quarantine(name, ["torn"], now=NOW)

    assert keep_house(board, saga, quarantined_checkpoints=1) == ["quarantine_forgotten"]

    assert [path.name for path in board.paths.current_model.glob(".quarantine-*")] == [f".quarantine-{names[2]}"]


def test_every_half_hour_the_vault_is_brought_within_its_limits_and_each_deletion_is_told(
    board: QuestBoard, saga: Saga
) -> None:
    """A9, A7: retention that deletes something, in the very directory that the trainer writes into."""
    store = CheckpointStore(board.paths.current_model)
    keeper = housekeeper(board, saga, resumable=1)

    steps = itertools.count(10, 10)

    def keep(minutes: float) -> list[int]:
        publish(store, f"checkpoint-{next(steps)}-20261121-0930", milestone=True, more={"optimizer.pt": "x"})
        asyncio.run(keeper.keep(BudgetSettings(), now=NOW + timedelta(minutes=minutes)))
        return [found.step for found in store.list()]

    assert [keep(0), keep(1), keep(29)] == [[10], [10, 20], [10, 20, 30]]
    assert keep(30) == [30, 40]
    told = [event.message for event in saga.latest_events(10) if event.kind == "pruned"]
    reason = "It is not one of the 1 newest checkpoints to resume from."
    assert told == [f"checkpoint-{step}-20261121-0930 is deleted. {reason}" for step in (10, 20)]
    # A clock that is set back by a year does not stop it for a year.
    assert keep(31) == [30, 40, 50]
    assert keep(-60 * 24 * 365) == [50, 60]


def test_what_killed_writers_left_is_cleared_and_what_is_written_now_is_not(board: QuestBoard, saga: Saga) -> None:
    """A21: each kill amid a write of a status file left one more file, for ever."""
    paths = board.paths
    old = [folder / ".x.json.0a1b2c3d.tmp" for folder in (paths.status, paths.control, paths.current_model)]
    fresh, foreign = paths.status / ".x.json.00000000.tmp", paths.status / ".x.tmp"
    for path in (*old, fresh, foreign):
        path.write_text("half")
    os.utime(fresh, (NOW.timestamp() - 30, NOW.timestamp() - 30))

    keep_house(board, saga)

    assert [path.exists() for path in (*old, fresh, foreign)] == [False, False, False, True, True]


def test_events_and_output_files_keep_within_their_budgets(board: QuestBoard, saga: Saga) -> None:
    """A21, A22, B24: events that only ever grew, and logs that were never turned over."""
    saga.budgets = BudgetSettings(events=100)
    for number in range(150):
        saga.append("noise", str(number), now=NOW)
    output = board.paths.logs / "trainer-output.log"
    output.write_bytes(b"noise\n" * 400_000)

    keep_house(board, saga, log_megabytes=1)

    assert len(saga.events_after(0, limit=1000)) <= 100
    sizes = [path.stat().st_size for path in board.paths.logs.glob("trainer-output.log*")]
    assert sum(sizes) <= 1 << 20


def test_every_budget_has_a_default_and_is_a_setting() -> None:
    assert all(value > 0 for value in json.loads(BudgetSettings().model_dump_json()).values())

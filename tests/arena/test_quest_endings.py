"""How quests end, what people can do about them, and what the board shows of all that."""

from __future__ import annotations

import errno
import json
from datetime import timedelta
from pathlib import Path

import pytest

from arena.lanes.retention import LaneBudget
from arena.quest_board import QuestBoard
from arena.quests import Strike, sidecar_of
from core.errors import Conflict, InvalidInput, NotFound
from core.files import Files
from core.paths import RealmPaths
from tests.arena.quest_makers import NOW, admit, drop, everything_in, learn, record_of, take

# --- the end of a quest ---------------------------------------------------------------------------------------------


def test_a_learned_quest_awaits_its_seal_and_is_then_completed_under_the_time(board: QuestBoard) -> None:
    quest = learn(board, take(board, "x.jsonl"))
    assert (quest.lane, quest.record.outcome, quest.record.last_step) == ("awaiting_seal", "learned", 4)
    (sealed,) = board.seal([quest.quest_id, "q_20200101_000000_00000000"], now=NOW)
    assert sealed.lane == "recently_completed"
    assert sealed.name == f"x_{NOW.astimezone():%Y%m%d_%H%M%S}.jsonl"
    assert board.seal([quest.quest_id], now=NOW) == []


@pytest.mark.parametrize("outcome", ["skipped", "withdrawn"])
def test_what_was_learned_of_a_skipped_quest_keeps_its_data_until_it_is_sealed(board: QuestBoard, outcome: str) -> None:
    """B14: a skipped quest ends in failed/ and never comes back by itself."""
    quest = board.claim(take(board, "x.jsonl"))
    ended = board.await_seal(
        quest.quest_id, outcome=outcome, rows_learned=3, first_step=1, last_step=2, reason="too hard", now=NOW
    )
    assert ended.lane == "awaiting_seal"
    (sealed,) = board.seal([quest.quest_id], now=NOW)
    assert (sealed.lane, sealed.name, sealed.record.reason) == ("failed", "x.jsonl", "too hard")
    assert board.next_waiting() is None


def test_an_end_that_is_told_twice_is_kept_once_with_the_later_words(board: QuestBoard) -> None:
    quest = learn(board, take(board, "x.jsonl"))
    again = board.await_seal(
        quest.quest_id, outcome="learned", rows_learned=7, first_step=1, last_step=9, now=NOW, loss_last=0.5
    )
    assert again.path == quest.path
    assert (again.record.rows_learned, again.record.last_step, again.record.loss_last) == (7, 9, 0.5)


def test_the_end_of_a_quest_that_was_moved_by_hand_meanwhile_still_counts(board: QuestBoard) -> None:
    quest = board.claim(take(board, "x.jsonl"))
    target = board.paths.lane("low") / quest.name
    quest.path.rename(target)
    sidecar_of(quest.path).rename(sidecar_of(target))
    ended = board.await_seal(quest.quest_id, outcome="learned", rows_learned=1, first_step=1, last_step=1, now=NOW)
    assert ended.lane == "awaiting_seal"
    assert board.next_waiting() is None


class NoSpaceFor(Files):
    """A disk without room for one lane."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.full = True

    def link(self, source: Path, target: Path) -> None:
        if self.full and target.parent.name == self.folder:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().link(source, target)


def test_a_seal_that_the_disk_refused_is_made_up_for_at_the_next_call(paths: RealmPaths) -> None:
    files = NoSpaceFor("recently_completed")
    board = QuestBoard(paths, files)
    quest = learn(board, take(board, "x.jsonl"))
    assert board.seal([quest.quest_id], now=NOW) == []
    assert board.quests("awaiting_seal") == [quest]
    files.full = False
    assert [sealed.quest_id for sealed in board.seal([], now=NOW)] == [quest.quest_id]


def test_a_seal_that_comes_while_the_disk_still_keeps_the_quest_in_processing_is_not_forgotten(
    paths: RealmPaths,
) -> None:
    """A23: the trainer tells once what a checkpoint covers; such a quest awaited its seal until the next start."""
    files = NoSpaceFor("awaiting_seal")
    board = QuestBoard(paths, files)
    quest = take(board, "x.jsonl")
    with pytest.raises(OSError, match="No space"):
        learn(board, quest)
    assert board.seal([quest.quest_id, "q_20200101_000000_00000000"], now=NOW) == []
    files.full = False
    board.await_seal(quest.quest_id, outcome="learned", rows_learned=1, first_step=1, last_step=4, now=NOW)
    assert [sealed.quest_id for sealed in board.seal([], now=NOW)] == [quest.quest_id]
    assert board.seal([], now=NOW) == []


def test_a_full_disk_leaves_a_quest_where_it_was(paths: RealmPaths) -> None:
    board = QuestBoard(paths, NoSpaceFor("processing"))
    quest = take(board, "x.jsonl")
    before = everything_in(paths.queue)
    with pytest.raises(OSError, match="No space"):
        board.claim(quest)
    assert everything_in(paths.queue) == before
    assert board.next_waiting() == quest


class StickySource(Files):
    """A disk on which a linked file's old name cannot be removed."""

    def unlink(self, path: Path) -> None:
        if path.suffix == ".jsonl" and path.parent.name == "inbox":
            raise OSError(errno.EACCES, "Permission denied")
        super().unlink(path)


def test_a_file_that_cannot_leave_the_inbox_is_not_in_the_queue_either(paths: RealmPaths) -> None:
    board = QuestBoard(paths, StickySource())
    source = drop(paths, "x.jsonl")
    for _ in range(2):
        with pytest.raises(OSError, match="Permission"):
            admit(board, source)
    assert everything_in(paths.queue) == []
    assert source.exists()


def test_a_failed_quest_keeps_name_reason_and_outcome(board: QuestBoard) -> None:
    quest = board.claim(take(board, "x.jsonl"))
    failed = board.fail(quest.quest_id, outcome="refused", reason="line 3: nothing to learn", now=NOW)
    assert (failed.lane, failed.name, failed.record.outcome) == ("failed", "x.jsonl", "refused")
    assert board.fail(quest.quest_id, outcome="withdrawn", reason="again", now=NOW).record.outcome == "withdrawn"
    with pytest.raises(NotFound):
        board.fail("q_20200101_000000_00000000", outcome="refused", reason="", now=NOW)


def test_strikes_are_kept_and_bounded(board: QuestBoard) -> None:
    quest = board.claim(take(board, "x.jsonl"))
    for step in range(30):
        board.add_strike(quest.quest_id, Strike(at=NOW.isoformat(), ordinal=1, quest_step=step, cause="SIGKILL"))
    (kept,) = QuestBoard(board.paths).quests("processing")
    assert [strike.quest_step for strike in kept.record.strikes] == list(range(10, 30))


# --- what people ask for --------------------------------------------------------------------------------------------


def test_a_retry_is_a_new_quest_without_strikes(board: QuestBoard) -> None:
    """C5, C6: attempts and strikes belong to a claim, not to a file name; and `mv` is not the only way back."""
    quest = board.claim(take(board, "x.jsonl", "high", colour="red"))
    board.add_strike(quest.quest_id, Strike(at=NOW.isoformat(), ordinal=1, quest_step=0, cause="SIGKILL"))
    board.fail(quest.quest_id, outcome="withdrawn", reason="three strikes", now=NOW)
    again = board.retry("x.jsonl", now=NOW)
    assert again is not None
    assert again.quest_id != quest.quest_id
    assert (again.lane, again.record.attempts, again.record.strikes) == ("high", 0, [])
    assert (again.record.outcome, again.record.reason, again.record.finished_at) == (None, None, None)
    assert again.record.lineage == {"colour": "red", "retry_of": quest.quest_id}
    assert board.next_waiting() == again
    assert everything_in(board.paths.lane("failed")) == []


def test_a_new_file_with_the_name_of_a_failed_one_starts_fresh(board: QuestBoard) -> None:
    """C5: an old failure of a file of that name is nothing to the new one."""
    old = board.claim(take(board, "x.jsonl", content="bad\n"))
    board.fail(old.quest_id, outcome="withdrawn", reason="three strikes", now=NOW)
    new = take(board, "x.jsonl", content="good\n")
    assert (new.name, new.record.attempts, new.record.strikes) == ("x.jsonl", 0, [])
    failed_again = board.fail(new.quest_id, outcome="refused", reason="no", now=NOW)
    assert failed_again.name == "x_2.jsonl"
    assert (board.paths.lane("failed") / "x.jsonl").read_text() == "bad\n"


@pytest.mark.parametrize("why", ["rejected", "changed", "no record"])
def test_what_never_passed_the_gates_as_it_is_goes_back_through_them(board: QuestBoard, why: str) -> None:
    """C9: a retry is no way around the gates."""
    source = drop(board.paths, "x.jsonl", colour="red")
    outcome = "rejected" if why == "rejected" else "refused"
    failed = board.admit(source, record_of(source, "high", outcome=outcome), "failed", "x.jsonl", now=NOW)
    (failed.path.parent / "x.jsonl.rejection.json").write_text("{}")
    if why == "changed":
        failed.path.write_text("corrected\n")
    if why == "no record":
        sidecar_of(failed.path).unlink()
    assert board.retry("x.jsonl", now=NOW) is None
    assert everything_in(board.paths.queue) == []
    if why == "no record":
        assert everything_in(board.paths.inbox) == ["normal/x.jsonl"]
    else:
        assert everything_in(board.paths.inbox) == ["high/x.jsonl", "high/x.jsonl.meta.json"]
        assert json.loads((board.paths.inbox / "high/x.jsonl.meta.json").read_text()) == {"colour": "red"}


def test_going_back_to_the_inbox_never_overwrites_what_lies_there(board: QuestBoard) -> None:
    """C1."""
    source = drop(board.paths, "x.jsonl", "old\n")
    board.admit(source, record_of(source), "failed", "x.jsonl", now=NOW)
    drop(board.paths, "normal/x.jsonl", "new\n")
    assert board.retry("x.jsonl", now=NOW) is None
    inbox = board.paths.inbox / "normal"
    assert {path.name: path.read_text() for path in inbox.iterdir()} == {"x.jsonl": "new\n", "x_2.jsonl": "old\n"}


def test_only_waiting_and_failed_quests_can_be_removed(board: QuestBoard) -> None:
    running = board.claim(take(board, "running.jsonl"))
    waiting = take(board, "waiting.jsonl")
    failed = board.fail(take(board, "failed.jsonl").quest_id, outcome="refused", reason="", now=NOW)
    with pytest.raises(Conflict, match="processing"):
        board.remove(running.quest_id)
    board.remove(waiting.quest_id)
    board.remove(failed.name)
    assert everything_in(board.paths.queue) == ["processing/running.jsonl", "processing/running.jsonl.meta.json"]


def test_a_waiting_quest_changes_its_priority_and_keeps_its_identity(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl", "low")
    moved = board.move("x.jsonl", "high")
    assert (moved.lane, moved.record.priority, moved.quest_id, moved.name) == (
        "high",
        "high",
        quest.quest_id,
        "x.jsonl",
    )
    assert board.move("x.jsonl", "high") == moved
    board.claim(moved)
    with pytest.raises(Conflict, match="not waiting"):
        board.move("x.jsonl", "low")
    with pytest.raises(InvalidInput, match="urgent"):
        board.move("x.jsonl", "urgent")


def test_quests_are_found_by_id_and_by_name_in_every_lane(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl")
    assert board.find("x.jsonl") == board.find(quest.quest_id) == quest
    ended = learn(board, quest)
    assert board.find("x.jsonl") == ended
    (sealed,) = board.seal([quest.quest_id], now=NOW)
    assert board.find(sealed.name) == board.find(quest.quest_id) == sealed
    assert board.find("x.jsonl") == sealed, "people know it by the name under which they dropped it"
    assert board.find("y.jsonl") is None
    again = take(board, "x.jsonl", content="another")
    assert board.find("x.jsonl") == again


@pytest.mark.parametrize(
    "name", ["../x.jsonl", "/etc/x.jsonl", "a/b.jsonl", "x\0.jsonl", "", ".x.jsonl", "x.txt", ".."]
)
def test_pieces_of_paths_are_refused(board: QuestBoard, name: str) -> None:
    for verb in (
        board.find,
        board.remove,
        lambda name: board.retry(name, now=NOW),
        lambda name: board.move(name, "low"),
    ):
        with pytest.raises(InvalidInput):
            verb(name)


def test_what_is_nowhere_is_said_to_be_nowhere(board: QuestBoard) -> None:
    for verb in (board.remove, lambda name: board.retry(name, now=NOW), lambda name: board.move(name, "low")):
        with pytest.raises(NotFound, match=r"no quest x\.jsonl"):
            verb("x.jsonl")


# --- views and upkeep -----------------------------------------------------------------------------------------------


def test_counts_rows_and_the_queue_view_tell_what_lies_where(board: QuestBoard) -> None:
    learn(board, take(board, "awaiting.jsonl", "low"))
    done = learn(board, take(board, "done.jsonl"))
    board.seal([done.quest_id], now=NOW)
    board.fail(take(board, "skipped.jsonl").quest_id, outcome="skipped", reason="dull", now=NOW)
    board.fail(take(board, "refused.jsonl").quest_id, outcome="refused", reason="bad", now=NOW)
    board.claim(take(board, "running.jsonl"))
    take(board, "one.jsonl", "high", mtime=5)
    take(board, "two.jsonl", "high", mtime=4)
    (board.paths.lane("low") / "unchecked.jsonl").write_text("row\n")
    assert board.counts() == {
        "queued": {"high": 2, "normal": 0, "low": 0, "total": 2},
        "total_queued": 2,
        "processing": 1,
        "awaiting_seal": 1,
        "completed": 1,
        "failed": 1,
        "skipped": 1,
    }
    rows = {row["file"]: row for row in board.listing()}
    assert list(rows)[:2] == ["two.jsonl", "one.jsonl"]
    assert rows["skipped.jsonl"]["reason"] == "dull"
    assert (rows["unchecked.jsonl"]["quest_id"], rows["unchecked.jsonl"]["rows"]) == (None, None)
    assert set(rows["one.jsonl"]) == {
        "file", "quest_id", "lane", "priority", "rows", "size_mb", "added_at", "outcome", "reason", "strikes",
    }  # fmt: skip
    assert board.queue_view() == {
        "pending": 2,
        "processing": 1,
        "awaiting_seal": 1,
        "failed": 1,
        "queues": {
            "high": {"count": 2, "files": ["two.jsonl", "one.jsonl"]},
            "normal": {"count": 0, "files": []},
            "low": {"count": 0, "files": []},
        },
    }
    with pytest.raises(InvalidInput, match="no lane 'lost'"):
        board.listing("lost")


def test_the_metadata_file_is_made_from_the_sidecars_alone(board: QuestBoard) -> None:
    """C3: nothing is read, changed and written back, so nothing can be lost between two writers."""
    board.paths.queue_metadata.write_text("{torn")
    done = learn(board, take(board, "done.jsonl"))
    (sealed,) = board.seal([done.quest_id], now=NOW)
    board.fail(take(board, "skipped.jsonl").quest_id, outcome="skipped", reason="dull", now=NOW)
    board.fail(take(board, "bad.jsonl").quest_id, outcome="refused", reason="line 1", now=NOW)
    board.write_metadata(now=NOW)
    body = json.loads(board.paths.queue_metadata.read_text())
    assert [entry["file"] for entry in body["processed"]] == [sealed.name]
    assert body["processed"][0]["completed_at"] == NOW.isoformat()
    assert [(entry["file"], entry["reason"]) for entry in body["skipped"]] == [("skipped.jsonl", "dull")]
    assert [(entry["file"], entry["last_error"]) for entry in body["failed"]] == [("bad.jsonl", "line 1")]


def test_completed_quests_are_deleted_after_their_days(board: QuestBoard) -> None:
    """A20: recently_completed/ is really emptied, by the end of the quest and not by the age of its data."""
    old = learn(board, take(board, "old.jsonl"))
    board.seal([old.quest_id], now=NOW)
    young = board.claim(take(board, "young.jsonl", mtime=1))
    later = NOW + timedelta(days=6)
    board.await_seal(young.quest_id, outcome="learned", rows_learned=1, first_step=5, last_step=6, now=later)
    (kept,) = board.seal([young.quest_id], now=later)
    week = LaneBudget(days=7, megabytes=1)
    assert len(board.forget("recently_completed", week, now=NOW + timedelta(days=8))[0]) == 1
    assert everything_in(board.paths.queue) == [
        f"recently_completed/{kept.name}",
        f"recently_completed/{kept.name}.meta.json",
    ]


def test_many_waiting_quests_are_not_read_again_at_every_look(
    board: QuestBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({**record_of(drop(board.paths, "x.jsonl")).__dict__, "lineage": {}})
    for number in range(300):
        path = board.paths.lane("normal") / f"{number:05}.jsonl"
        path.write_text("row\n")
        sidecar_of(path).write_text(body)
    opened: list[str] = []
    real = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        opened.append(path.name)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    assert board.counts()["total_queued"] == 300
    assert opened == []
    assert board.next_waiting() is not None
    assert opened == ["00000.jsonl.meta.json"]
    board.listing()
    seen = len(opened)
    board.listing()
    board.next_waiting()
    assert len(opened) == seen

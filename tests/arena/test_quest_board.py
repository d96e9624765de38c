"""The quest board: lanes, order, names, and what each verb does to a quest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from arena.quest_board import QuestBoard
from arena.quests import read_sidecar, sidecar_of
from core.errors import Conflict, NotFound
from core.files import Files
from core.paths import LANES, RealmPaths
from tests.arena.quest_makers import NOW, admit, drop, everything_in, learn, record_of, take

# --- taking in ----------------------------------------------------------------------------------------------------


def test_a_dropped_file_leaves_the_inbox_and_waits_with_its_record(paths: RealmPaths, board: QuestBoard) -> None:
    quest = take(board, "x.jsonl", "high")
    assert everything_in(paths.inbox) == []
    assert everything_in(paths.queue) == ["high/x.jsonl", "high/x.jsonl.meta.json"]
    assert read_sidecar(quest.path) == quest.record
    assert quest.lane == quest.record.priority == "high"


def test_two_files_of_one_name_both_survive_in_any_lane(board: QuestBoard) -> None:
    """C1: a quest never overwrites one of the same name, whichever open lane that lies in."""
    first = board.claim(take(board, "x.jsonl", content="one\n"))
    second = take(board, "x.jsonl", "high", content="two\n")
    third = take(board, "x.jsonl", "low", content="three\n")
    assert [quest.name for quest in (first, second, third)] == ["x.jsonl", "x_2.jsonl", "x_3.jsonl"]
    assert [quest.path.read_text() for quest in (first, second, third)] == ["one\n", "two\n", "three\n"]


class Meddler(Files):
    """Someone puts a file at the chosen name in the very last moment."""

    def __init__(self) -> None:
        self.target: Path | None = None

    def link(self, source: Path, target: Path) -> None:
        if self.target is None:
            self.target = target
            target.write_text("by hand\n")
        super().link(source, target)


def test_a_name_that_is_taken_at_the_last_moment_is_not_overwritten(paths: RealmPaths) -> None:
    """C1, C9: the file of the other one stays as it is, and does not get our record as its own."""
    files = Meddler()
    quest = take(QuestBoard(paths, files), "x.jsonl")
    assert quest.name == "x_2.jsonl"
    assert files.target is not None
    assert files.target.read_text() == "by hand\n"
    assert not sidecar_of(files.target).exists()


def test_the_same_content_dropped_twice_is_two_quests(board: QuestBoard) -> None:
    first, second = take(board, "x.jsonl", content="same\n"), take(board, "y.jsonl", content="same\n")
    assert first.quest_id != second.quest_id
    assert board.counts()["total_queued"] == 2


def test_a_file_dropped_as_a_hard_link_again_and_again_is_a_new_quest_each_time(
    paths: RealmPaths, board: QuestBoard, tmp_path: Path
) -> None:
    """A half move shows as one file under two names; a second drop of one file must not be taken for that."""
    own = tmp_path / "mine.jsonl"
    own.write_text("row\n")
    for _ in range(2):
        os.link(own, paths.inbox / "x.jsonl")
        admit(board, paths.inbox / "x.jsonl")
        board.sweep(now=NOW)
    assert [row["file"] for row in board.listing("normal")] == ["x.jsonl", "x_2.jsonl"]
    assert own.read_text() == "row\n"


def test_lineage_dropped_beside_a_file_goes_with_it_to_the_end(paths: RealmPaths, board: QuestBoard) -> None:
    """C4: a sidecar is never left behind, in the inbox or in any lane."""
    quest = take(board, "x.jsonl", generator_id="discrimination", params={"levels": [1]})
    assert everything_in(paths.inbox) == []
    learn(board, quest)
    (sealed,) = board.seal([quest.quest_id], now=NOW)
    assert sealed.record.lineage == {"generator_id": "discrimination", "params": {"levels": [1]}}
    assert everything_in(paths.queue) == [
        f"recently_completed/{sealed.name}",
        f"recently_completed/{sealed.name}.meta.json",
    ]


def test_a_dropped_sidecar_cannot_forge_what_the_realm_records(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl", quest_id="q_20200101_000000_00000000", outcome="learned", rows=9, colour="red")
    kept = read_sidecar(quest.path)
    assert kept is not None
    assert (kept.quest_id, kept.outcome, kept.rows) == (quest.quest_id, None, 1)
    assert kept.lineage == {"colour": "red"}


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xfe\x00", b"[1, 2]", b'{"a": NaN}', b"[" * 100_000, b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", b"{}"],
)
def test_an_unusable_sidecar_never_stops_the_intake(paths: RealmPaths, board: QuestBoard, garbage: bytes) -> None:
    source = drop(paths, "x.jsonl")
    sidecar_of(source).write_bytes(garbage)
    quest = admit(board, source)
    assert board.next_waiting() == quest
    assert everything_in(paths.inbox) == []


def test_a_rejected_file_goes_to_failed_with_its_reason(board: QuestBoard) -> None:
    source = drop(board.paths, "x.jsonl", "not json\n")
    quest = board.admit(source, record_of(source, reason="line 1: no JSON"), "failed", "x.jsonl", now=NOW)
    assert (quest.lane, quest.record.outcome, quest.record.reason) == ("failed", "rejected", "line 1: no JSON")
    assert quest.record.finished_at == NOW.isoformat()
    assert board.next_waiting() is None


@pytest.mark.parametrize("name", ["ä" * 120 + ".jsonl", "a\nb\x1b[31m.jsonl", "x" * 249 + ".jsonl", "\udcff.jsonl"])
def test_any_name_that_a_file_system_allows_can_be_taken_through_all_lanes(board: QuestBoard, name: str) -> None:
    quest = take(board, name)
    assert quest.name.isprintable()
    learn(board, quest)
    (sealed,) = board.seal([quest.quest_id], now=NOW)
    assert sealed.path.exists()


def test_a_source_that_is_gone_is_told_as_such(board: QuestBoard) -> None:
    source = drop(board.paths, "x.jsonl")
    record = record_of(source)
    source.unlink()
    with pytest.raises(NotFound, match="gone"):
        board.admit(source, record, "normal", "x.jsonl", now=NOW)
    assert everything_in(board.paths.queue) == []


def test_a_checked_file_that_lies_in_its_lane_already_stays_there(board: QuestBoard) -> None:
    path = board.paths.lane("high") / "x.jsonl"
    path.write_text("row\n")
    quest = admit(board, path, "high")
    assert quest.path == path
    assert board.next_waiting() == quest


# --- order and claims -----------------------------------------------------------------------------------------------


def test_quests_are_handed_out_by_priority_then_age_then_name(board: QuestBoard) -> None:
    take(board, "old_low.jsonl", "low", mtime=1)
    take(board, "b.jsonl", "normal", mtime=50)
    take(board, "a.jsonl", "normal", mtime=50)
    take(board, "young_high.jsonl", "high", mtime=99)
    take(board, "old_high.jsonl", "high", mtime=98)
    order = []
    while (quest := board.next_waiting()) is not None:
        order.append(quest.name)
        learn(board, quest)
    assert order == ["old_high.jsonl", "young_high.jsonl", "a.jsonl", "b.jsonl", "old_low.jsonl"]


def test_a_file_put_into_a_lane_by_hand_is_not_handed_out(board: QuestBoard) -> None:
    """C9: what never passed the gates is not trained, even with a sidecar that a generator wrote."""
    path = board.paths.lane("high") / "sneaky.jsonl"
    path.write_text("row\n")
    assert board.next_waiting() is None
    sidecar_of(path).write_text(json.dumps({"generator_id": "curriculum", "generator_version": "1.0.0"}))
    assert board.next_waiting() is None
    assert take(board, "x.jsonl", "low") == board.next_waiting()


@pytest.mark.parametrize(
    "broken", [{"strikes": [{"x": 1}]}, {"strikes": "no"}, {"rows": "many"}, {"priority": "urgent"}]
)
def test_a_sidecar_broken_by_hand_makes_no_quest_and_no_crash(board: QuestBoard, broken: dict[str, object]) -> None:
    quest = take(board, "x.jsonl")
    sidecar = sidecar_of(quest.path)
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **broken}))
    assert board.next_waiting() is None
    assert board.find("x.jsonl") is None
    assert board.listing("normal")[0]["quest_id"] is None


def test_only_one_quest_is_claimed_at_a_time_and_claims_are_counted(board: QuestBoard) -> None:
    first, second = take(board, "a.jsonl"), take(board, "b.jsonl")
    claimed = board.claim(first)
    assert (claimed.lane, claimed.record.attempts) == ("processing", 1)
    assert board.processing() == claimed
    with pytest.raises(Conflict, match=r"a\.jsonl is in processing"):
        board.claim(second)
    assert second.path.exists()


def test_a_claimed_quest_is_found_again_by_the_next_process(board: QuestBoard) -> None:
    """B17: a crash leaves the quest in processing/, where the next start goes on with it."""
    claimed = board.claim(take(board, "x.jsonl"))
    assert QuestBoard(board.paths).processing() == claimed


def test_a_file_changed_after_its_check_is_not_claimed_and_is_reported(board: QuestBoard) -> None:
    """C9: the gates have to see what is trained."""
    quest = take(board, "x.jsonl", colour="red")
    quest.path.write_text("other rows\n")
    with pytest.raises(Conflict, match="changed"):
        board.claim(quest)
    assert board.next_waiting() is None
    orphans = board.sweep(now=NOW + timedelta(days=400)).orphans
    assert [orphan.path for orphan in orphans] == [quest.path]
    again = admit(board, quest.path)
    assert again.record.lineage == {"colour": "red"}


def test_a_quest_that_left_its_lane_meanwhile_is_not_claimed(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl")
    board.move("x.jsonl", "low")
    with pytest.raises(Conflict, match="not waiting any more"):
        board.claim(quest)


def test_many_threads_claim_and_only_one_wins(board: QuestBoard) -> None:
    quests = [take(board, f"{number}.jsonl") for number in range(8)]
    start, won = threading.Barrier(8), []

    def claim(number: int) -> None:
        start.wait()
        try:
            won.append(board.claim(quests[number]).name)
        except Conflict:
            return

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert everything_in(board.paths.lane("processing")) == [won[0], f"{won[0]}.meta.json"]


# --- killed in the middle -------------------------------------------------------------------------------------------

LIFE = """
import sys
from pathlib import Path
from core.paths import RealmPaths
from arena.quest_board import QuestBoard
from tests.arena.quest_makers import NOW, admit, learn
board = QuestBoard(RealmPaths(Path(sys.argv[1])))
quest = admit(board, board.paths.inbox / "x.jsonl", "high")
learn(board, quest)
board.seal([quest.quest_id], now=NOW)
"""


@pytest.mark.parametrize("passing", [1, 2, 3, 4])
@pytest.mark.parametrize("point", ["move.sidecar", "move.linked", "move.unlinked"])
def test_a_process_killed_inside_any_move_leaves_one_quest_in_one_place(
    paths: RealmPaths, point: str, passing: int
) -> None:
    """B17 and law 1, with a real SIGKILL at each sub-step of admit, claim, await_seal and seal."""
    drop(paths, "x.jsonl", "row\n", colour="red")
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "REALM_CRASH_AT": f"{point}:{passing}", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", LIFE, str(paths.base)], env=environment, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    board = QuestBoard(paths)
    board.sweep(now=NOW)
    where = ["inbox", "high", "processing", "awaiting_seal", "recently_completed"]
    expected = where[passing - 1 if point == "move.sidecar" else passing]
    if expected == "inbox":
        assert everything_in(paths.queue) == []
        assert everything_in(paths.inbox) == ["x.jsonl", "x.jsonl.meta.json"]
        return
    assert everything_in(paths.inbox) == []
    (row,) = board.listing()
    assert row["lane"] == expected
    assert len(everything_in(paths.queue)) == 2
    (quest,) = [quest for lane in LANES for quest in board.quests(lane)]
    assert quest.record.lineage == {"colour": "red"}
    assert board.sweep(now=NOW).notes == []

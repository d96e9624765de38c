"""The sweep: half moves are finished, hands are followed, strangers are reported, leftovers go."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from arena.lanes.sweep import GRACE_SECONDS, SweepReport
from arena.quest_board import QuestBoard
from arena.quests import Quest, sidecar_of
from core.files import Files
from core.paths import RealmPaths
from tests.arena.quest_makers import (
    NOW,
    Killed,
    MortalCopies,
    MortalFiles,
    admit,
    drop,
    everything_in,
    learn,
    make_realm,
    take,
)

NOBODY = 65534


def later(seconds: float = 10.0) -> datetime:
    """A moment at which all files written so far have settled."""
    return datetime.now().astimezone() + timedelta(seconds=seconds)


def sweep(board: QuestBoard, seconds: float = 10.0) -> SweepReport:
    return board.sweep(now=later(seconds))


def mv(quest: Quest, lane: str, board: QuestBoard, *, name: str | None = None, with_sidecar: bool = False) -> Path:
    target = board.paths.lane(lane) / (name or quest.name)
    quest.path.rename(target)
    if with_sidecar:
        sidecar_of(quest.path).rename(sidecar_of(target))
    return target


def both(lane: str, name: str = "x.jsonl") -> list[str]:
    return [f"{lane}/{name}", f"{lane}/{name}.meta.json"]


def test_a_sweep_of_an_orderly_queue_changes_nothing(board: QuestBoard) -> None:
    learn(board, take(board, "a.jsonl"))
    board.claim(take(board, "b.jsonl"))
    take(board, "c.jsonl", "low")
    before = {path: path.stat().st_mtime_ns for path in board.paths.queue.rglob("*.json*")}
    report = sweep(board, 10_000)
    assert (report.notes, report.orphans) == ([], [])
    assert {path: path.stat().st_mtime_ns for path in board.paths.queue.rglob("*.json*")} == before


# --- half moves -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("disk", [MortalFiles, MortalCopies])
@pytest.mark.parametrize("verb", ["admit", "claim", "await_seal", "seal", "fail", "retry", "reject", "regate"])
def test_a_move_cut_off_at_any_call_is_finished_or_undone(tmp_path: Path, verb: str, disk: type[MortalFiles]) -> None:
    """Law 1, B17: every verb, dying before each single call to the disk, with and without hard links."""
    calls = 0
    while True:
        files = disk()
        board = QuestBoard(make_realm(tmp_path / str(calls)), files)
        work = _prepare(board, verb)
        files.calls_left = calls
        try:
            work()
        except Killed:
            pass
        else:
            break
        again = QuestBoard(board.paths)
        again.sweep(now=later())
        lying = [path for path in everything_in(board.paths.base) if path.endswith(".jsonl")]
        assert len(lying) == 1, f"{verb} killed before call {calls}: {lying}"
        assert (board.paths.base / lying[0]).read_text() == "row\n"
        sidecar = sidecar_of(board.paths.base / lying[0])
        assert json.loads(sidecar.read_text())["colour"] == "red"
        again.sweep(now=later(GRACE_SECONDS + 60))
        left = [path for path in everything_in(board.paths.base) if ".jsonl" in path]
        assert len(left) == 2, f"{verb} killed before call {calls}: {left}"
        calls += 1
    assert calls >= 4


def _prepare(board: QuestBoard, verb: str) -> Any:
    source = drop(board.paths, "x.jsonl", "row\n", colour="red")
    if verb == "admit":
        return lambda: admit(board, source)
    quest = admit(board, source, "high")
    if verb == "claim":
        return lambda: board.claim(quest)
    if verb == "await_seal":
        board.claim(quest)
        return lambda: board.await_seal(
            quest.quest_id, outcome="learned", rows_learned=1, first_step=1, last_step=1, now=later()
        )
    if verb == "seal":
        learn(board, quest)
        return lambda: board.seal([quest.quest_id], now=later())
    if verb == "fail":
        return lambda: board.fail(quest.quest_id, outcome="refused", reason="bad", now=later())
    if verb in ("retry", "reject"):
        board.fail(quest.quest_id, outcome="refused" if verb == "retry" else "rejected", reason="bad", now=later())
        return lambda: board.retry("x.jsonl", now=later())
    return lambda: board.send_to_gates(quest.path)


def test_an_empty_claim_of_a_name_left_by_a_copy_is_taken_back(paths: RealmPaths) -> None:
    """Without hard links a name is claimed by an empty file first; killed there, the source is the quest."""
    files = MortalCopies()
    board = QuestBoard(paths, files)
    quest = take(board, "x.jsonl", content="row\n")
    target = paths.lane("processing") / "x.jsonl"
    sidecar_of(target).write_text(
        json.dumps(
            {
                **json.loads(sidecar_of(quest.path).read_text()),
                "moved_from": {"path": "queue/normal/x.jsonl", "quest_id": quest.quest_id},
            }
        )
    )
    target.touch()
    sweep(board)
    assert everything_in(paths.queue) == both("normal")
    assert board.next_waiting() == quest


def test_a_stranger_at_the_target_of_a_cut_off_move_is_not_taken_for_the_quest(paths: RealmPaths) -> None:
    """C9: the sidecar that a killed move left must not vouch for a file put there by hand."""
    files = MortalFiles()
    board = QuestBoard(paths, files)
    source = drop(paths, "x.jsonl", "row\n")
    target = paths.lane("high") / "x.jsonl"
    files.calls_left = 3
    with pytest.raises(Killed):
        admit(board, source, "high")
    assert sidecar_of(target).exists()
    assert not target.exists()
    target.write_text("never checked\n")
    board = QuestBoard(paths)
    report = sweep(board)
    assert [orphan.path for orphan in report.orphans] == [target]
    assert board.next_waiting() is None
    assert source.read_text() == "row\n"


def test_a_forged_move_mark_cannot_reach_outside_the_realm(
    paths: RealmPaths, board: QuestBoard, tmp_path: Path
) -> None:
    victim = tmp_path / "precious.jsonl"
    victim.write_text("row\n")
    quest = take(board, "x.jsonl", content="row\n")
    for forged in (str(victim), "../precious.jsonl", "queue/../precious.jsonl", "queue/normal/x.jsonl"):
        sidecar_of(quest.path).write_text(
            json.dumps(
                {**json.loads(sidecar_of(quest.path).read_text()), "moved_from": {"path": forged, "quest_id": None}}
            )
        )
        sweep(board)
        assert victim.exists()
        assert quest.path.exists()


@pytest.mark.parametrize("disk", [MortalFiles, MortalCopies])
def test_a_file_put_at_the_old_name_before_the_sweep_is_not_taken_for_the_rest_of_the_move(
    tmp_path: Path, disk: type[MortalFiles]
) -> None:
    """Law 1: killed right after the old name was unlinked, and then someone drops the same bytes there again."""
    for calls in count():
        files = disk()
        board = QuestBoard(make_realm(tmp_path / str(calls)), files)
        quest = take(board, "x.jsonl", content="row\n", mtime=1_000.0)
        files.calls_left = calls
        with pytest.raises(Killed):
            board.claim(quest)
        if not quest.path.exists():
            break
    quest.path.write_text("row\n")
    sweep(QuestBoard(board.paths))
    lying = [name for name in everything_in(board.paths.queue) if name.endswith(".jsonl")]
    assert lying == ["normal/x.jsonl", "processing/x.jsonl"]


@pytest.mark.parametrize("copy", [shutil.copy, shutil.copy2])
def test_a_failed_quest_copied_back_by_hand_stays_beside_the_one_that_failed(
    paths: RealmPaths, copy: Callable[[Path, Path], object]
) -> None:
    """Law 1: a move that is long over must not pass for half done, or the sweep deletes the copy as its rest."""
    board = QuestBoard(paths)
    first = take(board, "a.jsonl", "high", content="row\n")
    twin = Quest(paths.lane("high") / "copy.jsonl", first.record)

    def copy_by_hand(source: Quest, target: Quest) -> None:
        copy(source.path, target.path)
        copy(sidecar_of(source.path), sidecar_of(target.path))

    copy_by_hand(first, twin)
    os.utime(first.path, (1, 1))
    board.move(first.quest_id, "normal")
    sweep(board)
    failed = board.fail(twin.quest_id, outcome="refused", reason="bad", now=NOW)
    assert failed.path == paths.lane("failed") / "copy.jsonl"
    copy_by_hand(failed, twin)

    def files() -> list[str]:
        return [name for name in everything_in(paths.queue) if name.endswith(".jsonl")]

    files_before = files()
    assert files_before == ["failed/copy.jsonl", "high/copy.jsonl", "normal/a.jsonl"]
    sweep(board)
    assert files() == files_before
    record = board.find(failed.quest_id)
    assert record is not None
    assert record.path == failed.path
    again = sweep(board)
    assert {orphan.path for orphan in again.orphans} == {twin.path, paths.lane("normal") / "a.jsonl"}
    assert again.notes == []


# --- moved by hand --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_sidecar", [True, False])
def test_a_quest_moved_by_hand_to_another_priority_is_the_same_quest(board: QuestBoard, with_sidecar: bool) -> None:
    """C4: a hand `mv` that leaves the sidecar behind does not lose the lineage."""
    quest = take(board, "x.jsonl", "low", colour="red")
    mv(quest, "high", board, with_sidecar=with_sidecar)
    report = sweep(board)
    assert report.orphans == []
    assert report.notes
    found = board.next_waiting()
    assert found is not None
    assert (found.quest_id, found.lane, found.record.priority) == (quest.quest_id, "high", "high")
    assert found.record.lineage == {"colour": "red"}
    assert everything_in(board.paths.queue) == both("high")
    assert sweep(board).notes == []


def test_a_quest_renamed_by_hand_finds_its_record_by_its_content(board: QuestBoard) -> None:
    other = take(board, "y.jsonl")
    quest = take(board, "x.jsonl")
    mv(quest, "normal", board, name="renamed.jsonl")
    mv(other, "high", board)
    sweep(board)
    assert board.find("renamed.jsonl") is not None
    assert {found.name: found.quest_id for lane in ("high", "normal") for found in board.quests(lane)} == {
        "renamed.jsonl": quest.quest_id,
        "y.jsonl": other.quest_id,
    }


def test_of_two_quests_with_one_content_each_gets_its_own_record_back(board: QuestBoard) -> None:
    first, second = take(board, "a.jsonl", content="same\n"), take(board, "b.jsonl", content="same\n")
    mv(second, "low", board)
    mv(first, "low", board)
    sweep(board)
    assert {found.name: found.quest_id for found in board.quests("low")} == {
        "a.jsonl": first.quest_id,
        "b.jsonl": second.quest_id,
    }


@pytest.mark.parametrize("with_sidecar", [True, False])
def test_a_failed_quest_moved_back_by_hand_goes_through_the_gates_as_a_new_one(
    board: QuestBoard, with_sidecar: bool
) -> None:
    """C5, C6, C9: `mv failed/x queue/high/` is a retry, and a retry is a new claim."""
    quest = take(board, "x.jsonl", colour="red")
    failed = board.fail(quest.quest_id, outcome="rejected", reason="bad", now=later())
    target = mv(failed, "high", board, with_sidecar=with_sidecar)
    report = sweep(board)
    assert [orphan.path for orphan in report.orphans] == [target]
    assert board.next_waiting() is None
    sent = board.send_to_gates(target)
    assert everything_in(board.paths.queue) == []
    again = admit(board, sent, "high")
    assert again.quest_id != quest.quest_id
    assert again.record.lineage == {"colour": "red"}


def test_a_quest_moved_to_failed_by_hand_is_withdrawn(board: QuestBoard) -> None:
    mv(take(board, "x.jsonl"), "failed", board, with_sidecar=True)
    sweep(board)
    (quest,) = board.quests("failed")
    assert (quest.record.outcome, quest.record.reason) == ("withdrawn", "moved to failed/ by hand")


@pytest.mark.parametrize("lane", ["processing", "awaiting_seal"])
def test_a_quest_put_by_hand_where_only_the_daemon_puts_quests_waits_again(board: QuestBoard, lane: str) -> None:
    running = board.claim(take(board, "running.jsonl", mtime=99))
    quest = take(board, "x.jsonl", "high", mtime=1)
    mv(quest, lane, board, with_sidecar=True)
    assert board.processing() == running
    sweep(board)
    assert board.processing() == running
    assert board.next_waiting() == quest


def test_a_quest_copied_by_hand_with_its_sidecar_becomes_a_second_quest(board: QuestBoard) -> None:
    quest = board.claim(take(board, "x.jsonl", content="row\n", colour="red"))
    copy = board.paths.lane("low") / "copy.jsonl"
    copy.write_text("row\n")
    sidecar_of(copy).write_bytes(sidecar_of(quest.path).read_bytes())
    report = sweep(board)
    assert [orphan.path for orphan in report.orphans] == [copy]
    assert board.processing() == quest
    assert admit(board, copy, "low").record.lineage == {"colour": "red"}


# --- strangers and leftovers ----------------------------------------------------------------------------------------


def test_a_file_nobody_checked_is_reported_once_it_stands_still(board: QuestBoard) -> None:
    """C9: it is not trained, not lost and not passed over in silence; and a copy under way is let finish."""
    path = board.paths.lane("high") / "x.jsonl"
    path.write_text("row\n")
    stamp = path.stat().st_mtime
    os.utime(path, (stamp + 3600, stamp + 3600))
    assert sweep(board).orphans == []
    with path.open("a") as file:
        file.write("row\n")
    os.utime(path, (stamp + 3600, stamp + 3600))
    assert sweep(board).orphans == []
    assert [orphan.path for orphan in sweep(board).orphans] == [path]
    assert board.next_waiting() is None


def test_a_sidecar_waits_for_its_data_that_are_still_being_copied(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl", "low", content="row 1\nrow 2\n")
    target = board.paths.lane("high") / "x.jsonl"
    quest.path.unlink()
    target.write_text("row 1\n")
    now = later(GRACE_SECONDS * 2)
    os.utime(target, (now.timestamp(), now.timestamp()))
    assert board.sweep(now=now).orphans == []
    target.write_text("row 1\nrow 2\n")
    sweep(board, GRACE_SECONDS * 3)
    assert everything_in(board.paths.queue) == both("high")
    assert board.next_waiting() is not None


def test_sidecars_and_reports_without_data_go_after_a_while_and_are_told(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl")
    quest.path.unlink()
    (board.paths.lane("failed") / "gone.jsonl.rejection.json").write_text("{}")
    assert sweep(board, 10).notes == []
    report = sweep(board, GRACE_SECONDS + 10)
    assert [note for note in report.notes if quest.quest_id in note]
    assert everything_in(board.paths.queue) == []


def test_temporary_files_of_ours_go_and_those_of_others_stay(board: QuestBoard) -> None:
    lane = board.paths.lane("high")
    for name in (".x.jsonl.0a1b2c3d.part", ".x.jsonl.meta.json.0a1b2c3d.tmp", ".theirs.tmp", "x.jsonl.part"):
        (lane / name).touch()
    sweep(board, 10)
    assert len(everything_in(lane)) == 4
    sweep(board, GRACE_SECONDS + 10)
    assert everything_in(lane) == [".theirs.tmp", "x.jsonl.part"]


def test_what_is_no_regular_file_is_left_alone_and_told_once(board: QuestBoard, tmp_path: Path) -> None:
    (board.paths.lane("high") / "folder.jsonl").mkdir()
    (board.paths.lane("low") / "link.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    notes = sweep(board).notes
    assert len(notes) == 2
    assert all("not a regular file" in note for note in notes)
    assert sweep(board).notes == []
    assert board.next_waiting() is None


def test_data_awaiting_a_seal_without_a_record_are_never_trained_twice_by_themselves(board: QuestBoard) -> None:
    quest = learn(board, take(board, "x.jsonl"))
    sidecar_of(quest.path).unlink()
    report = sweep(board)
    assert report.orphans == []
    assert "lost its record" in report.notes[0]


def test_a_deleted_lane_is_made_again_by_the_next_move(board: QuestBoard) -> None:
    quest = take(board, "x.jsonl")
    board.paths.lane("processing").rmdir()
    assert sweep(board).notes == []
    assert board.claim(quest).path.exists()


@pytest.fixture
def guest_board() -> Iterator[QuestBoard]:
    """The board of a realm of somebody who is not root, in a place that they can reach."""
    with TemporaryDirectory() as folder:
        paths = make_realm(Path(folder))
        if os.geteuid() != 0:
            yield QuestBoard(paths)
            return
        for path in (paths.base, *paths.base.rglob("*")):
            os.chown(path, NOBODY, -1)
        os.seteuid(NOBODY)
        try:
            yield QuestBoard(paths)
        finally:
            os.seteuid(0)


def test_a_file_that_only_somebody_else_may_read_keeps_no_realm_from_starting(guest_board: QuestBoard) -> None:
    """A28, C9: as `sudo cp` leaves it, while a sidecar elsewhere has lost its file."""
    board = guest_board
    quest = take(board, "x.jsonl")
    mv(quest, "low", board)
    stray = board.paths.lane("high") / "of_root.jsonl"
    stray.write_text("row\n")
    stray.chmod(0)
    report = sweep(board)
    assert [orphan.path for orphan in report.orphans] == [stray]
    found = board.find(quest.quest_id)
    assert found is not None
    assert found.lane == "low", "others are cared for"


class BrokenDisk(Files):
    def unlink(self, path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")


def test_a_sweep_that_the_disk_stops_loses_nothing(paths: RealmPaths) -> None:
    files = MortalFiles()
    board = QuestBoard(paths, files)
    quest = take(board, "x.jsonl", content="row\n")
    os.link(quest.path, paths.lane("processing") / "x.jsonl")
    body = json.loads(sidecar_of(quest.path).read_text())
    target = sidecar_of(paths.lane("processing") / "x.jsonl")
    target.write_text(json.dumps({**body, "moved_from": {"path": "queue/normal/x.jsonl", "quest_id": quest.quest_id}}))
    with pytest.raises(OSError, match="Input/output"):
        sweep(QuestBoard(paths, BrokenDisk()))
    sweep(QuestBoard(paths))
    assert everything_in(paths.queue) == both("processing")

"""Law 1 for packed files: whatever is killed whenever, their rows become one quest and nothing is left over."""

from __future__ import annotations

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from arena.gatekeepers.gate import inspect_file
from arena.lanes.admission import Admission, Unpacked
from arena.lanes.reading import content_hash
from arena.quest_board import QuestBoard
from arena.quests import Quest
from core.files import Files
from core.paths import RealmPaths
from tests.arena.quest_makers import NOW, Killed, MortalCopies, MortalFiles, everything_in, make_realm, record_of

ROWS = b"".join(
    json.dumps({"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": str(n)}]}).encode()
    + b"\n"
    for n in range(5)
)
PACKED = gzip.compress(ROWS, mtime=0)


def drop_packed(paths: RealmPaths, data: bytes = PACKED, sidecar: str = "x.jsonl.gz.meta.json") -> Path:
    path = paths.inbox / "x.jsonl.gz"
    path.write_bytes(data)
    (paths.inbox / sidecar).write_text('{"generator_id": "tests"}')
    return path


def take_packed(board: QuestBoard, path: Path) -> Quest:
    """What the intake does with a packed file: the gates unpack it, the board admits it."""
    unpack_to = board.paths.unpacking / "rows.jsonl"
    verdict = inspect_file(str(path), str(unpack_to))
    assert verdict["accepted"], verdict
    record = record_of(unpack_to, original_name=path.name, lineage={"container": verdict["container"]})
    unpacked = Unpacked(unpack_to, verdict["container"]["content_hash"])
    (quest,) = board.admit_all([Admission(path, record, "normal", "x.jsonl", unpacked)], now=NOW)
    if isinstance(quest, Exception):
        raise quest
    return quest


def assert_one_quest(paths: RealmPaths, board: QuestBoard) -> None:
    (quest,) = board.quests("normal")
    assert quest.path.read_bytes() == ROWS
    assert quest.record.content_hash == content_hash(quest.path)
    assert quest.record.lineage["container"]["content_hash"] == blake3(PACKED).hexdigest()
    assert quest.record.lineage["generator_id"] == "tests"
    assert "moved_from" not in json.loads(Path(f"{quest.path}.meta.json").read_text())
    left = [name for name in everything_in(paths.base) if not name.startswith("queue/.unpacking/")]
    assert left == ["queue/normal/x.jsonl", "queue/normal/x.jsonl.meta.json"]


@pytest.mark.parametrize("sidecar", ["x.jsonl.gz.meta.json", "x.jsonl.meta.json"])
def test_the_rows_of_a_packed_file_become_the_quest_and_the_file_goes(paths: RealmPaths, sidecar: str) -> None:
    board = QuestBoard(paths)
    quest = take_packed(board, drop_packed(paths, sidecar=sidecar))
    assert (quest.name, quest.record.original_name) == ("x.jsonl", "x.jsonl.gz")
    assert_one_quest(paths, board)
    assert everything_in(paths.unpacking) == []


@pytest.mark.parametrize("disk", [MortalFiles, MortalCopies], ids=["links", "copies"])
def test_a_kill_at_any_call_to_the_disk_loses_nothing_and_doubles_nothing(
    tmp_path: Path, disk: type[MortalFiles]
) -> None:
    deaths = 0
    for calls in range(60):
        paths = make_realm(tmp_path / str(calls))
        path = drop_packed(paths, sidecar="x.jsonl.meta.json")
        files = disk()
        board = QuestBoard(paths, files)
        files.calls_left = calls
        try:
            take_packed(board, path)
        except Killed:
            deaths += 1
        else:
            files.calls_left = -1
        # The next start: a sweep first, then the inbox.
        board = QuestBoard(paths)
        board.sweep(now=NOW)
        if path.exists():
            take_packed(board, path)
        assert_one_quest(paths, board)
        if files.calls_left == -1:
            break
    assert deaths > 12


@pytest.mark.parametrize("calls", range(8))
def test_a_kill_during_the_sweep_that_finishes_an_admission_is_finished_by_the_next(tmp_path: Path, calls: int) -> None:
    paths = make_realm(tmp_path)
    path = drop_packed(paths)
    files = DeadAtUnlink()
    with pytest.raises(Killed):
        take_packed(QuestBoard(paths, files), path)
    assert path.exists()
    assert (paths.lane("normal") / "x.jsonl").exists()
    dying = MortalFiles()
    dying.calls_left = calls
    try:
        QuestBoard(paths, dying).sweep(now=NOW)
    except Killed:
        QuestBoard(paths).sweep(now=NOW)
    assert_one_quest(paths, QuestBoard(paths))


def test_an_empty_claim_of_a_name_is_not_taken_for_the_rows_of_a_packed_file(paths: RealmPaths) -> None:
    """Law 1: killed before they were in the lane, and then what was unpacked went: the packed file is all there is."""
    path = drop_packed(paths)
    target = paths.lane("normal") / "x.jsonl"
    with pytest.raises(Killed):
        take_packed(QuestBoard(paths, DeadAtReplacing(target)), path)
    assert target.read_bytes() == b""
    for left in paths.unpacking.iterdir():
        left.unlink()
    board = QuestBoard(paths)
    board.sweep(now=NOW)
    assert path.read_bytes() == PACKED
    take_packed(board, path)
    assert_one_quest(paths, board)


class DeadAtReplacing(Files):
    """Without hard links; the process dies when it has claimed a name with an empty file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def link(self, source: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def replace(self, source: Path, target: Path) -> None:
        if target == self.target:
            raise Killed
        super().replace(source, target)


class DeadAtUnlink(Files):
    """The process dies when it first removes a file."""

    def unlink(self, path: Path) -> None:
        raise Killed


def test_a_file_dropped_anew_after_a_kill_is_another_quest(paths: RealmPaths) -> None:
    """Of the same name but with other rows: nothing may take it for the rest of the one before."""
    path = drop_packed(paths)
    with pytest.raises(Killed):
        take_packed(QuestBoard(paths, DeadAtUnlink()), path)
    path.write_bytes(gzip.compress(ROWS * 2))
    board = QuestBoard(paths)
    board.sweep(now=NOW)
    assert path.exists()
    assert Path(f"{path}.meta.json").exists()
    quest = take_packed(board, path)
    assert quest.path.read_bytes() == ROWS * 2
    assert [quest.name for quest in board.quests("normal")] == ["x.jsonl", "x_2.jsonl"]


def refuse_in(folder: Callable[[RealmPaths], Path], paths: RealmPaths) -> Files:
    class Refusing(Files):
        def unlink(self, path: Path) -> None:
            if path.parent == folder(paths):
                raise PermissionError(13, "Permission denied", str(path))
            super().unlink(path)

    return Refusing()


def test_a_packed_file_that_cannot_be_removed_stays_and_is_not_admitted(paths: RealmPaths) -> None:
    """A read-only inbox: otherwise the file would be admitted with every scan."""
    path = drop_packed(paths)
    board = QuestBoard(paths, refuse_in(lambda paths: paths.inbox, paths))
    with pytest.raises(PermissionError):
        take_packed(board, path)
    assert everything_in(paths.base / "queue") == [".unpacking/rows.jsonl"]
    assert path.read_bytes() == PACKED


def test_an_admission_that_can_neither_be_finished_nor_undone_is_finished_by_the_next_try(paths: RealmPaths) -> None:
    path = drop_packed(paths)

    class Stubborn(Files):
        refuses = True

        def unlink(self, path: Path) -> None:
            if self.refuses:
                raise OSError(5, "Input/output error", str(path))
            super().unlink(path)

    files = Stubborn()
    board = QuestBoard(paths, files)
    with pytest.raises(OSError, match="Input/output"):
        take_packed(board, path)
    files.refuses = False
    take_packed(board, path)
    assert_one_quest(paths, board)


def test_a_file_that_is_replaced_while_it_is_admitted_is_not_removed(paths: RealmPaths) -> None:
    path = drop_packed(paths)

    class Replacing(Files):
        def link(self, source: Path, target: Path) -> None:
            super().link(source, target)
            path.write_bytes(b"something quite different")

    board = QuestBoard(paths, Replacing())
    with pytest.raises(OSError, match="changed while it was taken in"):
        take_packed(board, path)
    assert path.read_bytes() == b"something quite different"
    assert board.quests("normal") == []


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.json"])
def test_a_rejected_packed_file_fails_as_it_was_dropped_and_goes_back_to_the_gates(
    paths: RealmPaths, name: str
) -> None:
    """C6: what failed can be retried. Its name, its bytes and its lineage stay."""
    board = QuestBoard(paths)
    path = paths.inbox / name
    path.write_bytes(b"broken")
    (paths.inbox / "x.jsonl.meta.json").write_text('{"generator_id": "tests"}')
    failed = board.admit(path, record_of(path), "failed", name, now=NOW)
    assert everything_in(paths.base) == [f"queue/failed/{name}", f"queue/failed/{name}.meta.json"]
    assert [row["file"] for row in board.listing("failed")] == [name]
    assert board.counts()["failed"] == 1
    assert board.find(name) is not None
    board.sweep(now=NOW)
    assert board.retry(failed.quest_id, now=NOW) is None
    assert everything_in(paths.base) == [f"inbox/normal/{name}", f"inbox/normal/{name}.meta.json"]
    assert json.loads((paths.inbox / "normal" / f"{name}.meta.json").read_text())["generator_id"] == "tests"


def test_two_rejected_packed_files_of_one_name_both_stay(paths: RealmPaths) -> None:
    """C1: a quest never overwrites one of the same name."""
    board = QuestBoard(paths)
    for content in ("one", "two"):
        path = paths.inbox / "x.json"
        path.write_text(content)
        board.admit(path, record_of(path), "failed", "x.json", now=NOW)
    assert [path.name for path in sorted(paths.lane("failed").glob("*.json")) if "meta" not in path.name] == [
        "x.json",
        "x_2.json",
    ]


def test_a_packed_file_put_into_a_lane_by_hand_is_sent_to_the_gates(paths: RealmPaths) -> None:
    """C7, C9: it is not ignored in silence, and not learned unchecked."""
    (paths.lane("high") / "x.jsonl.gz").write_bytes(PACKED)
    board = QuestBoard(paths)
    board.sweep(now=NOW)
    orphans = board.sweep(now=NOW).orphans
    assert [orphan.path.name for orphan in orphans] == ["x.jsonl.gz"]
    assert board.send_to_gates(orphans[0].path) == paths.inbox / "high" / "x.jsonl.gz"
    assert board.next_waiting() is None

"""Large files that cannot be linked into a lane: copied while the board is free, and as safe as any other."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from arena.doorstep.unpacking import clear_unpacking
from arena.lanes.admission import Admission
from arena.quest_board import QuestBoard
from arena.quests import Quest
from core.files import Files
from core.paths import RealmPaths
from tests.arena.quest_makers import NOW, Killed, MortalFiles, drop, everything_in, make_realm, record_of


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.lanes.admission.COPIED_AHEAD_BYTES", 0)


def refuse_from_inbox(source: Path) -> None:
    """What the kernel says to a link of root's file, and of one on another file system."""
    if source.parent.name == "inbox":
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source))


class OthersFiles(Files):
    """The inbox holds files of somebody else; what happens after each copy is up to the test."""

    def __init__(self) -> None:
        self.copied, self.go_on = Event(), Event()
        self.go_on.set()
        self.appended = ""

    def link(self, source: Path, target: Path) -> None:
        refuse_from_inbox(source)
        super().link(source, target)

    def copy(self, source: Path, target: Path) -> None:
        super().copy(source, target)
        with source.open("a") as stream:
            stream.write(self.appended)
        self.copied.set()
        assert self.go_on.wait(10)


class MortalOthersFiles(MortalFiles):
    """The same, dying on demand."""

    def link(self, source: Path, target: Path) -> None:
        refuse_from_inbox(source)
        super().link(source, target)


def take_in(board: QuestBoard, source: Path, lane: str = "normal") -> Quest:
    record = record_of(source, content_hash="" if lane == "failed" else record_of(source).content_hash)
    (quest,) = board.admit_all([Admission(source, record, lane, source.name)], now=NOW)
    if isinstance(quest, Exception):
        raise quest
    return quest


def test_the_board_is_free_while_a_large_file_is_copied(paths: RealmPaths) -> None:
    """Ten minutes of copying under the lock were ten minutes without a beat: the watchdog killed the realm for it."""
    files = OthersFiles()
    files.go_on.clear()
    board, source = QuestBoard(paths, files), drop(paths, "x.jsonl", mtime=1000.0, generator_id="tests")
    content = source.read_text()
    with ThreadPoolExecutor(2) as threads:
        taking = threads.submit(take_in, board, source)
        assert files.copied.wait(10)
        try:
            assert threads.submit(board.counts).result(timeout=10)["total_queued"] == 0
        finally:
            files.go_on.set()
        quest = taking.result(timeout=10)
    assert (quest.path.read_text(), quest.path.stat().st_mtime) == (content, 1000.0), "the order of claims is kept"
    assert quest.record.lineage["generator_id"] == "tests"
    assert everything_in(paths.inbox) == everything_in(paths.unpacking) == []
    assert board.claim(quest).lane == "processing"


def test_a_file_that_grew_while_it_was_copied_stays_as_it_is(paths: RealmPaths) -> None:
    files = OthersFiles()
    files.appended = "one more row\n"
    board, source = QuestBoard(paths, files), drop(paths, "x.jsonl")
    with pytest.raises(OSError, match="changed while it was taken in"):
        take_in(board, source)
    assert source.read_text().endswith("one more row\n")
    assert everything_in(paths.queue) == []


@pytest.mark.parametrize("lane", ["normal", "failed"])
def test_a_kill_at_any_call_to_the_disk_loses_nothing_and_doubles_nothing(tmp_path: Path, lane: str) -> None:
    """Law 1, C1: the next start sweeps, empties the folder for unpacking, and takes in what is still in the inbox."""
    for calls in range(60):
        paths = make_realm(tmp_path / str(calls))
        source = drop(paths, "x.jsonl", generator_id="tests")
        content = source.read_text()
        files = MortalOthersFiles()
        files.calls_left = calls
        died = False
        try:
            take_in(QuestBoard(paths, files), source, lane)
        except Killed:
            died = True
        board = QuestBoard(paths)
        board.sweep(now=NOW)
        clear_unpacking(paths)
        if source.exists():
            take_in(board, source, lane)
        (quest,) = board.quests(lane)
        assert (quest.path.read_text(), quest.record.lineage["generator_id"]) == (content, "tests")
        assert everything_in(paths.queue) == [f"{lane}/x.jsonl", f"{lane}/x.jsonl.meta.json"]
        assert everything_in(paths.inbox) == []
        if not died:
            assert calls > 10
            return
    raise AssertionError("it never got through")

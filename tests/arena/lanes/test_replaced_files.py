"""Generators that put a new file, or a new sidecar, under a name in the very moment in which the old one is taken."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from arena.lanes.admission import Admission, Unpacked, place_to_unpack
from arena.lanes.reading import content_hash, stamp_of
from arena.quest_board import QuestBoard
from arena.quests import Quest
from core.files import DISK, Files
from core.paths import RealmPaths
from tests.arena.quest_makers import NOW, admit, drop, everything_in, record_of


class Generator(Files):
    """Acts once, right after a file of the inbox stands in its lane too; without hard links where `copies`."""

    def __init__(self, act: Callable[[], object], *, copies: bool = False) -> None:
        self.act: Callable[[], object] | None = act
        self.copies = copies

    def link(self, source: Path, target: Path) -> None:
        if self.copies:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        super().link(source, target)
        self._act()

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        if source.suffix == ".part":
            self._act()

    def _act(self) -> None:
        act, self.act = self.act, None
        if act is not None:
            act()


def mv_over(path: Path, text: str) -> None:
    """As careful generators write: whole or not at all."""
    temporary = path.with_name("temporary")
    temporary.write_text(text)
    temporary.replace(path)


def lineage(path: Path) -> object:
    return json.loads(path.read_text())["batch"]


def test_a_file_that_takes_the_name_of_the_one_being_taken_in_comes_in_as_the_next(paths: RealmPaths) -> None:
    """C1, C2: it was unlinked unseen, with the sidecar that came with it."""
    source = drop(paths, "x.jsonl", "old\n", batch=1)
    sidecar = paths.inbox / "x.jsonl.meta.json"

    def generate() -> None:
        mv_over(sidecar, '{"batch": 2}')
        mv_over(source, "new\n")

    board = QuestBoard(paths, Generator(generate))
    first = admit(board, source)
    assert (first.path.read_text(), first.record.lineage) == ("old\n", {"batch": 1})
    assert (source.read_text(), lineage(sidecar)) == ("new\n", 2)
    second = admit(board, source)
    assert (second.name, second.path.read_text(), second.record.lineage) == ("x_2.jsonl", "new\n", {"batch": 2})
    assert everything_in(paths.inbox) == []


def test_a_file_that_is_replaced_while_it_is_copied_is_taken_in_as_it_is_then(paths: RealmPaths) -> None:
    """C2: without hard links, a copy may be of the old file or of the new one."""
    source = drop(paths, "x.jsonl", "old\n")
    board = QuestBoard(paths, Generator(lambda: mv_over(source, "something new\n"), copies=True))
    with pytest.raises(OSError, match="changed while it was taken in"):
        admit(board, source)
    assert everything_in(paths.queue) == []
    assert admit(board, source).path.read_text() == "something new\n"
    assert everything_in(paths.inbox) == []


@pytest.mark.parametrize("before", [{}, {"batch": 1}], ids=["without one before", "over the one before"])
@pytest.mark.parametrize("copies", [False, True], ids=["links", "copies"])
def test_a_sidecar_that_comes_before_its_file_waits_for_it(
    paths: RealmPaths, before: dict[str, int], copies: bool
) -> None:
    """C4: as `realm quest add` drops them; it went with the file of before."""
    source = drop(paths, "x.jsonl", "old\n", **before)
    sidecar = paths.inbox / "x.jsonl.meta.json"
    first = admit(QuestBoard(paths, Generator(lambda: mv_over(sidecar, '{"batch": 22}'), copies=copies)), source)
    assert first.record.lineage == before
    assert everything_in(paths.inbox) == ["x.jsonl.meta.json"]
    assert admit(QuestBoard(paths), drop(paths, "x.jsonl", "new\n")).record.lineage == {"batch": 22}


def admit_and_die(paths: RealmPaths, source: Path, files: Files = DISK) -> Quest:
    """Taken in, and the realm is killed before anything is tidied up: mark and dropped sidecar are still there."""
    admission = Admission(source, record_of(source), "normal", source.name)
    (quest,) = QuestBoard(paths, files).admit_all([admission], now=NOW, tidy_later=True)
    assert isinstance(quest, Quest)
    assert not source.exists()
    return quest


@pytest.mark.parametrize("sidecar", [None, 2], ids=["alone", "with a sidecar"])
@pytest.mark.parametrize("copies", [False, True], ids=["links", "copies"])
def test_what_is_dropped_under_the_name_of_one_taken_in_before_a_kill_is_another_quest(
    paths: RealmPaths, copies: bool, sidecar: int | None
) -> None:
    """A6, C1: the first, begun by then, lost its id: it ended as lost, and was learned again as another quest."""
    source = drop(paths, "x.jsonl", "old\n", batch=1)
    first = admit_and_die(paths, source, Generator(lambda: None, copies=copies))
    drop(paths, "x.jsonl", "newer\n", **({} if sidecar is None else {"batch": sidecar}))
    board = QuestBoard(paths)
    assert board.sweep(now=NOW).notes == ["x.jsonl: its move to normal/ is finished; x.jsonl is another file by now"]
    assert board.sweep(now=NOW).notes == []
    assert board.find(first.quest_id) == first
    second = admit(board, source)
    assert (second.name, second.path.read_text()) == ("x_2.jsonl", "newer\n")
    assert second.record.lineage == ({} if sidecar is None else {"batch": sidecar})
    assert everything_in(paths.inbox) == []


def test_the_same_file_delivered_once_more_is_another_quest(paths: RealmPaths) -> None:
    """C2: `rsync -t` gives it the same bytes and the same time; it was deleted as the rest of the first."""
    source = drop(paths, "x.jsonl", "same\n", mtime=1000)
    first = admit_and_die(paths, source)
    drop(paths, "x.jsonl", "same\n", mtime=1000)
    board = QuestBoard(paths)
    board.sweep(now=NOW)
    assert board.find(first.quest_id) == first
    assert source.read_text() == "same\n"
    assert admit(board, source).name == "x_2.jsonl"


def test_a_packed_file_delivered_once_more_is_another_quest(paths: RealmPaths) -> None:
    """C2: of another time, the same bytes are no rest of the first."""
    source, unpacked = drop(paths, "x.jsonl.gz", "packed\n", mtime=1000), place_to_unpack(paths)
    unpacked.parent.mkdir(exist_ok=True)
    unpacked.write_text("rows\n")
    packed = Unpacked(unpacked, content_hash(source), stamp_of(source))
    admission = Admission(source, record_of(unpacked), "normal", "x.jsonl", packed)
    (first,) = QuestBoard(paths).admit_all([admission], now=NOW, tidy_later=True)
    assert isinstance(first, Quest)
    drop(paths, "x.jsonl.gz", "packed\n", mtime=2000)
    board = QuestBoard(paths)
    board.sweep(now=NOW)
    assert board.find(first.quest_id) == first
    assert everything_in(paths.inbox) == ["x.jsonl.gz"]

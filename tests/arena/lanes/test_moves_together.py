"""Several files moved at once: each as safe as alone, at a fraction of the disk's work."""

from __future__ import annotations

import errno
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from arena.lanes.admission import Admission
from arena.quest_board import QuestBoard
from arena.quests import Quest, sidecar_of
from core.errors import NotFound
from core.files import Files
from core.paths import RealmPaths
from tests.arena.lanes.test_sweep import later
from tests.arena.quest_makers import (
    NOW,
    Killed,
    MortalCopies,
    MortalFiles,
    drop,
    everything_in,
    learn,
    make_realm,
    record_of,
    take,
)

CONTENTS = ["first\n", "second\n", "third\n"]


class CountedSyncs(Files):
    """The real disk, counting how often it is made to write."""

    def __init__(self) -> None:
        self.syncs = 0

    def fsync(self, fd: int) -> None:
        self.syncs += 1
        super().fsync(fd)


class NoThird(Files):
    """A disk that refuses one call for one file; syncing a folder that this file has come to fails too."""

    def __init__(self, call: str) -> None:
        self.call = call

    def _refuse(self, call: str, *paths: Path) -> None:
        if call == self.call and any("third" in path.name for path in paths):
            raise OSError(errno.EIO, "Input/output error")

    def replace(self, source: Path, target: Path) -> None:
        self._refuse("replace", source, target)
        super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._refuse("link", source, target)
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        if path.suffix == ".jsonl" and path.parent.name == "inbox":
            self._refuse("unlink", path)
        super().unlink(path)


def drop_all(paths: RealmPaths, names: list[str] | None = None) -> list[Path]:
    names = names or ["a.jsonl", "b.jsonl", "c.jsonl"]
    return [drop(paths, name, content, colour="red") for name, content in zip(names, CONTENTS, strict=True)]


def admissions(sources: list[Path], name: str | None = None) -> list[Admission]:
    return [Admission(source, record_of(source), "normal", name or source.name) for source in sources]


def lying(paths: RealmPaths) -> Counter[str]:
    return Counter((paths.base / path).read_text() for path in everything_in(paths.base) if path.endswith(".jsonl"))


@pytest.mark.parametrize("disk", [MortalFiles, MortalCopies])
@pytest.mark.parametrize("verb", ["admit", "seal"])
def test_moves_cut_off_at_any_call_are_finished_or_undone(tmp_path: Path, verb: str, disk: type[MortalFiles]) -> None:
    """Law 1: killed before each single call to the disk, every file lies in one place with its story."""
    template = QuestBoard(make_realm(tmp_path / "template"), MortalFiles())
    sources = drop_all(template.paths)
    ids = []
    if verb == "seal":
        admitted = template.admit_all(admissions(sources), now=NOW)
        ids = [learn(template, quest).quest_id for quest in admitted if isinstance(quest, Quest)]
    calls = 0
    while True:
        paths = RealmPaths(tmp_path / str(calls))
        shutil.copytree(template.paths.base, paths.base)
        files = disk()
        board = QuestBoard(paths, files)
        wanted = admissions(sorted(paths.inbox.glob("*.jsonl")))
        files.calls_left = calls
        try:
            if verb == "admit":
                board.admit_all(wanted, now=NOW)
            else:
                board.seal(ids, now=NOW)
        except Killed:
            pass
        else:
            break
        again = QuestBoard(paths, MortalFiles())
        again.sweep(now=later())
        assert lying(paths) == Counter(CONTENTS), f"{verb} killed before call {calls}"
        for path in everything_in(paths.base):
            if path.endswith(".jsonl"):
                assert json.loads(sidecar_of(paths.base / path).read_text())["colour"] == "red"
        again.sweep(now=later(120))
        left = [path for path in everything_in(paths.base) if ".jsonl" in path]
        assert len(left) == 2 * len(CONTENTS), f"{verb} killed before call {calls}: {left}"
        calls += 1
    assert calls > 20


def test_files_of_one_name_come_in_together_and_each_keeps_its_own_story(board: QuestBoard) -> None:
    """C1, C4: twenty folders with a file `train.jsonl` each."""
    sources = drop_all(board.paths, ["x/train.jsonl", "y/train.jsonl", "z/train.jsonl"])
    quests = board.admit_all(admissions(sources, "train.jsonl"), now=NOW)
    found = {quest.name: quest.path.read_text() for quest in quests if isinstance(quest, Quest)}
    assert found == dict(zip(["train.jsonl", "train_2.jsonl", "train_3.jsonl"], CONTENTS, strict=True))
    assert [quest.quest_id for quest in board.quests("normal")] == [q.quest_id for q in quests if isinstance(q, Quest)]


def test_a_folder_is_synced_once_for_all_files(paths: RealmPaths) -> None:
    alone, together = CountedSyncs(), CountedSyncs()
    for source in drop_all(paths):
        QuestBoard(paths, alone).admit_all(admissions([source]), now=NOW)
    QuestBoard(paths, together).admit_all(admissions(drop_all(paths)), now=NOW)
    # Two sidecars a file must be synced in any case; the folders are what is shared.
    assert together.syncs - 2 * len(CONTENTS) == (alone.syncs - 2 * len(CONTENTS)) / len(CONTENTS)


@pytest.mark.parametrize("call", ["replace", "link", "unlink"])
def test_one_file_that_cannot_be_moved_does_not_keep_the_others(paths: RealmPaths, call: str) -> None:
    """Law 1: it stays where it was, without a trace in the lane."""
    board = QuestBoard(paths, NoThird(call))
    sources = drop_all(paths, ["a.jsonl", "third.jsonl", "b.jsonl"])
    first, third, last = board.admit_all(admissions(sources), now=NOW)
    assert isinstance(third, OSError)
    assert [each.name for each in (first, last) if isinstance(each, Quest)] == ["a.jsonl", "b.jsonl"]
    assert everything_in(paths.inbox) == ["third.jsonl", "third.jsonl.meta.json"]
    assert [path for path in everything_in(paths.queue) if "third" in path] == []
    assert lying(paths) == Counter(CONTENTS)
    assert QuestBoard(paths).sweep(now=later(120)).notes == []


def test_a_file_that_went_away_is_told_apart_from_a_disk_that_refuses(board: QuestBoard) -> None:
    sources = drop_all(board.paths)
    wanted = admissions(sources)
    sources[1].unlink()
    outcomes = board.admit_all(wanted, now=NOW)
    assert [type(outcome) for outcome in outcomes] == [Quest, NotFound, Quest]


def test_a_seal_of_many_lets_others_to_the_board_in_between(board: QuestBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arena.quest_board.MOVED_TOGETHER", 2)
    ids = [learn(board, take(board, f"{number}.jsonl")).quest_id for number in range(5)]
    sealed = board.seal([*ids, "q_20200101_000000_00000000"], now=NOW)
    assert [quest.quest_id for quest in sealed] == ids
    assert board.counts()["completed"] == 5
    assert everything_in(board.paths.lane("awaiting_seal")) == []

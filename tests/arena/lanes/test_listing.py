"""A lane's listing is never wrong for long, and a lane of ten thousand files is not read at every look."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arena.lanes.listing import LONGEST_LAG_SECONDS, SMALL_LANE, LaneListing
from arena.quest_board import QuestBoard
from arena.quests import sidecar_of
from tests.arena.quest_makers import NOW, admit, drop, take


class Clock:
    """A time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.per_look = 0.0

    def __call__(self) -> float:
        self.now += self.per_look
        return self.now


def fill(folder: Path, files: int, *, start: int = 0) -> None:
    for number in range(start, start + files):
        path = folder / f"{number:05}.jsonl"
        path.touch()
        os.utime(path, (number, number))


def names(listing: LaneListing) -> list[str]:
    return [file.name for file in listing.files()]


def age(folder: Path) -> None:
    """Make the folder look as if nothing had happened in it for a minute."""
    time = folder.stat().st_mtime - 60
    os.utime(folder, (time, time))


def test_a_small_lane_shows_every_change_at_once(tmp_path: Path) -> None:
    listing = LaneListing(tmp_path)
    assert names(listing) == []
    fill(tmp_path, 2)
    assert names(listing) == ["00000.jsonl", "00001.jsonl"]
    os.utime(tmp_path / "00000.jsonl", (9, 9))
    assert names(listing) == ["00001.jsonl", "00000.jsonl"]
    (tmp_path / "00001.jsonl").rename(tmp_path / "moved.jsonl")
    (tmp_path / "moved.jsonl.meta.json").touch()
    assert sorted(listing.names().data) == ["00000.jsonl", "moved.jsonl"]
    assert listing.names().sidecars == {"moved.jsonl"}


def test_what_lies_still_is_read_once(tmp_path: Path) -> None:
    """Law 9: an idle realm with full lanes costs next to nothing."""
    fill(tmp_path, 3)
    age(tmp_path)
    listing = LaneListing(tmp_path)
    listing.files()
    # The kernel gives a new time to the folder with every coming and going, but not to this change of a file.
    os.utime(tmp_path / "00000.jsonl", (99, 99))
    assert names(listing)[0] == "00000.jsonl", "the folder was read again"
    listing.forget()
    assert names(listing)[-1] == "00000.jsonl"


def test_a_change_in_the_very_instant_of_the_reading_is_seen(tmp_path: Path) -> None:
    """Two changes within one tick of the kernel's clock bear the same time."""
    fill(tmp_path, 1)
    listing = LaneListing(tmp_path)
    listing.files()
    before = tmp_path.stat()
    fill(tmp_path, 1, start=5)
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert names(listing) == ["00000.jsonl", "00005.jsonl"]


def test_in_a_large_lane_own_moves_show_at_once_and_those_by_hand_soon(tmp_path: Path) -> None:
    """C9: `mv` by hand is noticed; and ten thousand files are not listed at every look."""
    clock = Clock()
    fill(tmp_path, SMALL_LANE + 1)
    listing = LaneListing(tmp_path, clock)
    clock.per_look = 0.01
    assert len(names(listing)) == SMALL_LANE + 1
    clock.per_look = 0.0

    (tmp_path / "00000.jsonl").rename(tmp_path / "own.jsonl")
    (tmp_path / "own.jsonl.meta.json").touch()
    for name in ("00000.jsonl", "own.jsonl"):
        listing.note(name)
    (tmp_path / "00001.jsonl").unlink()  # by hand
    shown = names(listing)
    assert "00000.jsonl" not in shown
    assert "own.jsonl" in shown
    assert listing.names().sidecars == {"own.jsonl"}
    assert "00001.jsonl" in shown, "the folder was read again"
    clock.now += LONGEST_LAG_SECONDS
    assert "00001.jsonl" not in names(listing)


def test_noted_files_lie_in_the_order_in_which_they_are_claimed(tmp_path: Path) -> None:
    fill(tmp_path, SMALL_LANE + 1, start=100)
    listing = LaneListing(tmp_path, Clock())
    listing.files()
    fill(tmp_path, 1, start=7)
    os.utime(tmp_path / "00150.jsonl", (8, 8))
    listing.note("00007.jsonl")
    listing.note("00150.jsonl")
    listing.note("nothing.jsonl")
    assert names(listing)[:3] == ["00007.jsonl", "00150.jsonl", "00100.jsonl"]
    assert listing.files() == sorted(listing.files())


def test_a_folder_that_was_deleted_is_an_empty_lane(tmp_path: Path) -> None:
    listing = LaneListing(tmp_path / "gone")
    assert names(listing) == []
    (tmp_path / "gone").mkdir()
    fill(tmp_path / "gone", 1)
    assert names(listing) == ["00000.jsonl"]


@pytest.mark.parametrize("verb", ["claim", "remove", "move", "fail"])
def test_a_large_board_knows_its_own_moves_without_reading_its_lanes_again(
    board: QuestBoard, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Law 1: the board never counts a quest twice or not at all."""
    monkeypatch.setattr("arena.lanes.listing.SMALL_LANE", 3)
    monkeypatch.setattr("arena.lanes.listing.READING_SHARE", 1e-9)
    quests = [take(board, f"{number}.jsonl", mtime=number) for number in range(8)]
    assert [quest.name for quest in board.quests("normal")] == [quest.name for quest in quests]
    if verb == "claim":
        board.claim(quests[0])
    elif verb == "remove":
        board.remove(quests[0].quest_id)
    elif verb == "move":
        board.move(quests[0].quest_id, "low")
    else:
        board.fail(quests[0].quest_id, outcome="refused", reason="bad", now=NOW)
    assert [quest.name for quest in board.quests("normal")] == [quest.name for quest in quests[1:]]
    late = admit(board, drop(board.paths, "late.jsonl", mtime=0.5))
    waiting = board.next_waiting()
    assert waiting is not None
    assert waiting.quest_id == late.quest_id
    assert board.counts()["queued"]["normal"] == 8


@pytest.mark.parametrize("alone", [True, False])
def test_a_quest_moved_away_by_hand_from_a_large_lane_is_not_claimed(
    board: QuestBoard, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    """Law 1: what a listing still shows need not be there any more."""
    monkeypatch.setattr("arena.lanes.listing.SMALL_LANE", 3)
    monkeypatch.setattr("arena.lanes.listing.READING_SHARE", 1e-9)
    first, second, *_ = [take(board, f"{number}.jsonl", mtime=number) for number in range(5)]
    assert board.next_waiting() == first
    elsewhere = board.paths.base / first.name
    first.path.rename(elsewhere)
    if not alone:
        sidecar_of(first.path).rename(sidecar_of(elsewhere))
    waiting = board.next_waiting()
    assert waiting is not None
    assert waiting.quest_id == second.quest_id

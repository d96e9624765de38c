"""A directory that vanished is missed, and neither begun anew nor taken for an empty one."""

from __future__ import annotations

import shutil

import pytest

from arena.annals.turning import forget_status
from arena.disk.places import MARK, PLACES, Places
from arena.journal import JOURNAL_NAME
from arena.quest_board import QuestBoard
from core.paths import RealmPaths
from tests.arena.quest_makers import admit, drop, take


@pytest.fixture
def places(paths: RealmPaths) -> Places:
    """Of a realm that has looked at its places before."""
    assert Places(paths).look() is None
    return Places(paths)


@pytest.mark.parametrize("name", PLACES)
def test_an_empty_directory_in_the_place_of_a_vanished_one_is_no_new_realm(
    places: Places, paths: RealmPaths, name: str
) -> None:
    """A23: what an unmounted disk leaves behind; it is missed as long as it is away, and welcome when it is back."""
    place, away = paths.base / name, paths.base / "away"
    place.rename(away)
    place.mkdir()
    for _ in range(2):
        found = places.look()
        assert found is not None
        assert (found.kind, found.place) == ("missing", name)
        assert f"{name}/ holds nothing of the realm" in found.message
    assert list(place.iterdir()) == [], "nothing may be written where another disk will be mounted"
    place.rmdir()
    found = places.look()
    assert found is not None
    assert f"{name}/ is gone" in found.message
    assert not place.exists()
    away.rename(place)
    assert places.look() is None


def test_whoever_removed_a_directory_on_purpose_says_so_by_deleting_the_record(
    places: Places, paths: RealmPaths
) -> None:
    shutil.rmtree(paths.queue)
    assert places.look() is not None
    paths.places.unlink()
    assert places.look() is None
    assert paths.lane("high").is_dir(), "the lanes are made anew"


def test_a_realm_of_which_all_has_vanished_is_not_begun_anew(places: Places, paths: RealmPaths) -> None:
    """The record lies on the same disk: without `status/` nobody has deleted it, it is out of reach."""
    assert places.look() is None
    for folder in (paths.status, *(paths.base / name for name in PLACES)):
        shutil.rmtree(folder)
    found = places.look()
    assert found is not None
    assert found.kind == "missing"
    assert not paths.current_model.exists()


def test_a_model_that_was_copied_back_without_its_mark_is_known_by_its_journal(
    places: Places, paths: RealmPaths
) -> None:
    (paths.current_model / MARK).unlink()
    (paths.current_model / JOURNAL_NAME).touch()
    assert places.look() is None
    assert (paths.current_model / MARK).exists()


def test_after_a_change_of_heroes_another_directory_is_the_right_one(places: Places, paths: RealmPaths) -> None:
    """The model before lies in the archive, with its mark."""
    paths.current_model.rename(paths.base / "archived")
    paths.create()
    forget_status(paths)
    assert places.look() is None


def test_a_mark_that_cannot_be_read_is_a_failing_disk(places: Places, paths: RealmPaths) -> None:
    """/proc/self/mem answers a read at its start with EIO, as a bad sector does."""
    (paths.queue / MARK).unlink()
    (paths.queue / MARK).symlink_to("/proc/self/mem")
    found = places.look()
    assert found is not None
    assert (found.kind, found.place) == ("failing", "queue")
    assert "Input/output error" in found.message


def test_looking_alone_changes_nothing(paths: RealmPaths) -> None:
    before = sorted(paths.base.rglob("*"))
    assert Places(paths).missing() is None
    assert sorted(paths.base.rglob("*")) == before


def test_nothing_is_put_below_the_mount_point_of_a_queue_that_is_gone(places: Places, paths: RealmPaths) -> None:
    """A23: within the second before the disk is looked at, a file went where nobody finds it once it is mounted."""
    board = QuestBoard(paths)
    take(board, "before.jsonl")
    paths.queue.rename(paths.base / "on a disk")
    paths.queue.mkdir()
    source = drop(paths, "x.jsonl")
    with pytest.raises(OSError, match="queue/ holds nothing of the realm any more"):
        admit(board, source)
    assert source.exists()
    assert list(paths.queue.iterdir()) == []
    paths.queue.rmdir()
    (paths.base / "on a disk").rename(paths.queue)
    paths.lane("high").rmdir()
    assert admit(board, source, "high").path.exists(), "a lane alone that somebody removed is made again"

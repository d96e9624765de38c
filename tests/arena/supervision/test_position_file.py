"""The trainer's position, its exit record: what a dead child leaves for its parent."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from arena.supervision.exit_record import EXIT_RECORD, forget_exit_record, read_exit_record, write_exit_record
from arena.supervision.position_file import Phase, Position, PositionFile, read_position

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def position_of(path: Path) -> Position:
    found = read_position(path)
    assert found is not None
    return found


def test_only_stepping_moves_the_furthest_position(tmp_path: Path) -> None:
    path = tmp_path / ".position"
    file = PositionFile(path)
    assert (file.furthest, file.was_unclean) == ((0, 0), False)
    file.write(Phase.STEPPING, 2, 7)
    file.write(Phase.PREPARING, 5, 0)
    assert position_of(path)[:5] == (Phase.PREPARING, 5, 0, 2, 7)
    file.write(Phase.STEPPING, 2, 3)
    assert position_of(path)[:5] == (Phase.STEPPING, 2, 3, 2, 7)
    file.close()
    assert path.stat().st_size == 56


def test_the_furthest_position_outlives_the_child_and_tells_a_replay(tmp_path: Path) -> None:
    """A quest is never charged for a death while it is replayed."""
    path = tmp_path / ".position"
    first = PositionFile(path)
    first.write(Phase.STEPPING, 4, 9)
    first.close()
    second = PositionFile(path)
    assert (second.furthest, second.was_unclean) == ((4, 9), True)
    for step, replaying in [(0, True), (8, True), (9, False), (10, False)]:
        second.write(Phase.STEPPING, 4, step)
        assert position_of(path).replaying is replaying
    second.write(Phase.EXITED, 4, 11)
    second.close()
    third = PositionFile(path)
    assert (third.furthest, third.was_unclean) == ((4, 10), False)
    third.close()


@pytest.mark.parametrize("content", [b"", b"RPOS", b"x" * 48, b"RPOS" + b"\xff" * 44])
def test_a_file_that_is_no_position_is_unknown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".position"
    path.write_bytes(content)
    assert read_position(path) is None
    file = PositionFile(path)
    file.write(Phase.WAITING, 1, 2)
    file.close()
    assert position_of(path).quest_step == 2


def test_a_beat_is_seen_and_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".position"
    file = PositionFile(path)
    file.write(Phase.STEPPING, 2, 7)
    before = position_of(path)
    file.beat()
    assert position_of(path) == before._replace(beats=before.beats + 1)
    file.close()
    file.beat()  # a disk that takes nothing is no reason to break off the step
    successor = PositionFile(path)
    successor.write(Phase.STEPPING, 2, 7)
    successor.close()
    assert position_of(path).beats > before.beats + 1, "no two records are the same"


def test_records_of_older_and_newer_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / ".position"
    file = PositionFile(path)
    file.write(Phase.STEPPING, 2, 7)
    file.close()
    here, raw = position_of(path), path.read_bytes()
    path.write_bytes(raw[:48])
    assert position_of(path) == here._replace(beats=0)
    path.write_bytes(raw + b"something of tomorrow")
    assert position_of(path) == here


def test_no_position_is_unknown(tmp_path: Path) -> None:
    assert read_position(tmp_path / "none") is None


def test_an_exit_record_speaks_for_its_own_process_only(tmp_path: Path) -> None:
    """After a reboot another child had the pid of an old record, and its SIGKILL was told as a clean stop."""
    assert read_exit_record(tmp_path, 41) is None
    write_exit_record(tmp_path, pid=41, now=NOW, clean=False, reason="out of luck", traceback="Traceback …")
    record = read_exit_record(tmp_path, 41)
    assert record is not None
    assert (record.at, record.clean, record.reason) == ("2026-11-21T09:30:00+00:00", False, "out of luck")
    assert read_exit_record(tmp_path, 42) is None
    forget_exit_record(tmp_path, 42)
    assert read_exit_record(tmp_path, 41) == record
    forget_exit_record(tmp_path, 41)
    assert not (tmp_path / EXIT_RECORD).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 41}', '{"pid": 41, "colour": "red"}'])
def test_a_damaged_exit_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / EXIT_RECORD).write_text(text)
    assert read_exit_record(tmp_path, 41) is None

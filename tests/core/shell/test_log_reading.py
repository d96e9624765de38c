"""Log files as people read them: the last lines across rotated files, then every new line once."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.logs import JsonFormatter, turn_over
from core.shell.log_reading import Follower, families, last_lines


class Family:
    """A rotating log like the one that `configure_logging` sets up, only smaller."""

    def __init__(self, logs: Path, name: str, max_bytes: int = 1200) -> None:
        from logging.handlers import RotatingFileHandler

        self.file = logs / f"{name}.jsonl"
        self.handler = RotatingFileHandler(self.file, maxBytes=max_bytes, backupCount=7, encoding="utf-8")
        self.handler.setFormatter(JsonFormatter())

    def write(self, message: str, level: int = logging.INFO, at: float | None = None) -> None:
        record = logging.LogRecord("arena.daemon", level, __file__, 1, message, None, None)
        if at is not None:
            record.created = at
        self.handler.emit(record)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def realm(logs: Path) -> Iterator[Family]:
    family = Family(logs, "realm")
    yield family
    family.handler.close()


def messages(lines: list[object]) -> list[str]:
    return [json.loads(line.raw)["message"] for line in lines]  # type: ignore[attr-defined]


def test_the_last_lines_reach_back_into_rotated_files(logs: Path, realm: Family) -> None:
    for number in range(60):
        realm.write(f"line {number}")
    assert len(list(logs.iterdir())) > 3
    found = last_lines(families(logs), 50, None)
    assert messages([*found]) == [f"line {number}" for number in range(10, 60)]
    assert last_lines(families(logs), 0, None) == []
    assert messages([*last_lines(families(logs), 1000, None)]) == [f"line {number}" for number in range(60)]


def test_lines_of_several_logs_come_in_the_order_of_their_times(logs: Path, realm: Family) -> None:
    trainer = Family(logs, "trainer")
    for second in range(30):
        (realm if second % 3 else trainer).write(f"second {second}", at=1_700_000_000 + second)
    trainer.handler.close()
    found = last_lines(families(logs), 20, None)
    assert messages([*found]) == [f"second {second}" for second in range(10, 30)]
    assert {line.family for line in found} == {"realm", "trainer"}


def test_only_the_levels_asked_for_count_as_lines(logs: Path, realm: Family) -> None:
    for number in range(40):
        realm.write(f"line {number}", logging.WARNING if number % 10 == 0 else logging.INFO)
    found = last_lines(families(logs), 3, frozenset({"warning", "error"}))
    assert messages([*found]) == ["line 10", "line 20", "line 30"]


def test_a_torn_line_and_one_that_is_longer_than_a_block_are_shown(logs: Path, realm: Family) -> None:
    realm.write("x" * 200_000)
    realm.handler.close()
    with realm.file.open("ab") as file:
        file.write(b'{"time": "2026-\xff')
    long, torn = last_lines(families(logs), 10, None)
    assert long.record is not None
    assert len(long.record["message"]) == 200_000
    assert (torn.record, torn.raw) == (None, '{"time": "2026-�')


def test_following_misses_nothing_and_repeats_nothing_across_many_turns(logs: Path, realm: Family) -> None:
    """B24: a log that rotates must still be readable to the end."""
    realm.write("before")
    follower = Follower("realm", realm.file)
    heard: list[object] = []
    for number in range(200):
        realm.write(f"line {number}")
        # Looked at after 1, 3, 6, 10 … lines: sometimes within a file, sometimes several files later.
        if number in {0, 2, 5, 9, 14, 40, 41, 75, 100, 130, 131, 160, 199}:
            heard += follower.new_lines()
    assert messages(heard) == [f"line {number}" for number in range(200)]
    assert follower.new_lines() == []


def test_following_a_log_that_is_made_later_begins_at_its_first_line(logs: Path) -> None:
    follower = Follower("realm", logs / "realm.jsonl")
    assert follower.new_lines() == []
    family = Family(logs, "realm")
    family.write("first")
    assert messages([*follower.new_lines()]) == ["first"]
    family.handler.close()


def test_a_line_is_shown_once_it_is_whole(logs: Path) -> None:
    file = logs / "up.log"
    file.touch()
    follower = Follower("up", file)
    with file.open("ab", buffering=0) as output:
        output.write(b"half a ")
        assert follower.new_lines() == []
        output.write(b"line\nand")
        assert [line.raw for line in follower.new_lines()] == ["half a line"]


def test_plain_output_is_followed_over_being_emptied_in_place(logs: Path) -> None:
    file = logs / "trainer-output.log"
    with file.open("ab", buffering=0) as output:
        output.write(b"old\n" * 25)
        follower = Follower("trainer-output", file)
        assert turn_over(file, max_bytes_total=100)
        output.write(b"new\n")
        assert [line.raw for line in follower.new_lines()] == ["new"]
    assert file.with_name("trainer-output.log.1").read_bytes() == (b"old\n" * 25)[-50:], "half of the budget"


def test_raw_output_stays_within_its_budget_while_its_writer_goes_on(logs: Path) -> None:
    """B24: what the trainer's libraries print was turned over at its start only, and it runs for months."""
    file = logs / "trainer-output.log"
    budget = 10_000
    with file.open("ab", buffering=0) as output:
        for number in range(300):
            output.write(b"x" * 99 + b"\n")
            if number % 10 == 9:
                turn_over(file, max_bytes_total=budget)
    sizes = [path.stat().st_size for path in logs.iterdir()]
    assert len(sizes) == 2
    assert sum(sizes) <= budget + 2 * 1000
    assert not turn_over(logs / "nothing.log", max_bytes_total=budget)


def test_output_that_cannot_be_turned_over_is_left_as_it_is(logs: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = logs / "up.log"
    file.write_bytes(b"x" * 100)
    (logs / "up.log.1").mkdir()
    assert not turn_over(file, max_bytes_total=100)
    assert file.stat().st_size == 100
    assert "could not be turned over" in caplog.text


def test_families_are_named_by_their_newest_file(logs: Path) -> None:
    for name in (
        "realm.jsonl",
        "realm.jsonl.1",
        "trainer-output.log",
        "trainer-output.log.1",
        ".x.log",
        "notes.txt",
    ):
        (logs / name).touch()
    assert families(logs) == {"realm": logs / "realm.jsonl", "trainer-output": logs / "trainer-output.log"}
    assert families(logs / "nowhere") == {}

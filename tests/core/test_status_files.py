"""Status files: past their time, or with their writer gone, they say `unknown` and keep their numbers."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from core.files import Files
from core.processes import is_alive
from core.status_files import read_status, write_status
from tests.waiting import wait_until

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
BODY = {"status": "training", "current_step": 1234, "loss": 0.5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "training_status.json"


def test_a_fresh_status_of_a_living_writer_is_believed(path: Path) -> None:
    write_status(path, BODY, now=NOW, valid_for=10)
    assert read_status(path, now=NOW + timedelta(seconds=9)) == {
        **BODY,
        "heartbeat_at": "2026-11-21T09:30:00+00:00",
        "valid_until": "2026-11-21T09:30:10+00:00",
        "pid": os.getpid(),
        "stale": False,
    }


def test_days_later_nobody_says_training_any_more(path: Path) -> None:
    """F3: the UI said "training" from a days-old file with no daemon running."""
    write_status(path, BODY, now=NOW, valid_for=10)
    read = read_status(path, now=NOW + timedelta(days=8))
    assert (read["status"], read["stale"], read["last_status"]) == ("unknown", True, "training")
    assert "09:30:10" in read["reason"]


def test_the_numbers_of_a_stale_status_do_not_drop_to_zero(path: Path) -> None:
    """F4: XP and level fell between quests because a gone writer read as zeros."""
    write_status(path, BODY, now=NOW, valid_for=10)
    read = read_status(path, now=NOW + timedelta(days=8))
    assert (read["current_step"], read["loss"]) == (1234, 0.5)


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumps_a_day_makes_the_status_unknown_until_it_is_written_again(path: Path, days: int) -> None:
    """F3: set back, the clock made a status hold for a day, whatever became of its writer."""
    write_status(path, BODY, now=NOW, valid_for=10)
    after = NOW + timedelta(days=days)
    read = read_status(path, now=after)
    assert (read["status"], read["stale"], read["last_status"]) == ("unknown", True, "training")
    assert ("yet to come" in read["reason"]) is (days < 0)
    write_status(path, BODY, now=after, valid_for=10)
    assert read_status(path, now=after)["status"] == "training"


def test_clocks_that_differ_a_little_do_not_matter(path: Path) -> None:
    write_status(path, BODY, now=NOW, valid_for=10)
    assert read_status(path, now=NOW - timedelta(seconds=9))["stale"] is False


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(30)
    return process.pid


def test_a_status_whose_writer_was_killed_is_unknown_at_once(path: Path) -> None:
    """F3, B16: "training" must not outlive the process that trained."""
    write_status(path, BODY, now=NOW, valid_for=10)
    body = json.loads(path.read_text())
    path.write_text(json.dumps({**body, "pid": dead_pid()}))
    read = read_status(path, now=NOW)
    assert (read["status"], read["last_status"]) == ("unknown", "training")
    assert "gone" in read["reason"]


def test_a_writer_that_ended_but_was_not_reaped_counts_as_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    assert is_alive(process.pid)
    process.kill()
    wait_until(lambda: not is_alive(process.pid), message="a zombie is not alive")
    process.communicate()
    assert not is_alive(process.pid)


@pytest.mark.parametrize(("pid", "alive"), [(1, True), (0, False), (-1, False), (None, False), (2**40, False)])
def test_liveness_of_odd_pids(pid: int | None, alive: bool) -> None:
    """B2: a process of another user (EPERM) is alive."""
    assert is_alive(pid) is alive


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"status": "trai',
        b"[1, 2]",
        b'{"status": "training"}',
        b'{"status": "training", "valid_until": 5, "pid": 1}',
    ],
)
def test_a_torn_or_undated_file_is_unknown(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    read = read_status(path, now=NOW)
    assert read["status"] == "unknown"
    assert read["stale"] is True
    assert read["reason"]


def test_a_naive_date_in_the_file_is_unknown_and_no_traceback(path: Path) -> None:
    path.write_text(json.dumps({**BODY, "valid_until": "2026-11-21T09:30:00", "pid": os.getpid()}))
    assert read_status(path, now=NOW)["status"] == "unknown"


def test_a_missing_file_is_unknown_with_every_field_null(path: Path) -> None:
    read = read_status(path, now=NOW)
    assert (read["status"], read["stale"], read["pid"], read["last_status"]) == ("unknown", True, None, None)


def test_nan_and_infinity_become_null_at_any_depth(path: Path) -> None:
    """F23: one NaN in the JSON broke the whole page."""
    nan, inf = float("nan"), float("inf")
    write_status(path, {"status": "idle", "loss": nan, "deep": [{"x": (inf, -inf, 1.5)}]}, now=NOW, valid_for=10)
    body = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert body["loss"] is None
    assert body["deep"] == [{"x": [None, None, 1.5]}]


def test_times_are_written_in_utc(path: Path) -> None:
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    write_status(path, BODY, now=berlin, valid_for=10)
    assert json.loads(path.read_text())["heartbeat_at"] == "2026-11-21T09:30:00+00:00"


def test_a_full_disk_leaves_the_last_status_and_tells_the_writer(path: Path) -> None:
    class FullDisk(Files):
        def write(self, fd: int, data: bytes) -> None:
            raise OSError(errno.ENOSPC, "no space")

    write_status(path, BODY, now=NOW, valid_for=10)
    with pytest.raises(OSError, match="no space"):
        write_status(path, {"status": "idle"}, now=NOW, valid_for=10, files=FullDisk())
    assert read_status(path, now=NOW)["status"] == "training"
    assert [child.name for child in path.parent.iterdir()] == [path.name]

"""The instance lock: one process at a time, freed by death, believed by the kernel and never by its text."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, Unavailable
from core.instance import REALM_UP, InstanceLock, living_realm
from core.paths import CHECKOUT
from core.processes import has_open
from tests.waiting import wait_until

INFO = {"what": REALM_UP, "version": "0.1.0", "base_dir": "/home/dio/realm"}

HOLD = """
import subprocess, sys
from pathlib import Path
from core.instance import InstanceLock
lock = InstanceLock(Path(sys.argv[1]))
lock.acquire({"version": "9.9.9", "base_dir": "/home/dio/realm"})
if sys.argv[2:]:
    command = [sys.executable, "-c", "import threading; threading.Event().wait(60)"]
    child = subprocess.Popen(command, close_fds=False)
    print(child.pid, flush=True)
print("held", flush=True)
sys.stdin.read()
"""

Holder = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".realm.lock"


@pytest.fixture
def hold(path: Path) -> Iterator[Holder]:
    """Start a real second process that takes the lock; wait for its word `held` yourself when given arguments."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLD, str(path), *arguments]
        process = subprocess.Popen(
            command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:  # closes its pipes and waits
            pass


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_process_is_refused_and_told_who_holds_the_lock(path: Path, hold: Holder) -> None:
    """B1: two daemons on one base directory."""
    holder = hold()
    assert said(holder) == "held"
    with pytest.raises(Conflict) as caught:
        InstanceLock(path).acquire(INFO)
    message = str(caught.value)
    assert f"process {holder.pid}" in message
    assert "9.9.9" in message
    assert "/home/dio/realm" in message
    assert json.loads(path.read_text())["started_at"] in message
    assert "realm down" in message


def test_of_many_processes_that_start_at_once_exactly_one_gets_the_lock(path: Path, hold: Holder) -> None:
    """B2: check-then-write of a pid file lets two through; a lock cannot."""
    racers = [hold() for _ in range(4)]
    wait_until(
        lambda: sum(racer.poll() is not None for racer in racers) == 3, timeout=30, message="three must be refused"
    )
    winners = [racer for racer in racers if racer.poll() is None]
    assert len(winners) == 1
    assert said(winners[0]) == "held"
    assert InstanceLock.holder(path) == json.loads(path.read_text())


def test_kill_9_of_the_holder_frees_the_lock(path: Path, hold: Holder) -> None:
    """B8: a crash leaves no stale "already running"."""
    holder = hold()
    assert said(holder) == "held"
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    assert InstanceLock.holder(path) is None
    lock = InstanceLock(path)
    lock.acquire(INFO)
    assert json.loads(path.read_text())["pid"] == os.getpid()
    lock.release()


def test_a_child_that_outlives_the_killed_holder_does_not_keep_the_lock(path: Path, hold: Holder) -> None:
    holder = hold("with a child that inherits every descriptor it can")
    child = int(said(holder))
    assert said(holder) == "held"
    try:
        holder.kill()
        holder.wait(10)
        os.kill(child, 0)
        lock = InstanceLock(path)
        lock.acquire(INFO)
        lock.release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_holder_is_known_by_the_file_that_it_has_open(path: Path, hold: Holder, tmp_path: Path) -> None:
    """B2: a pid in a file may be another container's, or reused: only who has the lock file open is its holder."""
    holder = hold()
    assert said(holder) == "held"
    assert has_open(holder.pid, path)
    assert not has_open(os.getpid(), path)
    assert not has_open(2**22 + 5, path)
    assert not has_open(holder.pid, tmp_path / "nowhere")


@pytest.mark.parametrize(
    "stale",
    [
        json.dumps({"pid": os.getpid(), "version": "0.0.1"}),  # the pid was given to another program meanwhile
        json.dumps({"pid": 1}),  # a program we may not signal (EPERM)
        json.dumps({"pid": 2**22 + 5}),
        "12345\n",
        "\x00\x00 torn",
        "",
    ],
    # The pid differs between the workers of a parallel run, the names of tests must not.
    ids=["reused_pid", "foreign_pid", "dead_pid", "no_json", "torn", "empty"],
)
def test_whatever_a_dead_holder_left_in_the_file_does_not_block(path: Path, stale: str) -> None:
    """B2, B8: pid reuse and EPERM are never taken for a living holder."""
    path.write_text(stale)
    assert InstanceLock.holder(path) is None
    lock = InstanceLock(path)
    lock.acquire(INFO)
    assert InstanceLock.holder(path) == json.loads(path.read_text())
    lock.release()


def test_the_file_stays_after_release_and_the_lock_can_be_taken_again(path: Path) -> None:
    """Unlinking it lets two processes lock two files of one name."""
    lock = InstanceLock(path)
    lock.acquire(INFO)
    inode = path.stat().st_ino
    lock.release()
    lock.release()
    assert InstanceLock.holder(path) is None
    lock.acquire(INFO)
    assert path.stat().st_ino == inode
    lock.release()


def test_what_the_holder_wrote_is_only_as_long_as_it_is(path: Path) -> None:
    path.write_text("x" * 10_000)
    lock = InstanceLock(path)
    lock.acquire(INFO)
    said_by_holder = json.loads(path.read_text())
    assert said_by_holder["version"] == "0.1.0"
    assert said_by_holder["pid"] == os.getpid()
    lock.release()


def test_taking_it_twice_in_one_process_is_refused(path: Path) -> None:
    lock = InstanceLock(path)
    lock.acquire(INFO)
    with pytest.raises(Conflict):
        lock.acquire(INFO)
    with pytest.raises(Conflict):
        InstanceLock(path).acquire(INFO)
    assert InstanceLock.holder(path) is not None
    lock.release()


def test_acquire_waits_for_the_holder_to_go_and_says_so_once(path: Path, hold: Holder) -> None:
    """The next trainer child waits for the one that still saves."""
    holder = hold()
    assert said(holder) == "held"
    waited_for: list[dict[str, Any]] = []

    def let_go(who: dict[str, Any]) -> None:
        waited_for.append(who)
        assert holder.stdin is not None
        holder.stdin.close()

    lock = InstanceLock(path)
    lock.acquire(INFO, wait_seconds=30, on_wait=let_go)
    assert [who["pid"] for who in waited_for] == [holder.pid]
    lock.release()


def test_waiting_ends_with_a_refusal_when_the_holder_stays(path: Path, hold: Holder) -> None:
    assert said(hold()) == "held"
    with pytest.raises(Conflict):
        InstanceLock(path).acquire(INFO, wait_seconds=0.5)


def test_asking_for_the_holder_again_and_again_never_makes_an_acquire_fail(path: Path) -> None:
    """`realm status` in a loop must not keep `realm up` from starting."""
    path.touch()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            InstanceLock.holder(path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(50):
            lock = InstanceLock(path)
            lock.acquire(INFO)
            lock.release()
    finally:
        over.set()
        asking.join()


def test_no_file_means_no_holder(path: Path) -> None:
    assert InstanceLock.holder(path) is None
    assert not path.exists()


def test_a_lock_file_that_cannot_be_opened_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be opened"):
        InstanceLock(tmp_path / "missing" / ".realm.lock").acquire(INFO)


def test_whoever_meets_a_verb_is_told_to_wait_and_not_to_end_a_realm(path: Path) -> None:
    lock = InstanceLock(path)
    lock.acquire({"what": "realm rewind 100", "base_dir": "/home/dio/realm"})
    assert living_realm(path) is None
    with pytest.raises(Conflict, match=r"`realm rewind 100`, started 20.*Wait for its end") as caught:
        InstanceLock.refuse_if_held(path)
    assert "realm down" not in str(caught.value)
    lock.release()

    lock.acquire(INFO)
    realm = living_realm(path)
    lock.release()
    assert realm is not None
    assert realm["pid"] == os.getpid()

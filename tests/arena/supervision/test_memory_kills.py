"""Killed for want of memory, or by somebody: the counters of the process's own control group tell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from arena.supervision.memory_kills import NOTES_KEPT, MemoryKills

PID = 41
LIMIT = 32 << 20
HUNGRY = "import sys; sys.stdin.read(1); held = [bytes([1]) * (1 << 20) for _ in range(200)]"
"""Takes 200 MB when it is told to."""

PLACES = {
    "cgroup v2": ("0::/realm.slice/unit", "realm.slice/unit/memory.events", "low 0\noom 1\noom_kill {}\n"),
    "v2 in a container": ("0::/docker/abc", "memory.events", "oom_kill {}\n"),
    "v2 beside v1": ("4:memory:/a\n0::/b", "unified/b/memory.events", "oom_kill {}\n"),
    "cgroup v1": ("4:memory:/a\n0::/", "memory/a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
}


class Machine:
    def __init__(self, root: Path, group: str, counter: str, text: str) -> None:
        self.cgroups, self.proc = root / "cgroup", root / "proc"
        (self.proc / str(PID)).mkdir(parents=True)
        (self.proc / str(PID) / "cgroup").write_text(f"{group}\n")
        self.counter, self._text = self.cgroups / counter, text
        self.counter.parent.mkdir(parents=True)
        self.count(5)

    def count(self, kills: int) -> None:
        self.counter.write_text(self._text.format(kills))

    def watch(self) -> MemoryKills:
        return MemoryKills(PID, proc=self.proc, cgroups=self.cgroups)


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_by_the_kernel_moves_the_counter_of_the_group_and_nothing_else_does(place: str, tmp_path: Path) -> None:
    """D7: out of memory is told as such; a user's kill -9 is not called that."""
    machine = Machine(tmp_path, *PLACES[place])
    kills = machine.watch()
    kills.note()
    assert (kills.counted, kills.happened()) == (True, False)
    machine.count(6)
    (machine.proc / str(PID) / "cgroup").unlink()
    assert kills.happened()


def test_a_process_that_is_long_in_dying_was_killed_all_the_same(tmp_path: Path) -> None:
    """Giving back gigabytes takes seconds in which it is still seen; a kill of long ago was another process."""
    machine = Machine(tmp_path, *PLACES["cgroup v2"])
    kills = machine.watch()
    machine.count(6)
    for _ in range(5):
        kills.note()
    assert kills.happened()
    for _ in range(NOTES_KEPT):
        kills.note()
    assert not kills.happened()


def test_on_this_machine_something_is_counted() -> None:
    kills = MemoryKills(os.getpid())
    assert (kills.counted, kills.happened()) == (True, False)


@contextmanager
def small_group() -> Iterator[Path | None]:
    """A control group of this machine with `LIMIT` bytes of memory; None where this user may make none."""
    cgroups = Path("/sys/fs/cgroup")
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    own = [group.partition(":memory:")[2].lstrip("/") for group in groups if ":memory:" in group]
    places = [(cgroups / "memory" / name, "memory.limit_in_bytes") for name in (*own, "")]
    group = next((group for place in (*places, (cgroups, "memory.max")) if (group := _make_group(*place))), None)
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


def _make_group(parent: Path, limit: str) -> Path | None:
    group = parent / f"realm-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        # Without the memory controller, a directory is made and no such file in it.
        (group / limit).open("r+").close()
        (group / limit).write_text(str(LIMIT))
    except OSError:
        group.rmdir()
        return None
    return group


def test_a_real_kill_for_memory_is_seen_as_one_and_a_real_kill_9_is_not() -> None:
    """D7: by this machine's kernel. Where no group can be made, the files written by hand above must do."""
    with small_group() as group:
        for out_of_memory in (False, True):
            if group is None:
                return
            child = subprocess.Popen([sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE)
            (group / "cgroup.procs").write_text(str(child.pid))
            kills = MemoryKills(child.pid)
            kills.note()
            if not out_of_memory:
                child.kill()
            child.communicate(b"x", timeout=30)
            assert (child.returncode, kills.happened()) == (-signal.SIGKILL, out_of_memory)

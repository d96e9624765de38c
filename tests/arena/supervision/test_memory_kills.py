"""Killed for want of memory, or by somebody: the counters of the process's own control group tell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from arena.supervision.memory_kills import NOTES_KEPT, MemoryKills

PID = 41

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

"""Whether the kernel ended a process for want of memory: its counters, read while the process lives and once after.

Counted for the control group that the process runs in (cgroup v2, or v1), which knows nothing of kills elsewhere; for
the whole machine where there is none. A `kill -9` by anybody else moves no counter.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

NOTES_KEPT = 30
"""A process that was killed takes its time to give gigabytes back, and is seen alive meanwhile."""

_MACHINE = (Path("/proc/vmstat"), "oom_kill")


class MemoryKills:
    """The counters of one process; its control group is looked up again with each `note`, as it may be moved."""

    def __init__(self, pid: int, *, proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> None:
        self._pid = pid
        self._proc = proc
        self._cgroups = cgroups
        self._counter: tuple[Path, str] | None = None
        self._notes: deque[int] = deque(maxlen=NOTES_KEPT)
        self.note()

    @property
    def counted(self) -> bool:
        """False on a system that tells nothing."""
        return self._counter is not None

    def note(self) -> None:
        """The process lives: what was counted some notes ago was not it."""
        counter = self._find()
        if counter is not None and counter != self._counter:
            self._counter = counter
            self._notes.clear()
        self._notes.append(_count(self._counter))

    def happened(self) -> bool:
        """True when the kernel has killed for memory since the oldest of the last `NOTES_KEPT` notes."""
        return _count(self._counter) > self._notes[0]

    def _find(self) -> tuple[Path, str] | None:
        try:
            groups = (self._proc / str(self._pid) / "cgroup").read_text().splitlines()
        except OSError:
            return None  # it is gone, or there is no /proc
        places = []
        for group in groups:
            number, _, rest = group.partition(":")
            controllers, _, name = rest.partition(":")
            inside = name.lstrip("/")
            if number == "0":
                # Seen from a container, the group's name may be that of outside while its files lie at the top.
                roots = [self._cgroups, self._cgroups / "unified"]
                places += [(root / part / "memory.events", "oom_kill") for root in roots for part in (inside, "")]
            elif "memory" in controllers.split(","):
                root = self._cgroups / "memory"
                places += [(root / part / "memory.oom_control", "oom_kill") for part in (inside, "")]
        return next((place for place in (*places, _MACHINE) if _has(place)), None)


def _has(counter: tuple[Path, str]) -> bool:
    return _read(counter) is not None


def _count(counter: tuple[Path, str] | None) -> int:
    return (_read(counter) if counter else None) or 0


def _read(counter: tuple[Path, str]) -> int | None:
    path, key = counter
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return int(value)
    return None

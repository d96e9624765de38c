"""What is known of a process that we know by its pid: whether it runs, is the one we mean, and gets on."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_STARTED, _USER_TICKS, _SYSTEM_TICKS = 19, 11, 12
"""Places in `/proc/PID/stat` behind the command name (proc(5) counts from 1, and from the pid)."""


@dataclass(frozen=True)
class ProcessLook:
    """One look at a process."""

    state: str
    """One letter of proc(5): R runs, S sleeps, D waits for a disk, T stopped by a signal, t traced, Z ended …"""
    cpu_seconds: float
    """Used so far, by all its threads."""
    io_bytes: int
    """Read and written so far; 0 when the system does not let us see."""


def look_at(pid: int) -> ProcessLook | None:
    """How process `pid` is; None when it is gone, or on a system without /proc."""
    stat = _stat_of(pid)
    if stat is None:
        return None
    ticks = int(stat[_USER_TICKS]) + int(stat[_SYSTEM_TICKS])
    moved = 0
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/io").read_text().splitlines():
            name, _, value = line.partition(":")
            # What goes through read() and write(), and what a mapped file brings in page by page.
            moved += int(value) if name in ("rchar", "wchar", "read_bytes") else 0
    return ProcessLook(state=stat[0], cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"), io_bytes=moved)


def start_mark(pid: int) -> int | None:
    """Ticks between the boot and the start of `pid`: with it, a pid that was given out again is told from the old one.

    None when it is gone or the system does not tell. No clock that somebody sets moves it.
    """
    stat = _stat_of(pid)
    return int(stat[_STARTED]) if stat is not None else None


def is_alive(pid: int | None) -> bool:
    """True when `pid` runs, also under another user; a zombie has ended and counts as dead."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # It is somebody else's, but it is there.
    stat = _stat_of(pid)
    # Without /proc the signal's answer stands.
    return stat is None or stat[0] not in ("Z", "X")


def has_open(pid: int, path: Path) -> bool:
    """True when process `pid`, as we number processes, has this very file open.

    A pid that was read from a file may have been written in another container, on another host of a shared disk, or
    before a reboot; a signal sent to it would hit a stranger. False too when the system does not let us look.
    """
    try:
        wanted = path.stat()
        descriptors = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{descriptor}"), wanted):
                return True
    return False


def _stat_of(pid: int) -> list[str] | None:
    """The fields of `/proc/PID/stat` from the state on."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command name stands in brackets and may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    return fields if len(fields) > _STARTED else None

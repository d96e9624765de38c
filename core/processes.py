"""Whether a process that we know by its pid still runs, and is the one we mean."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


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
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # No /proc on this system: the signal's answer stands.
    # The command name stands in brackets and may itself hold spaces and brackets.
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


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

"""Named places at which tests kill this process: `REALM_CRASH_AT=name[,name:N…]`.

A crash point sends SIGKILL to its own process, so nothing is flushed, closed or cleaned up: what the next
start finds is what a power cut or the OOM killer leaves behind. Without the variable it does nothing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_passings: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Die here when `REALM_CRASH_AT` holds `name`, or holds `name:N` and this is the N-th passing (from 1)."""
    wanted = os.environ.get("REALM_CRASH_AT")
    if not wanted:
        return
    _passings[name] += 1
    for entry in wanted.split(","):
        point, _, count = entry.strip().partition(":")
        if point == name and (not count or int(count) == _passings[name]):
            os.kill(os.getpid(), signal.SIGKILL)

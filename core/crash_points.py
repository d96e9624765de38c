"""Named places at which tests kill this process: `REALM_CRASH_AT=name[,name:N…]`, or `REALM_CRASH_LIST=file`.

A crash point sends SIGKILL to its own process, so nothing is flushed, closed or cleaned up: what the next
start finds is what a power cut or the OOM killer leaves behind. Without the variables it does nothing.

The list kills one life after the other: whoever passes the place that its first line names takes that line out and
dies, so that the next life meets the next line. What nobody ever passed is what is left in the file.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections import Counter
from collections.abc import Callable

# Looked at once: some of these places are passed with every step and every file.
_PLACES = [place.strip() for place in os.environ.get("REALM_CRASH_AT", "").split(",") if place.strip()]
_LIST = os.environ.get("REALM_CRASH_LIST")
_ARMED = bool(_PLACES or _LIST)

_passings: Counter[str] = Counter()


def crash_point(name: str, *, passing: int | None = None, last_act: Callable[[], object] | None = None) -> None:
    """Die here when `name` is wanted, or `name:N` and this is the N-th passing (from 1).

    `passing` says which one it is, where that means more than counting in this process: the number of a step.
    `last_act` is done just before death: the first half of a write, as a kill in its middle leaves it.
    """
    if not _ARMED:
        return
    _passings[name] += 1
    number = passing if passing is not None else _passings[name]
    if any(_is_meant(place, name, number) for place in _PLACES):
        _die(last_act)
    if _LIST is not None:
        _die_if_first(_LIST, name, number, last_act)


def _is_meant(place: str, name: str, number: int) -> bool:
    wanted, _, count = place.partition(":")
    return wanted == name and (not count or int(count) == number)


def _die_if_first(file: str, name: str, number: int, last_act: Callable[[], object] | None) -> None:
    # Not by `core.files`, which has crash points itself. In place, as others may wait for the lock of this very file.
    try:
        fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        first, _, others = os.pread(fd, os.fstat(fd).st_size, 0).decode().partition("\n")
        if _is_meant(first.strip(), name, number):
            os.ftruncate(fd, os.pwrite(fd, others.encode(), 0))
            os.fsync(fd)
            # The lock goes with the process: no other thread of it may take the next line in its last moment.
            _die(last_act)
    finally:
        os.close(fd)


def _die(last_act: Callable[[], object] | None) -> None:
    if last_act is not None:
        last_act()
    signal.raise_signal(signal.SIGKILL)

"""Where the trainer stands right now, so that the daemon knows what it was doing when it died.

The child rewrites one small record in place before every step, without fsync: the page cache survives the
death of a process (not of the machine, and after a power cut nobody is charged). The daemon reads it
only after the child is gone. Positions are (ordinal, quest_step): the number of the quest in the journal and
how many of its steps are done.
"""

from __future__ import annotations

import os
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

_RECORD = Struct("<4sIqqqqq")
_MAGIC = b"RPOS"


class Phase(IntEnum):
    """What the child was busy with."""

    LOADING = 1
    """Starting up; no quest is to blame."""
    WAITING = 2
    """Idle, paused, saving or evaluating."""
    PREPARING = 3
    """Reading and tokenizing the quest of this position."""
    STEPPING = 4
    """Inside the optimizer step that follows this position."""
    EXITED = 5
    """Ended on purpose, with everything saved."""


class Position(NamedTuple):
    phase: Phase
    ordinal: int
    quest_step: int
    furthest_ordinal: int
    furthest_step: int
    """The furthest position any child ever reached on this history."""
    pid: int

    @property
    def replaying(self) -> bool:
        """True when the step at hand had been done before, by a child that died later."""
        return (self.ordinal, self.quest_step) < (self.furthest_ordinal, self.furthest_step)


class PositionFile:
    """The record's one writer."""

    def __init__(self, path: Path) -> None:
        before = read_position(path)
        self.furthest = (before.furthest_ordinal, before.furthest_step) if before else (0, 0)
        self.was_unclean = before is not None and before.phase is not Phase.EXITED
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, phase: Phase, ordinal: int = 0, quest_step: int = 0) -> None:
        """Note the position; only stepping moves the furthest one."""
        if phase is Phase.STEPPING:
            self.furthest = max(self.furthest, (ordinal, quest_step))
        os.pwrite(self._fd, _RECORD.pack(_MAGIC, phase, ordinal, quest_step, *self.furthest, os.getpid()), 0)

    def close(self) -> None:
        os.close(self._fd)


def read_position(path: Path) -> Position | None:
    """The last position noted; None when there is none or the file is not ours."""
    try:
        raw = path.read_bytes()
    except OSError:
        return None
    if len(raw) < _RECORD.size:
        return None
    magic, phase, *numbers = _RECORD.unpack(raw[: _RECORD.size])
    if magic != _MAGIC or phase not in set(Phase):
        return None
    return Position(Phase(phase), *numbers)

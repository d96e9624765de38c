"""Where the trainer stands right now and that it gets on, so that the daemon knows when it hangs and what it died of.

The child rewrites one small record in place before every step and at every beat, without fsync: the page cache
survives the death of a process (not of the machine, and after a power cut nobody is charged). Positions are
(ordinal, quest_step): the number of the quest in the journal and how many of its steps are done.

A record only ever grows at its end: older readers leave out what they do not know, newer ones miss nothing else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import NamedTuple

_RECORD = Struct("<4sIqqqqq")
_BEATS = Struct("<Q")
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
    beats: int = 0
    """Signs of life so far, those of earlier children included; 0 in a record of before there were any."""

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
        # Counted on, so that no two records are ever the same.
        self._beats = before.beats if before else 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def write(self, phase: Phase, ordinal: int = 0, quest_step: int = 0) -> None:
        """Note the position; only stepping moves the furthest one. Raises `OSError` when the disk refuses."""
        if phase is Phase.STEPPING:
            self.furthest = max(self.furthest, (ordinal, quest_step))
        record = _RECORD.pack(_MAGIC, phase, ordinal, quest_step, *self.furthest, os.getpid())
        os.pwrite(self._fd, record + self._next_beat(), 0)

    def beat(self) -> None:
        """A sign of life in the midst of work that goes on at the same position; never raises."""
        with suppress(OSError):  # which is no reason to break off the work
            os.pwrite(self._fd, self._next_beat(), _RECORD.size)

    def _next_beat(self) -> bytes:
        self._beats += 1
        return _BEATS.pack(self._beats)

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
    rest = raw[_RECORD.size :]
    beats: int = _BEATS.unpack_from(rest)[0] if len(rest) >= _BEATS.size else 0
    return Position._make((Phase(phase), *numbers, beats))

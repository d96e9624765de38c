"""Tells a trainer that hangs from one that is slow, from looks at its beats (ADR 0013). Pure: time is passed in.

A step is alive as long as the child beats, which it does before each step and for each micro-batch. What it does
between steps (loading, hashing, tokenizing, saving) runs for long inside libraries that cannot beat: there CPU time
spent and bytes moved count as life too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from arena.supervision.position_file import Phase, Position
from core.processes import ProcessLook

TIMES_THE_LONGEST = 20
"""A silence so many times as long as the longest that was followed by a sign of life is no slowness any more."""

SILENT_SECONDS = 45.0
"""A silence that people are told of, long before it has lasted until the deadline."""

LONGEST_DEADLINE_SECONDS = 3600.0
"""What one stall of a disk may teach at most: a child that hangs must not keep its quest for half a day."""

LONGEST_BETWEEN_LOOKS = 3.0
"""Seconds that one look can add to a silence. Whatever else went by, the daemon did not see: it was stopped, or its
machine slept, and so did the child perhaps."""

TIMES_WITHOUT_BEAT = 10
"""Preparing, saving and evaluating, a child that is busy but never beats hangs after so many deadlines. Loading has no
such end: a model may come over a slow line for hours."""

BEFORE_ITS_FIRST_NOTE_SECONDS = 600.0
"""A new child waits up to 5 minutes for the one before it to save, and up to one for the daemon."""

CPU_SECONDS_OF_LIFE = 1.0
BYTES_OF_LIFE = 1 << 20

WORDS = {
    None: "before it began to load",
    Phase.LOADING: "while it was loading",
    Phase.WAITING: "between two steps (waiting, saving or evaluating)",
    Phase.PREPARING: "while it prepared a quest",
    Phase.STEPPING: "in a step",
    Phase.EXITED: "while it ended",
}


class Finding(Enum):
    """What a look tells."""

    ALIVE = "alive"
    STOPPED = "stopped by a signal"
    """SIGSTOP, SIGTSTP or the like: SIGCONT lets it go on."""
    TRACED = "held by a debugger"
    DISK = "waiting for a disk"
    """In a sleep that no signal ends."""
    HUNG = "hung"


_HELD = {"T": Finding.STOPPED, "t": Finding.TRACED, "D": Finding.DISK}


@dataclass(frozen=True)
class Glance:
    """One look at the child."""

    position: Position | None
    """None before it has noted one."""
    process: ProcessLook

    @property
    def phase(self) -> Phase | None:
        return self.position.phase if self.position else None


class HeartbeatWatch:
    """One per daemon; it outlives the children, as what was slow once is known to be slow."""

    def __init__(self, hung_seconds: float) -> None:
        self._least = hung_seconds
        self._longest: dict[Phase | None, float] = {}
        self.begin()

    def begin(self) -> None:
        """Another child is watched from now on."""
        self._last: Glance | None = None
        self._work_seen = (0.0, 0)
        self._looked_at: float | None = None
        self.silent = 0.0
        """Seconds without a sign of life, as far as they were watched."""
        self._beatless = 0.0
        self.held = 0.0
        """Seconds for which the process could not have gone on if it wanted to."""

    def deadline(self, phase: Phase | None) -> float:
        """Seconds of silence after which a child in this phase hangs."""
        least = self._least + (BEFORE_ITS_FIRST_NOTE_SECONDS if phase is None else 0.0)
        return max(least, min(TIMES_THE_LONGEST * self._longest.get(phase, 0.0), LONGEST_DEADLINE_SECONDS))

    def patience(self, phase: Phase | None) -> float:
        """Seconds of silence, or of waiting for a disk, after which people are told.

        What is silent for the first time may be known to take long (the first step of a large model is compiled): there
        it is the deadline.
        """
        deadline = self.deadline(phase)
        if phase not in self._longest:
            return deadline
        return min(deadline, max(SILENT_SECONDS, TIMES_THE_LONGEST * self._longest[phase]))

    def look(self, glance: Glance, now: float) -> Finding:
        """Take in a look made at `now`, in seconds of a clock that only goes forward."""
        passed = min(now - self._looked_at, LONGEST_BETWEEN_LOOKS) if self._looked_at is not None else 0.0
        self._looked_at = now
        last, self._last = self._last, glance
        if last is None or glance.position != last.position:
            self._beatless = 0.0
            self._note_life(last, glance)
            return Finding.ALIVE
        state = _HELD.get(glance.process.state)
        if state is not None:
            self.held += passed
            return state
        self.held = 0.0
        self._beatless += passed
        if glance.phase is not Phase.STEPPING and self._is_at_work(glance) and not self._busy_for_ever(glance.phase):
            self._note_life(last, glance)
            return Finding.ALIVE
        self.silent += passed
        return Finding.HUNG if self.silent > self.deadline(glance.phase) else Finding.ALIVE

    def _note_life(self, last: Glance | None, glance: Glance) -> None:
        if last is not None:
            self._longest[last.phase] = max(self._longest.get(last.phase, 0.0), self.silent)
        self._work_seen = (glance.process.cpu_seconds, glance.process.io_bytes)
        self.silent = self.held = 0.0

    def _is_at_work(self, glance: Glance) -> bool:
        cpu_seconds, io_bytes = self._work_seen
        process = glance.process
        return process.cpu_seconds - cpu_seconds >= CPU_SECONDS_OF_LIFE or process.io_bytes - io_bytes >= BYTES_OF_LIFE

    def _busy_for_ever(self, phase: Phase | None) -> bool:
        return phase not in (None, Phase.LOADING) and self._beatless > TIMES_WITHOUT_BEAT * self.deadline(phase)


def describe_hang(watch: HeartbeatWatch, glance: Glance, place: str | None) -> str:
    """The cause of death of a hung child, for people."""
    where = WORDS[glance.phase]
    if glance.position is not None and glance.phase is Phase.STEPPING:
        where += f" (after step {glance.position.quest_step} of quest {glance.position.ordinal})"
    return f"hung: no sign of life for {watch.silent:.0f} s {where}" + (f", at {place}" if place else "")

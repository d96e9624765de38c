"""Keeps the intake from slowing down a quest that is being trained: work in small portions, then a rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

BUSY_SHARE = 0.06
"""Of one core: what the control process may use while a quest is trained and the intake has work. A step whose threads
wait for each other takes longer by about this much."""

LONGEST_REST_SECONDS = 5.0
"""After one portion: a process that is busy with something else must not keep the inbox closed."""
LOOK_SECONDS = 1.0
"""How long it may take until a hurry that begins during a rest is noticed."""


class Pace:
    """`rest` after each portion of work. The CPU time of the whole process counts, whoever used it."""

    def __init__(self, in_hurry: Callable[[], bool]) -> None:
        """`in_hurry` is true while nothing is trained that could be disturbed."""
        self._in_hurry = in_hurry
        self._cpu = time.process_time()
        self._wall = time.monotonic()
        self._owed = 0.0
        """Seconds of rest that the work so far has cost, less those that have passed."""

    async def rest(self) -> None:
        """Wait until the work so far is within its share of the time; not at all in a hurry."""
        deadline = time.monotonic() + LONGEST_REST_SECONDS
        self._settle()
        while self._owed > 0 and not self._in_hurry() and time.monotonic() < deadline:
            await asyncio.sleep(min(self._owed, LOOK_SECONDS))
            self._settle()

    def _settle(self) -> None:
        cpu, wall = time.process_time(), time.monotonic()
        owed = self._owed + (cpu - self._cpu) / BUSY_SHARE - (wall - self._wall)
        self._cpu, self._wall = cpu, wall
        self._owed = min(max(owed, 0.0), LONGEST_REST_SECONDS)

"""Tells the service manager the truth about this process: starting, ready, what it does, hung, stopping.

Alive means that the event loop runs and that no loop of the task crew is overdue (`core.tasks.beat`). Idle and
paused loops rest and are healthy (failure B4); one that hangs in a dead disk or a lost lock is not, and from then on
the watchdog is no longer fed, whatever else still moves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from core.systemd.sd_notify import Notifier

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 1.0
"""How old a status line may be."""
EXTENSION_SECONDS = 60.0
"""Asked for again and again while the start or the last checkpoint takes its time."""
SECONDS_BETWEEN_EXTENSIONS = 10.0


class Herald:
    """One for each control process. `run` is its task; `ready` and `stopping` mark the two turns."""

    def __init__(
        self, notifier: Notifier, *, headline: Callable[[], str], overdue: Callable[[float], list[str]]
    ) -> None:
        """`headline` is the state in a few words; `overdue(now)` names the loops that hang."""
        self._notifier = notifier
        self._headline = headline
        self._overdue = overdue
        self._up = False
        self._turn: Callable[[], bool] | None = None
        """A turn that the manager has not taken yet; without READY it ends the service."""
        self._told = ""
        self._hung: list[str] = []
        self._fed_at = self._extended_at = float("-inf")

    def ready(self) -> None:
        """The sites answer and the loops run."""
        self._up = True
        self._told = self._headline()
        self._take_turn(lambda: self._notifier.ready(self._told))

    def stopping(self, reason: str) -> None:
        """From now on the process only saves and ends."""
        self._up = False
        self._told = f"stopping: {reason}"
        self._take_turn(lambda: self._notifier.stopping(self._told))

    async def run(self) -> None:
        """Tell for ever; never ends by itself."""
        watchdog = self._notifier.watchdog_seconds
        pause = LONGEST_PAUSE_SECONDS if watchdog is None else min(LONGEST_PAUSE_SECONDS, watchdog / 4)
        while True:
            self.tick(time.monotonic())
            await asyncio.sleep(pause)

    def tick(self, now: float) -> None:
        """Say what has changed and what is due."""
        self._look(now)
        status = f"hung: {', '.join(self._hung)}" if self._hung else self._headline()
        if self._turn is not None:
            self._take_turn(self._turn)
        if status != self._told and self._notifier.status(status):
            self._told = status
        watchdog = self._notifier.watchdog_seconds
        hungry = watchdog is not None and now - self._fed_at >= watchdog / 2
        if hungry and not self._hung and self._notifier.alive():
            self._fed_at = now
        short_of_time = not self._up and now - self._extended_at >= SECONDS_BETWEEN_EXTENSIONS
        if short_of_time and self._notifier.extend(EXTENSION_SECONDS):
            self._extended_at = now

    def _take_turn(self, say: Callable[[], bool]) -> None:
        self._turn = None if say() else say

    def _look(self, now: float) -> None:
        # While it starts and ends, loops are missing or cancelled; the manager's own time limits hold then.
        hung = self._overdue(now) if self._up else []
        if hung and hung != self._hung:
            logger.error("these loops hang: %s", ", ".join(hung), extra={"event": "loops_hung", "tasks": hung})
        self._hung = hung

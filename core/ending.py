"""When a long-running process ends: by a signal, or by a file that a user creates."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from core.tasks import comes_within

LOOK_SECONDS = 0.5
"""Seconds between two looks for the stop file."""
LONGEST_STOP_SECONDS = 780.0
"""What whoever ends the realm should allow for it: the budgets of all stages of the stop, and some more."""

REASONS = {signal.SIGINT: "Ctrl-C", signal.SIGHUP: "the terminal was closed", signal.SIGTERM: "signal SIGTERM"}


class Ending:
    """Waits for whatever ends the control process: a signal or a stop file."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` tells whoever waits at the terminal what a signal does; it must not wait for a stopped one."""
        self.reason = "the start failed"
        self._told = asyncio.Event()
        self._say = say

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP from now on; one that comes during the start is obeyed after it.

        A SIGHUP that was ignored when we were started stays so: that is what `nohup` does.
        """
        loop = asyncio.get_running_loop()
        for number in REASONS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, self._by_signal, number)

    def _by_signal(self, number: signal.Signals) -> None:
        if not self._told.is_set():
            self._end(REASONS[number])
            self._say("Ending: the trainer finishes its step and saves.")
            return
        self._say(
            f"Still saving; no further Ctrl-C makes it faster. `kill -9 {os.getpid()}` ends it at once, and what was "
            "learned since the last checkpoint is learned again at the next start."
        )

    def _end(self, reason: str) -> None:
        self.reason = reason
        self._told.set()

    async def wait(self, stop_file: Path | None) -> None:
        """Return once it is time to end; `reason` says why. Without a stop file only signals end it."""
        while not self._told.is_set():
            if stop_file is not None and stop_file.exists():
                stop_file.unlink(missing_ok=True)
                self._end(f"the file {stop_file.name} was found")
            else:
                await comes_within(LOOK_SECONDS, self._told)

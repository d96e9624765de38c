"""When a long-running process ends: by a signal, by a file that a user creates, or because a critical part failed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

from core.tasks import TaskCrew

LOOK_SECONDS = 0.5
"""Seconds between two looks for the stop file."""


class Ending:
    """Waits for whatever ends the control process: a signal, a stop file, or the failure of a critical part."""

    def __init__(self) -> None:
        self.reason = "the start failed"
        self._told = asyncio.Event()

    def listen(self) -> None:
        """Take SIGINT and SIGTERM from now on; one that comes during the start is obeyed after it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._by_signal, number)

    def _by_signal(self, number: signal.Signals) -> None:
        self.reason = "Ctrl-C" if number == signal.SIGINT else f"signal {number.name}"
        self._told.set()

    async def wait(self, stop_file: Path, crew: TaskCrew) -> None:
        """Return once it is time to end; `reason` says why."""
        while not self._told.is_set():
            if crew.failed.is_set():
                self.reason = f"{crew.failure[0]} failed: {crew.failure[1]}" if crew.failure else "a part failed"
                return
            if stop_file.exists():
                stop_file.unlink(missing_ok=True)
                self.reason = f"the file {stop_file.name} was found"
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), LOOK_SECONDS)

"""How long a host that does not answer is asked again, by all connections of a transfer together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from core.errors import Unavailable
from vault.transfer.source import Busy, Garbled, LinkCut, unreachable

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0
MOST_GARBLED = 20
"""Answers in a row that make no sense."""
WORKING_SECONDS = 6 * 3600.0
"""How long a host is waited for that is there and reads what it was asked for."""
CANCEL_SECONDS = 0.2
"""How soon a wait ends that was cancelled from outside."""

T = TypeVar("T")


class Stopped(Exception):
    """The transfer ends, and nobody waits for this."""


class Patience:
    """Ends when nothing at all has come for `retry_seconds`, or when somebody stops it."""

    def __init__(self, base_url: str, retry_seconds: float, cancelled: threading.Event | None = None) -> None:
        self._base_url = base_url
        self._retry_seconds = retry_seconds
        self._cancelled = cancelled
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._working_since: float | None = None
        self._failures = 0
        self._garbled = 0
        self.cuts = 0
        """How often the link failed."""

    @property
    def is_over(self) -> bool:
        return self._stop.is_set() or (self._cancelled is not None and self._cancelled.is_set())

    def stop(self) -> None:
        """Whoever waits, or will, gets `Stopped`."""
        self._stop.set()

    def progress(self) -> None:
        """Something has come."""
        with self._lock:
            self._failing_since = self._working_since = None
            self._failures = 0
            self._garbled = 0

    def wait_after(self, cut: LinkCut) -> None:
        """Wait before asking again, longer each time; raises `Unavailable` once that has been in vain for too long.

        What counts is the time since the first failure after a success: while files are read back, nothing comes.
        """
        now = time.monotonic()
        is_working = isinstance(cut, Busy) and cut.is_working
        with self._lock:
            self.cuts += not is_working
            self._failures += 1
            delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self._failures - 1, 10))
            self._garbled += isinstance(cut, Garbled)
            if is_working:
                self._working_since = self._working_since or now
                self._failing_since = None
            else:
                self._failing_since = self._failing_since or now
            in_vain = now - (self._failing_since or now)
            working = now - (self._working_since or now)
        if self._garbled >= MOST_GARBLED:
            raise Unavailable(f"{self._base_url} does not answer like a vault: {cut}.") from cut
        if in_vain + delay > self._retry_seconds or working > WORKING_SECONDS:
            raise unreachable(self._base_url, cut) from cut
        self.rest(max(delay, cut.seconds) if isinstance(cut, Busy) else delay)

    def rest(self, seconds: float) -> None:
        """Wait; raises `Stopped` when the transfer ends meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.is_over:
            self._stop.wait(min(left, CANCEL_SECONDS))
        if self.is_over:
            raise Stopped

    def asking(self, ask: Callable[[], T]) -> T:
        """What `ask` returns, called again after each `LinkCut`."""
        while True:
            try:
                told = ask()
            except LinkCut as cut:
                self.wait_after(cut)
            else:
                self.progress()
                return told

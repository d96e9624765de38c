"""How long a host that does not answer is asked again, by all connections of a transfer together.

One that has not answered yet is away: that is told within seconds. One that falls silent amid a transfer may come back,
so it is asked for minutes, and whoever waits is told so.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from core.errors import Unavailable, Unreached
from vault.transfer.source import Busy, Garbled, LinkCut, unreachable

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0
AWAY_SECONDS = 5.0
"""For a host to answer the first time: on a home network that takes milliseconds, and a lost packet comes again."""
NOTICE_SECONDS = 3.0
"""After so long a silence, whoever waits is told what for."""
MOST_GARBLED = 20
"""Answers in a row that make no sense."""
WORKING_SECONDS = 6 * 3600.0
"""How long a host is waited for that is there and reads what it was asked for."""
CANCEL_SECONDS = 0.2
"""How soon a wait ends that was cancelled from outside."""

OnWaiting = Callable[[str], object]
"""Told in a sentence what is waited for, and when that is over; from any thread."""

T = TypeVar("T")


class Stopped(Exception):
    """The transfer ends, and nobody waits for this."""


class Patience:
    """Ends when nothing at all has come for `retry_seconds`, or when somebody stops it; thread-safe.

    A host that has never answered is given `AWAY_SECONDS` and no more, and then `Unreached` is raised. Without
    `on_waiting` what is waited for is logged.
    """

    def __init__(
        self,
        base_url: str,
        retry_seconds: float,
        cancelled: threading.Event | None = None,
        on_waiting: OnWaiting | None = None,
    ) -> None:
        self._base_url = base_url
        self._retry_seconds = retry_seconds
        self._cancelled = cancelled
        self._say = on_waiting or _log
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._heard_at: float | None = None
        self._begun_at = time.monotonic()
        self._failing_since: float | None = None
        self._working_since: float | None = None
        self._told_at: float | None = None
        self._has_told_of_work = False
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
            self._heard_at = time.monotonic()
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
                self._heard_at = now
                self._working_since = self._working_since or now
                self._failing_since = None
            else:
                # Whoever has not answered yet is away since the first time that it was asked.
                self._failing_since = self._failing_since or (now if self._heard_at else self._begun_at)
            in_vain = now - (self._failing_since or now)
            working = now - (self._working_since or now)
            is_known = self._heard_at is not None
        if self._garbled >= MOST_GARBLED:
            raise Unavailable(f"{self._base_url} does not answer like a vault: {cut}.") from cut
        if not is_known and in_vain + delay > min(AWAY_SECONDS, self._retry_seconds):
            raise unreached(self._base_url, cut) from cut
        if in_vain + delay > self._retry_seconds or working > WORKING_SECONDS:
            raise unreachable(self._base_url, cut) from cut
        if is_working and not self._has_told_of_work:
            self._has_told_of_work = True
            self._say(f"{self._base_url} is waited for: {cut}")
        self.look(why=str(cut))
        self.rest(max(delay, cut.seconds) if isinstance(cut, Busy) else delay)

    def look(self, waiting_since: float | None = None, why: str = "it says nothing") -> None:
        """Tell of a silence, once, and of its end; to be called again and again by whoever waits.

        `waiting_since` is when an answer began to be waited for, if one is: while files are read back, nothing comes.
        """
        now = time.monotonic()
        with self._lock:
            since = self._failing_since or waiting_since
            said = None
            if self._heard_at is None:
                return
            if self._told_at is not None and self._heard_at > self._told_at:
                self._told_at, said = None, f"{self._base_url} answers again."
            elif self._told_at is None and since is not None and now - max(since, self._heard_at) >= NOTICE_SECONDS:
                self._told_at = now
                left = self._retry_seconds - (now - (self._failing_since or now))
                said = (
                    f"Nothing has come from {self._base_url} for {now - self._heard_at:.0f} s ({why}). It is asked "
                    f"again for {max(left, 0.0):.0f} s; what has come is kept."
                )
        if said is not None:
            self._say(said)

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


def unreached(base_url: str, why: object) -> Unreached:
    """What is told of a host that has not answered at all."""
    return Unreached(
        f"{base_url} cannot be reached: {why}.",
        hint="Is it up? Nothing waits for it; what had come before is kept, and the same again goes on with it.",
    )


def _log(told: str) -> None:
    logger.warning("%s", told, extra={"event": "transfer_waits"})

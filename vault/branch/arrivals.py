"""The assets that a branch officer is fetching from other hosts, each in a thread of its own, and how far they are."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.errors import Conflict, RealmError, first_line
from vault.manifest import digest_of
from vault.transfer.pull import Progress, PullReport

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 4
REMEMBERED = 100
"""Transfers that have ended and are still told of (law 9)."""

Fetch = Callable[[Callable[[Progress], object], threading.Event], PullReport]
"""Fetches one asset, telling how far it is, until it is done or cancelled."""
Arrived = Callable[[PullReport | None, RealmError | None], object]
"""Hears how it ended."""


@dataclass(frozen=True)
class Wish:
    """What is to come; wished again while it is on its way, it is the same transfer."""

    asset_id: str
    source: str
    destination: str
    digest: str | None = None
    """Of the manifest, where that is known."""


@dataclass
class Arrival:
    """One transfer."""

    transfer_id: str
    wish: Wish
    destination: str
    """Its place; until its name is known, the directory."""
    started_at: str
    state: str = "running"
    """running, done or failed."""
    progress: Progress | None = None
    error: str | None = None
    error_code: str | None = None
    digest: str | None = None
    """Of the manifest of what has landed."""
    finished_at: str | None = None

    def to_json(self) -> dict[str, Any]:
        progress = self.progress
        return {
            "transfer_id": self.transfer_id,
            "asset_id": self.wish.asset_id,
            "source": self.wish.source,
            "destination": self.destination,
            "state": self.state,
            "bytes_done": progress.bytes_done if progress else None,
            "bytes_total": progress.bytes_total if progress else None,
            "bytes_per_second": progress.bytes_per_second if progress else None,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "error": self.error,
            "error_code": self.error_code,
            "digest": self.digest,
        }


class Arrivals:
    """All transfers to one officer; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Arrival] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._cancelled = threading.Event()

    def start(self, wish: Wish, fetch: Fetch, arrived: Arrived) -> Arrival:
        """Begin one; asked for again while it runs, it is the same one. Raises `Conflict` when too many run."""
        with self._lock:
            running = [each for each in self._known.values() if each.state == "running"]
            for each in running:
                if each.wish == wish:
                    return each
            if len(running) >= MOST_AT_ONCE or self._cancelled.is_set():
                raise Conflict(f"{len(running)} transfers run already.", hint="Ask again when one of them has ended.")
            now = datetime.now(UTC).isoformat()
            arrival = Arrival(uuid.uuid4().hex[:12], wish, wish.destination, now)
            self._known[arrival.transfer_id] = arrival
            ended = [key for key, each in self._known.items() if each.state != "running"]
            for key in ended[: max(0, len(ended) - REMEMBERED)]:
                del self._known[key]
            thread = threading.Thread(target=self._run, args=(arrival, fetch, arrived), daemon=True)
            self._threads[arrival.transfer_id] = thread
            thread.start()
        return arrival

    def find(self, transfer_id: str) -> Arrival | None:
        with self._lock:
            return self._known.get(transfer_id)

    def all(self) -> list[Arrival]:
        """Newest first."""
        with self._lock:
            return [*reversed(self._known.values())]

    def stop(self, seconds: float) -> None:
        """Cancel all that run and wait for them together; what has come is kept for the next time."""
        self._cancelled.set()
        until = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, arrival: Arrival, fetch: Fetch, arrived: Arrived) -> None:
        def note(progress: Progress) -> None:
            arrival.progress = progress

        report, failure = None, None
        try:
            report = fetch(note, self._cancelled)
            arrived(report, None)
        except RealmError as error:
            failure = error
        except Exception as error:  # a bug: told as the end of this transfer, and in the log, but of no other
            logger.exception("a transfer failed", extra={"event": "transfer_failed"})
            failure = RealmError(f"The transfer failed: {first_line(error)}.")
        if failure is not None and report is None:
            # The books may be out of reach too: that must not hide why it failed.
            with suppress(RealmError):
                arrived(None, failure)
        with self._lock:
            arrival.error, arrival.error_code = (str(failure), failure.code) if failure else (None, None)
            if report is not None:
                arrival.destination, arrival.digest = str(report.path), digest_of(report.manifest)
            arrival.finished_at = datetime.now(UTC).isoformat()
            arrival.state = "failed" if failure else "done"
            self._threads.pop(arrival.transfer_id, None)

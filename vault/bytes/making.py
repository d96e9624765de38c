"""Manifests that are made because somebody asks for them: each once at a time, however many ask, and nobody waits long.

Reading an asset takes seconds or an hour. Who asks meanwhile is told so (`being_made`), and asks again: a connection
that is held for an hour is cut by whatever lies on its way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from core.errors import Unavailable
from core.own_threads import OwnThreads

WAIT_SECONDS = 2.0
RETRY_SECONDS = 2
AT_ONCE = 2
"""Assets that are read at once: more would only make a disk seek."""
WAITING = 100
FAILURES_KEPT = 100

Manifest = dict[str, Any]


class BeingMade(Unavailable):
    """Its manifest is being made: the asset is read for it."""

    code = "being_made"


class Makings:
    """Those of one host; thread-safe."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._threads = OwnThreads("manifests that are made", AT_ONCE, waiting=WAITING)
        self._lock = threading.Lock()
        self._known: dict[str, Future[Manifest]] = {}

    def of(self, place: str, make: Callable[[], Manifest]) -> Manifest:
        """What `make` returns or raises, which is called once for all who ask for this place at the time.

        Raises `BeingMade` when that takes longer than a moment; how it failed is then told to whoever asks next.
        """
        with self._lock:
            future = self._known.get(place)
            is_new = future is None
            if future is None:
                failed = [key for key, each in self._known.items() if each.done()]
                for key in failed[: max(0, len(failed) - FAILURES_KEPT)]:
                    del self._known[key]
                future = self._known[place] = self._threads.start(make)
        if is_new:
            future.add_done_callback(lambda ended: self._ended(place, ended))
        try:
            return future.result(self._wait_seconds)
        except TimeoutError:
            if not future.done():
                raise BeingMade(
                    f"The manifest of {place} is being made.",
                    hint="Ask again in a while.",
                    retry_after_seconds=RETRY_SECONDS,
                ) from None
            self._forget(place, future)
            raise
        except BaseException:  # whatever it is, it was told now: the next one who asks has it made anew
            self._forget(place, future)
            raise

    def _ended(self, place: str, ended: Future[Manifest]) -> None:
        # What was made is kept by whoever made it; only how it failed has to wait here for somebody to hear it.
        if ended.cancelled() or ended.exception() is None:
            self._forget(place, ended)

    def _forget(self, place: str, ended: Future[Manifest]) -> None:
        with self._lock:
            if self._known.get(place) is ended:
                del self._known[place]

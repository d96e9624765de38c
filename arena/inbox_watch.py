"""Hints that something happened in the inbox, from watchdog. They only make the next scan come sooner.

File system events are missing on network shares, stop after remounts and can stop for no reason: nothing may
depend on them. Whatever goes wrong in here is logged once and otherwise has no effect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

logger = logging.getLogger(__name__)

# Reading raises these too: a scan would bring about the next scan, for ever.
READING_EVENTS = frozenset({"opened", "closed_no_write"})


class InboxWatch:
    """Calls `on_hint` from a thread of watchdog's whenever something under `root` was written, moved or removed."""

    def __init__(self, root: Path, on_hint: Callable[[], None]) -> None:
        self._root = root
        self._on_hint = on_hint
        self._observer: BaseObserver | None = None
        self._trouble_told = False

    def start(self) -> None:
        """Begin to watch; where that is not possible, say so in the log and return."""
        try:
            self._observer = self._start_observer()
        except Exception as error:  # noqa: BLE001 - whatever watchdog raises here, the periodic scan does the work
            self._tell_trouble(f"cannot watch {self._root}: {error!r}")

    def is_alive(self) -> bool:
        """False when no hints come (any more); the reason is in the log."""
        alive = (
            self._observer is not None
            and self._observer.is_alive()
            and all(emitter.is_alive() for emitter in self._observer.emitters)
        )
        if self._observer is not None and not alive:
            self._tell_trouble(f"the watch on {self._root} has ended")
        return alive

    def stop(self) -> None:
        """Ask the watch to end; may be called twice and without `start`."""
        if self._observer is not None:
            self._observer.stop()

    def join(self, timeout: float = 5.0) -> None:
        """Wait until it has ended, at most `timeout` seconds."""
        if self._observer is not None:
            self._observer.join(timeout)
            self._observer = None

    def _start_observer(self) -> BaseObserver:
        # watchdog is imported here because it may be broken or missing, and to keep start-up short.
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        watch = self

        class Hints(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                if event.event_type not in READING_EVENTS:
                    watch._hint()

        observer = Observer()
        observer.schedule(Hints(), str(self._root), recursive=True)
        observer.start()
        return observer

    def _hint(self) -> None:
        try:
            self._on_hint()
        except Exception as error:  # noqa: BLE001 - a hint into, say, a closed event loop must not end the watch
            self._tell_trouble(f"a hint about {self._root} was lost: {error!r}")

    def _tell_trouble(self, message: str) -> None:
        if not self._trouble_told:
            self._trouble_told = True
            logger.warning("%s; files are still found by scanning", message, extra={"event": "inbox_watch_lost"})

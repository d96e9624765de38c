"""Hints that something happened in the inbox, from watchdog. They only make the next scan come sooner.

File system events are missing on network shares, stop after remounts and can stop for no reason: nothing may
depend on them. Whether they come at all is found out by `arena.doorstep.watch_keeper`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

logger = logging.getLogger(__name__)

CANARY_NAME = ".realm-canary"
"""A hidden file that the realm makes and removes in the inbox, to see whether that is heard."""


class InboxWatch:
    """Calls `on_hint` from a thread of watchdog's whenever something under `root` was written, moved or removed."""

    def __init__(self, root: Path, on_hint: Callable[[], None]) -> None:
        self._root = root
        self._on_hint = on_hint
        self._observer: BaseObserver | None = None
        self._hint_failed = False
        self.heard = 0
        """Events so far, those of the canary among them."""

    def start(self) -> str | None:
        """Begin to watch; where that is not possible, the answer says why."""
        try:
            self._observer = self._start_observer()
        except Exception as error:  # noqa: BLE001 - whatever watchdog raises here, the periodic scan does the work
            return f"{type(error).__name__}: {error}"
        return None

    def is_alive(self) -> bool:
        """False when no hints come (any more)."""
        return (
            self._observer is not None
            and self._observer.is_alive()
            and all(emitter.is_alive() for emitter in self._observer.emitters)
        )

    def stop(self) -> None:
        """Ask the watch to end; may be called twice and without `start`."""
        if self._observer is not None:
            self._observer.stop()

    def _start_observer(self) -> BaseObserver:
        # watchdog is imported here because it may be broken or missing, and to keep start-up short.
        from watchdog import events
        from watchdog.observers import Observer

        watch = self

        class Hints(events.FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                watch._hear(event)

        # All but what reading raises (opened, closed without a write): each scan would bring about the next one.
        heard: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent, events.FileModifiedEvent, events.FileAttribEvent, events.FileClosedEvent,
            events.FileMovedEvent, events.FileDeletedEvent, events.DirCreatedEvent, events.DirModifiedEvent,
            events.DirAttribEvent, events.DirMovedEvent, events.DirDeletedEvent,
        ]  # fmt: skip
        observer = Observer()
        observer.schedule(Hints(), str(self._root), recursive=True, event_filter=heard)
        observer.start()
        return observer

    def _hear(self, event: FileSystemEvent) -> None:
        self.heard += 1
        path = os.fsdecode(event.src_path)
        # The canary also changes the folder that it lies in.
        if os.path.basename(path) == CANARY_NAME or path == str(self._root):
            return
        try:
            self._on_hint()
        except Exception as error:  # noqa: BLE001 - a hint into, say, a closed event loop must not end the watch
            if not self._hint_failed:
                self._hint_failed = True
                logger.warning("a hint about %s was lost: %s", self._root, error, extra={"event": "hint_lost"})

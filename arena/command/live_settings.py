"""The settings in force while the realm runs: read again when their file has changed (DESIGN section 5)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from arena.lanes.listing import Stamp
from core.errors import Conflict, RealmError
from core.settings import Settings

INVALID_SECONDS = 30.0
"""What is wrong may be mended in another file, such as the hero's: invalid settings are looked at again so often."""


class LiveSettings:
    """Holds the newest valid settings: a file that became invalid leaves all old values in force. Safe in threads."""

    def __init__(self, settings: Settings, file: Path, read: Callable[[], Settings]) -> None:
        """`read` reads and checks everything; it runs only when `file` changed, and now and then while invalid."""
        self.current = settings
        self._file = file
        self._read = read
        self._stamp: Stamp | None = None
        """Of the file as it was read last; None when there was none, as a realm needs none."""
        self._read_again_at = float("-inf")
        """Monotonic time from which on an unchanged file is read all the same."""
        self._complaint = self._told = ""
        self._looking = threading.Lock()
        self.on_change: Callable[[Settings, Settings], None] = lambda before, after: None
        """Hears of other settings that are in force from now on; called in whatever thread has looked."""

    def refresh(self, now: float) -> str | None:
        """Look at the file, on the disk; returns what is wrong with it, once for each new fault. `now` is monotonic."""
        with self._looking:
            self._look_anew(now)
            is_new, self._told = self._complaint != self._told, self._complaint
            return self._complaint if self._complaint and is_new else None

    def newest(self, now: float) -> Settings:
        """The settings in force, after a look at the file; what is wrong with it is left to `refresh`."""
        with self._looking:
            self._look_anew(now)
            return self.current

    def _look_anew(self, now: float) -> None:
        stamp = self._look()
        if stamp == self._stamp and now < self._read_again_at:
            return  # small quests are claimed many times a second, and the check reads the whole journal
        complaint = self._take()
        while complaint and stamp != (stamp := self._look()):
            complaint = self._take()  # an editor was in the middle of writing it
        self._stamp = stamp
        self._read_again_at = now + INVALID_SECONDS if complaint else float("inf")
        self._complaint = complaint

    def _take(self) -> str:
        """Read the settings and put them in force, or say what is wrong with them."""
        try:
            fresh = self._read()
            if fresh.hyperparams.max_length != self.current.hyperparams.max_length:
                raise Conflict("hyperparams.max_length is locked while the realm runs.")
        except RealmError as error:
            return str(error)
        before, self.current = self.current, fresh
        if fresh != before:
            self.on_change(before, fresh)
        return ""

    def _look(self) -> Stamp | None:
        try:
            status = self._file.stat()  # of what a link leads to, as with `~/.dotfiles` and mounted config maps
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

"""Finds out whether the watch on the inbox still hears anything, and makes a new one when it does not.

Observers go deaf without a word: after remounts, when a queue overflows, for no reason at all, with all their threads
alive. So when it has been quiet for long, a hidden file is made and removed in the inbox, and that must be heard.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from arena.doorstep.inbox_watch import CANARY_NAME, InboxWatch
from core.mounts import mount_of

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0
"""Silence after which the canary is sent."""
ANSWER_SECONDS = 10.0
"""Time in which it must be heard; events of thousands of files may come before it."""
TRIES = 3
"""Watches that fail in a row before the realm goes on without one."""
AGAIN_SECONDS = 1800.0
"""After that, a new watch is tried so often."""

Tell = Callable[[str, str], None]
"""Adds an event of a kind, with a message, to the saga."""


class WatchKeeper:
    """Keeps one `InboxWatch`. `look` is to be called again and again; all of it blocks, so from a thread."""

    def __init__(self, root: Path, make_watch: Callable[[], InboxWatch], tell: Tell) -> None:
        """`make_watch` gives a watch on `root` that is not started yet."""
        self._canary = root / CANARY_NAME
        self._root = root
        self._make_watch = make_watch
        self._tell = tell
        self._watch: InboxWatch | None = None
        self._heard = 0
        self._heard_at = 0.0
        self._sent_at: float | None = None
        self._failures = 0
        self._start_at = float("-inf")
        self._is_new = True
        self._ended = False
        self._told = False
        """True once the realm has said that it goes on without a watch."""

    def _tell_of_network(self) -> None:
        """Say what is to be expected of this file system."""
        self._is_new = False
        mount = mount_of(self._root)
        if mount is not None and mount.is_network:
            logger.info(
                "%s lies on %s: what other machines put there raises no file system events and is found by scanning",
                self._root, mount.fs_type, extra={"event": "inbox_on_network", "fs_type": mount.fs_type},
            )  # fmt: skip

    def look(self, now: float) -> None:
        """Start, check, replace or give up the watch, as is due at monotonic time `now`."""
        if self._is_new:
            self._tell_of_network()
        watch = self._watch  # another thread may `stop` meanwhile
        if watch is None:
            if now >= self._start_at:
                self._start(now)
            return
        heard = watch.heard
        if heard != self._heard:
            self._heard, self._heard_at, self._sent_at = heard, now, None
            self._failures = 0
            if self._told:
                self._told = False
                self._say("inbox_watch_back", "File system events from the inbox come again")
        if not watch.is_alive():
            self._fail("its thread has ended", now)
        elif self._sent_at is not None and now - self._sent_at > ANSWER_SECONDS:
            self._fail("it does not hear what is written there", now)
        elif self._sent_at is None and now - self._heard_at > QUIET_SECONDS and self._send_canary():
            self._sent_at = now

    def stop(self) -> None:
        """End the watch for good, also one that a `look` in another thread is just starting; may be called twice."""
        self._ended = True
        self._drop()

    def _drop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

    def _start(self, now: float) -> None:
        watch = self._make_watch()
        trouble = watch.start()
        if trouble is not None:
            watch.stop()
            # The same will happen the next time: no use in trying at once.
            self._failures = TRIES
            self._give_up(trouble, now)
            return
        self._watch = watch
        if self._ended:
            self._drop()
        self._heard = 0
        # After a failure the new one is put to the test at once.
        self._heard_at = float("-inf") if self._failures or self._told else now
        self._sent_at = None

    def _fail(self, why: str, now: float) -> None:
        self._drop()
        self._failures += 1
        logger.info("the watch on %s failed: %s", self._root, why, extra={"event": "inbox_watch_failed"})
        if self._failures >= TRIES:
            self._give_up(why, now)

    def _give_up(self, why: str, now: float) -> None:
        self._start_at = now + AGAIN_SECONDS
        if not self._told:
            self._told = True
            self._say("inbox_watch_lost", f"No file system events come from the inbox ({why}); it is scanned instead")

    def _say(self, kind: str, message: str) -> None:
        logger.warning("%s", message, extra={"event": kind})
        self._tell(kind, message)

    def _send_canary(self) -> bool:
        """Make the hidden file and remove it again; False where that is not possible and so says nothing."""
        try:
            self._canary.touch()
            self._canary.unlink()
        except OSError:
            return False
        return True

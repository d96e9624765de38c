"""One process at a time: a lock file held by `flock` for as long as the process lives.

Idea: Home Assistant's `ensure_single_execution`. The kernel frees the lock when the holder dies, however it
dies, so there is no stale lock; the text in the file only tells people who holds it and is never believed.
The file is never unlinked: two processes could otherwise each lock a file of the same name.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.errors import Conflict, Unavailable
from core.files import read_json

POLL_SECONDS = 0.05

PROBE_GRACE_SECONDS = 0.3
"""`holder()` takes a shared lock for an instant; an `acquire` that meets it must not be refused for that."""


class InstanceLock:
    """The lock of one path. `acquire` it once at start and keep the object until the process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        return self._fd is not None

    def acquire(
        self,
        info: dict[str, Any],
        *,
        wait_seconds: float = 0.0,
        on_wait: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Take the lock and write `info` beside our pid and start time into the file.

        Blocks for up to `wait_seconds` while another process holds it; `on_wait` is called once with what the
        file says of that holder. Raises `Conflict` naming pid, start time, version and base directory.
        `info` should hold `version` and `base_dir`.
        """
        if self._fd is not None:
            raise Conflict(f"This process already holds {self.path}.")
        try:
            # os.open sets O_CLOEXEC: a child that outlives us must not keep the lock.
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise Unavailable(f"The lock file {self.path} cannot be opened: {error.strerror}.") from error
        try:
            self._lock(fd, wait_seconds, on_wait)
            _describe(fd, {"pid": os.getpid(), "started_at": datetime.now(UTC).isoformat(timespec="seconds"), **info})
        except BaseException:  # also Ctrl-C while waiting: the descriptor must not stay open
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Give the lock up; the file stays. Does nothing when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def holder(path: Path) -> dict[str, Any] | None:
        """What the living holder wrote about itself; None when nobody holds the lock, whatever the file says."""
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            said = read_json(path)
            return said if isinstance(said, dict) else {"pid": None}
        finally:
            os.close(fd)
        return None

    def _lock(self, fd: int, wait_seconds: float, on_wait: Callable[[dict[str, Any]], None] | None) -> None:
        begun = time.monotonic()
        told = False
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                waited = time.monotonic() - begun
            if waited > max(wait_seconds, PROBE_GRACE_SECONDS):
                raise self._conflict()
            if waited > PROBE_GRACE_SECONDS and on_wait is not None and not told:
                on_wait(self.holder(self.path) or {"pid": None})
                told = True
            time.sleep(POLL_SECONDS)

    def _conflict(self) -> Conflict:
        holder = self.holder(self.path) or {}
        place = holder.get("base_dir") or self.path
        return Conflict(
            f"{place} is in use by process {holder.get('pid') or 'unknown'}"
            f" (version {holder.get('version') or 'unknown'}, started {holder.get('started_at') or 'unknown'}).",
            hint="Stop it with `realm down`, or use another directory with `--base-dir`.",
            holder=holder,
        )


def _describe(fd: int, info: dict[str, Any]) -> None:
    """Write `info` over whatever an earlier holder left. A full disk does not stop us: the lock is what counts."""
    text = json.dumps(info, indent=2, default=str).encode()
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, text, 0)
    except OSError:
        return

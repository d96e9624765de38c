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

REALM_UP = "realm up"
"""What the control process writes as `what` into the lock of its base directory. Verbs that hold it for a moment, or
for as long as a model takes to be copied, write their own command line."""

VAULT_ALONE = "vault/server.py"
"""The same of the vault on a host where no realm runs."""

POLL_SECONDS = 0.05

PROBE_GRACE_SECONDS = 0.3
"""`holder()` takes a shared lock for an instant; an `acquire` that meets it must not be refused for that."""


class InstanceLock:
    """The lock of one path. `acquire` it once at start and keep the object until the process ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(
        self,
        info: dict[str, Any],
        *,
        wait_seconds: float = 0.0,
        on_wait: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        """Take the lock and write `info` beside our pid and start time into the file.

        Blocks for up to `wait_seconds` while another process holds it; `on_wait` is called once with what the
        file says of that holder. Raises `Conflict` naming pid, start time, base directory and what it does.
        `info` should hold `what` and `base_dir`, and that of a realm its `version`.
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

    @classmethod
    def refuse_if_held(cls, path: Path) -> None:
        """Raise the `Conflict` that `acquire` would raise now."""
        holder = cls.holder(path)
        if holder is not None:
            raise _conflict(path, holder)

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
                raise _conflict(self.path, self.holder(self.path) or {})
            if waited > PROBE_GRACE_SECONDS and on_wait is not None and not told:
                on_wait(self.holder(self.path) or {"pid": None})
                told = True
            time.sleep(POLL_SECONDS)


def living_realm(path: Path) -> dict[str, Any] | None:
    """What the realm says of itself that holds this lock; None when nobody does, or a verb that is no realm."""
    holder = InstanceLock.holder(path)
    return None if holder is None or verb_at_work(holder) else holder


def keeps_catalog(path: Path) -> bool:
    """Whether the holder of this lock keeps the catalog and serves the vault's API: a realm, or the vault alone."""
    holder = InstanceLock.holder(path)
    return holder is not None and verb_at_work(holder) in (None, VAULT_ALONE)


def verb_at_work(holder: dict[str, Any]) -> str | None:
    """The command line of a holder that is no realm, such as `realm rewind 100`."""
    what = holder.get("what")
    # One that has only just taken the lock has not said yet what it is: until then it counts as a realm.
    return what if isinstance(what, str) and what != REALM_UP else None


def _conflict(path: Path, holder: dict[str, Any]) -> Conflict:
    place, verb = holder.get("base_dir") or path, verb_at_work(holder)
    known = [f"`{verb}`"] if verb else [f"version {holder['version']}"] if holder.get("version") else []
    known.append(f"started {holder.get('started_at') or 'at an unknown time'}")
    return Conflict(
        f"{place} is in use by process {holder.get('pid') or 'unknown'} ({', '.join(known)}).",
        hint="Wait for its end." if verb else "Stop it with `realm down`, or use another directory with `--base-dir`.",
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

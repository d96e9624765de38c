"""Where a rehearsal takes place: a folder of its own, which is gone when it is over."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Unavailable
from core.instance import InstanceLock
from core.paths import RealmPaths

PREFIX = ".prove-resume-"


@contextmanager
def rehearsal_ground(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`; what killed rehearsals have left there goes first. Raises `Unavailable`."""
    try:
        _clear_away(parent)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        raise Unavailable(f"No folder can be made in {parent}: {error.strerror}.") from error
    lock = InstanceLock(RealmPaths(folder).lock)
    try:
        lock.acquire({"what": "realm prove-resume", "base_dir": str(folder)})
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def _clear_away(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        # The trainer of a rehearsal that was killed goes on for as long as it takes to save.
        locks = [RealmPaths(folder).lock, *folder.glob("*/current_model/.lock")]
        if not any(InstanceLock.holder(lock) for lock in locks):
            shutil.rmtree(folder, ignore_errors=True)

"""Standing still: nobody else works on a base directory while its model is changed, and nothing is left half done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from arena.annals.turning import finish_turn, is_turning
from core.errors import Conflict, Unavailable
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.saga import Saga

logger = logging.getLogger(__name__)

WAIT_SECONDS = 2.0


@contextmanager
def standing_still(paths: RealmPaths, doing: str) -> Iterator[None]:
    """Hold the locks of the realm and of the model, with whatever was cut off before finished.

    `doing` is the command line behind `realm`, for whoever meets the locks.

    Raises `Conflict` naming who works on either, and `Unavailable` when the disk refuses.
    """
    paths.create()
    realm = InstanceLock(paths.lock)
    realm.acquire({"what": f"realm {doing}", "base_dir": str(paths.base)}, wait_seconds=WAIT_SECONDS)
    try:
        with model_at_rest(paths, doing):
            yield
    finally:
        realm.release()


def finish_what_was_begun(paths: RealmPaths, saga: Saga | None = None) -> None:
    """A rewind, an adoption or a change of heroes that was cut off is finished, before a realm starts to work on it.

    The caller holds the realm's lock. `saga` is that of a realm that is up. Raises as `standing_still` does.
    """
    if is_turning(paths) or paths.hero_change.exists():
        with model_at_rest(paths, "finishing what was cut off", saga):
            return


@contextmanager
def model_at_rest(paths: RealmPaths, doing: str, saga: Saga | None = None) -> Iterator[None]:
    """Hold the lock of the model, with whatever was cut off before finished; the caller holds the realm's.

    `saga` is that of a realm that is up. Raises as `standing_still` does.
    """
    # It brings in what writes settings; a realm that starts, with nothing to be finished, does not wait for it.
    from arena.hall.changing import finish_change

    # Missing after a change of heroes that was cut off between two renames.
    paths.current_model.mkdir(exist_ok=True)
    lock = InstanceLock(paths.current_model / ".lock")
    try:
        lock.acquire({"what": doing}, wait_seconds=WAIT_SECONDS)
    except Conflict as error:
        pid = error.details.get("holder", {}).get("pid") or "unknown"
        raise Conflict(
            f"A trainer (process {pid}) still works on {paths.current_model}.",
            hint="It saves and ends by itself; try again in a minute.",
        ) from error
    try:
        for finished in (finish_turn(paths, saga=saga), finish_change(paths)):
            if finished is not None:
                logger.warning("finished what was cut off: %s", finished, extra={"event": "turn_finished"})
        yield
    except OSError as error:
        raise Unavailable(
            f"The disk refused: {error}.", hint="What was begun is finished by the next start, or did not happen."
        ) from error
    finally:
        lock.release()

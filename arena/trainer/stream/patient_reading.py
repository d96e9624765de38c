"""Reading what a quest needs from a disk that may fail: waited out warm, as no quest is to blame for its disk (A28)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from arena.protocol import Trouble
from arena.supervision.position_file import Phase
from arena.trainer.situation import LOOK_SECONDS, Situation

LONGEST_PAUSE_SECONDS = 10.0
"""Between two tries: a file may have to be read anew for gigabytes before the bad place comes."""

T = TypeVar("T")


def read_patiently(
    situation: Situation,
    read: Callable[[], T],
    quest_id: str,
    file: Path | None = None,
    *,
    phase: Phase = Phase.PREPARING,
) -> T | None:
    """What `read` returns, once the disk lets it; None when a stop comes first.

    `phase` is noted meanwhile: by it, a death is charged to the quest that the position names, or to none.
    Raises `FileNotFoundError` when `file` alone is gone. Where its lane is gone too, so is the disk, and it is waited.
    """
    pause, told = LOOK_SECONDS, False
    while True:
        situation.note(phase)
        situation.tell("preparing", quest_id)
        try:
            return read()
        except OSError as error:
            if file is not None and isinstance(error, FileNotFoundError) and file.parent.is_dir():
                raise
            reason = f"{error.filename or file or 'the model'} cannot be read: {error.strerror or error}"
        situation.note(Phase.WAITING)
        situation.tell("paused", quest_id, reason=f"disk: {reason}")
        if not told:
            message = f"Training waits for the disk: {reason}"
            situation.link.send(Trouble(what="quest_unreadable", message=message, quest_id=quest_id))
            told = True
        situation.orders.wait(pause)
        if situation.orders.stop_reason is not None:
            return None
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

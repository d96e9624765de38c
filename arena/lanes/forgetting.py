"""Deletes what a lane of ended quests may not keep any more (law 9, failure A20)."""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple

from arena.lanes.moves import LaneMover
from arena.lanes.reading import LaneReader, stamp_of
from arena.lanes.retention import Ended, LaneBudget, finished_at, surplus
from arena.quests import QuestRecord


class Forgotten(NamedTuple):
    """A quest whose file was deleted."""

    name: str
    finished_at: datetime
    record: QuestRecord | None


def forget_surplus(
    lane: str,
    budget: LaneBudget,
    reader: LaneReader,
    mover: LaneMover,
    lock: AbstractContextManager[bool],
    *,
    now: datetime,
    needed: Callable[[], Container[str]],
) -> tuple[list[Forgotten], OSError | None]:
    """See `QuestBoard.forget`; holds the board's lock for one file at a time, as there may be thousands."""
    with lock:
        files = {file.path: file for file in reader.files(lane)}
        records = {path: reader.peek(lane, file.name) for path, file in files.items()}
        ended = [Ended(path, finished_at(records[path], path), file.size) for path, file in files.items()]
    gone: list[Forgotten] = []
    stuck = None
    going = surplus(ended, budget, now=now)
    stays: Container[str] = needed() if going else ()
    for quest in going:
        record = records[quest.path]
        if record is not None and record.quest_id in stays:
            continue
        try:
            with lock:
                # Retried and failed once more in between, it is another file under the old name.
                if stamp_of(quest.path) == files[quest.path].stamp:
                    mover.files.unlink(quest.path)
                    gone.append(Forgotten(quest.path.name, quest.finished_at, record))
                    mover.drop_sidecar(quest.path)
        except OSError as error:
            stuck = error
    return gone, stuck

"""Whether the data of a quest are still there, and where: asked before learning goes back to where they are needed
again, and when a quest is taken up that is gone from where it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

from arena.lanes.reading import OPEN_LANES, LaneReader
from core.paths import LANES, RealmPaths


def data_at_hand(paths: RealmPaths, data_file: Callable[[str], Path | None]) -> Callable[[str], bool]:
    """Tells of a quest, by its id, whether it lies in a lane now, or where `data_file` says that it did.

    The lanes are read once, at the first question that needs them.
    """

    @cache
    def in_lanes() -> set[str]:
        lanes = LaneReader(paths)
        return {record.quest_id for lane in LANES for _, record in lanes.records(lane)}

    def has_data(quest_id: str) -> bool:
        file = data_file(quest_id)
        return (file is not None and file.exists()) or quest_id in in_lanes()

    return has_data


def quest_file(paths: RealmPaths, quest_id: str, *, begun: bool) -> Path | None:
    """Where the data of a quest lie now; None when they are nowhere.

    Of one that was `begun` all lanes are looked at, also those of quests that are over: it is learned from whatever is
    at hand. Of another one, a file that was moved to `failed/` is not to be learned.
    """
    reader = LaneReader(paths)
    lanes = LANES if begun else OPEN_LANES
    found = (file.path for lane in lanes for file, record in reader.records(lane) if record.quest_id == quest_id)
    return next(found, None)

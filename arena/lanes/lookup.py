"""Finds the data file that somebody means: by the id of its quest, or by its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from arena.lanes.reading import LaneReader, stamp_of
from arena.quest_names import is_quest_name
from arena.quests import QUEST_ID
from core.errors import InvalidInput
from core.paths import PRIORITIES

SEARCH_ORDER = ("processing", "awaiting_seal", *PRIORITIES, "failed", "recently_completed")
"""All lanes, from what is learned now to what was."""


def candidates(reader: LaneReader, name_or_id: str, lanes: Sequence[str]) -> Iterator[Path]:
    """Every data file in these lanes that may be meant, the likeliest first. Raises `InvalidInput` for no such name."""
    if QUEST_ID.fullmatch(name_or_id):
        for lane in lanes:
            for file in reader.files(lane):
                record = reader.peek(lane, file.name)
                if record is not None and record.quest_id == name_or_id:
                    yield file.path
        return
    if "/" in name_or_id or "\0" in name_or_id or not is_quest_name(name_or_id) or name_or_id[0] == ".":
        raise InvalidInput(
            f"{name_or_id!r} is neither a quest id nor the name of a quest file.",
            hint="`realm quest list` shows both.",
        )
    for lane in lanes:
        path = reader.paths.lane(lane) / name_or_id
        if stamp_of(path) is not None:
            yield path
    # People know a completed quest by the name under which they dropped it; of several, the newest is meant.
    for lane in lanes:
        for file in reversed(reader.files(lane)):
            record = reader.peek(lane, file.name)
            if record is not None and file.name != name_or_id == record.original_name:
                yield file.path

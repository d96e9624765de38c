"""Parts of lanes, as pages show them: of thousands of quests, only those of the part are looked at."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from arena.lanes.reading import DataFile, LaneReader
from arena.quests import QuestRecord
from core.paths import PRIORITIES

MEASURED = 16
"""Quests of a lane whose proofs tell how many tokens a byte is worth."""


class Shown(NamedTuple):
    """A file as it lies in its lane."""

    lane: str
    file: DataFile
    record: QuestRecord | None
    """For looking only; None before the gates have seen the file."""
    ahead: int
    """Of one that waits: how many come before it."""
    bytes_ahead: int


@dataclass(frozen=True)
class LanePage:
    """A part of one lane."""

    lane: str
    total: int
    shown: list[Shown]


def page_of(lanes: LaneReader, lane: str, offset: int, limit: int) -> LanePage:
    """The files of a lane from the one at `offset` on, in the order in which they are claimed."""
    files = lanes.files(lane)
    ahead = bytes_ahead = 0
    if lane in PRIORITIES:
        before = [file for higher in PRIORITIES[: PRIORITIES.index(lane)] for file in lanes.files(higher)]
        ahead = len(before) + min(offset, len(files))
        bytes_ahead = sum(file.size for file in before) + sum(file.size for file in islice(files, offset))
    shown = []
    for file in files[offset : offset + limit]:
        shown.append(Shown(lane, file, lanes.peek(lane, file.name), ahead, bytes_ahead))
        ahead, bytes_ahead = ahead + 1, bytes_ahead + file.size
    return LanePage(lane, len(files), shown)


def likely_measured(lanes: LaneReader) -> list[tuple[QuestRecord, int]]:
    """Records with the sizes of their files: what is learned now, what was learned last, and what is next."""
    recent = [(lane, file) for lane in ("processing", "awaiting_seal", "recently_completed")
              for file in lanes.files(lane)[-MEASURED:]]  # fmt: skip
    coming = [(lane, file) for lane in PRIORITIES for file in lanes.files(lane)[:MEASURED]]
    found = ((lanes.known(lane, file.name), file.size) for lane, file in recent + coming)
    return [(record, size) for record, size in found if record is not None]

"""The quests that are over, newest first: completed, failed, skipped, and removed by people.

There may be 100 000 of them. When a completed one ended stands in its file's name, so that no sidecar is read for the
order; only of the entries that are shown the records are looked at. Of files that are deleted the saga tells on.
"""

from __future__ import annotations

import heapq
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal, NamedTuple

from arena.lanes.reading import DataFile, LaneReader
from arena.lanes.retention import finished_at
from arena.quest_board import QuestBoard
from arena.reading_room.lane_pages import Shown
from arena.reading_room.parting import REMOVED, forgotten_quests
from core.saga import Event, Saga

Ending = Literal["completed", "failed", "skipped", "removed"]
FALLEN: tuple[Ending, ...] = ("failed", "skipped")

MOST_REMOVED = 1000
"""Removals that are looked for in the saga."""
MOST_FORGOTTEN = 1000
"""The same of quests that were past their days or size."""
_SEALED_AT = re.compile(r"_(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)(?:_\d+)?\.jsonl$")


class Ended(NamedTuple):
    """Something that is over, as far as its place in the order tells."""

    at: float
    """Unix time."""
    name: str
    ending: Ending
    kept: Mapping[str, Any] | None = None
    """Of one that lies in no lane any more: what the saga keeps of it."""


@dataclass(frozen=True)
class EndedPage:
    """A part of the history."""

    total: int
    totals: dict[str, int]
    """By ending; of the removals also those that are too old to be among the entries."""
    entries: list[tuple[Ended, Shown | None]]
    """The file is None for what is not there any more."""


class EndedQuests:
    """One per realm; thread-safe."""

    def __init__(self, board: QuestBoard, saga: Saga) -> None:
        self._board = board
        self._saga = saga
        self._lock = threading.Lock()
        self._sealed: dict[str, Ended] = {}
        self._order: list[Ended] = []
        """The completed ones, oldest first; kept, as they are the many."""

    def page(self, ending: Ending | None, offset: int, limit: int) -> EndedPage:
        """The entries of one kind, or of all, from the one at `offset` on."""
        files, failed = self._board.look(_both_lanes)
        with self._lock:
            completed = self._in_order(files)
        removals = self._saga.find_events(limit=MOST_REMOVED, kinds=[REMOVED])
        forgotten = sorted(map(_forgotten, forgotten_quests(self._saga, MOST_FORGOTTEN)), key=_place)
        runs: list[tuple[Ending, list[Ended]]] = [
            ("completed", completed),
            ("removed", [_removed(event) for event in reversed(removals)]),
        ]
        runs += [(kind, [each for each in failed if each.ending == kind]) for kind in FALLEN]
        runs += [(kind, [each for each in forgotten if each.ending == kind]) for kind in ("completed", *FALLEN)]
        totals: dict[str, int] = {kind: sum(len(run) for each, run in runs if each == kind) for kind, _ in runs}
        wanted = [run for kind, run in runs if ending in (None, kind)]
        newest_first = heapq.merge(*map(reversed, wanted), key=_place, reverse=True)
        part = list(islice(newest_first, offset, offset + limit))
        entries = self._board.look(lambda lanes: [(each, _shown(lanes, each)) for each in part])
        if len(removals) >= MOST_REMOVED:
            totals["removed"] = self._saga.count_by_kind().get(REMOVED, 0)
        return EndedPage(sum(map(len, wanted)), totals, entries)

    def _in_order(self, files: list[DataFile]) -> list[Ended]:
        names = {file.name for file in files}
        if names != self._sealed.keys():
            new = [file for file in files if file.name not in self._sealed]
            self._sealed = {name: each for name, each in self._sealed.items() if name in names}
            self._sealed |= {file.name: Ended(_sealed_at(file), file.name, "completed") for file in new}
            self._order = sorted(self._sealed.values())
        return self._order


def _both_lanes(lanes: LaneReader) -> tuple[list[DataFile], list[Ended]]:
    failed = []
    for file in lanes.files("failed"):
        record = lanes.known("failed", file.name)
        ending = _ending(record.outcome if record is not None else None)
        failed.append(Ended(finished_at(record, file.path).timestamp(), file.name, ending))
    return lanes.files("recently_completed"), sorted(failed)


def _sealed_at(file: DataFile) -> float:
    """When a quest was completed, from the local time in its name; its mtime where somebody has renamed it."""
    found = _SEALED_AT.search(file.name)
    if found is not None:
        year, month, day, hour, minute, second = map(int, found.groups())
        try:
            return time.mktime((year, month, day, hour, minute, second, 0, 0, -1))
        except (ValueError, OverflowError):  # a name that only looks so
            pass
    return file.mtime_ns / 1e9


def _removed(event: Event) -> Ended:
    kept = event.data or {}
    file = kept.get("file")
    name = file if isinstance(file, str) else event.message.removesuffix(": remove")
    return Ended(datetime.fromisoformat(event.at).timestamp(), name, "removed", kept)


def _forgotten(kept: Mapping[str, Any]) -> Ended:
    ending: Ending = "completed" if kept["lane"] == "recently_completed" else _ending(kept.get("outcome"))
    return Ended(datetime.fromisoformat(kept["ended_at"]).timestamp(), kept["file"], ending, kept)


def _ending(outcome: object) -> Ending:
    """Of what lies in `failed/`, or lay there."""
    return "skipped" if outcome == "skipped" else "failed"


def _place(ended: Ended) -> tuple[float, str]:
    return ended.at, ended.name


def _shown(lanes: LaneReader, ended: Ended) -> Shown | None:
    if ended.kept is not None:
        return None
    lane = "recently_completed" if ended.ending == "completed" else "failed"
    file = lanes.file(lane, ended.name)
    return None if file is None else Shown(lane, file, lanes.peek(lane, ended.name), 0, 0)


def ended_at(ended: Ended) -> str:
    return datetime.fromtimestamp(ended.at, UTC).isoformat()

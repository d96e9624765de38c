"""Reads the lanes: which data files lie in each and which quest record belongs to which file.

What lies where is kept by `arena.lanes.listing`; records are cached by the identity of their sidecar (inode, size,
mtime), so that ten thousand waiting files are not read again at every look.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from arena.lanes.listing import DataFile, LaneListing, LaneNames, Stamp, scan_folder, stamp_at
from arena.quest_names import DATA_SUFFIX, REPORT_SUFFIX
from arena.quests import SIDECAR_SUFFIX, Quest, QuestRecord, read_lineage, read_sidecar, sidecar_of
from core.finite import finite
from core.paths import LANES, PRIORITIES, RealmPaths

__all__ = ["DATA_SUFFIX", "REPORT_SUFFIX", "DataFile", "LaneNames", "LaneReader", "Stamp", "scan_folder"]

OPEN_LANES = (*PRIORITIES, "processing", "awaiting_seal")
"""Lanes of quests that are not over; a name is unique among them."""

CLAIMED_LANES = ("processing", "awaiting_seal")
"""Lanes of quests that the trainer has or had, and no checkpoint covers yet."""

MOVED_FROM = "moved_from"
"""Sidecar key with which a move can be finished after a crash: `{path, quest_id}` of the place the file came from, and
for one from the inbox its stamp and that of the sidecar beside it."""

MAX_DROPPED_SIDECAR = 1 << 20
MAX_LINEAGE_DEPTH = 50
"""Lineage nested deeper than this is not kept: copying it could exhaust the stack."""


@dataclass(frozen=True)
class Original:
    """A packed file whose rows become a quest in its place."""

    path: Path
    content_hash: str
    stamp: Stamp | None = None
    """Which file of that name it was, where that is known."""


@dataclass(frozen=True)
class Mark:
    """Where the data file of a sidecar came from, and what its quest was called there."""

    source: Path
    quest_id: str | None
    original: Original | None = None
    stamp: Stamp | None = None
    """Which file of the inbox `dropped` was; None where that is not known."""
    sidecar: Stamp | None = None
    """Which sidecar lay beside it there; None where that is not known."""

    @property
    def dropped(self) -> Path:
        """The name under which people knew the file."""
        return self.original.path if self.original else self.source


class LaneReader:
    """What lies in the lanes. Not thread-safe: its owner holds a lock."""

    def __init__(self, paths: RealmPaths) -> None:
        self.paths = paths
        self._folders = {lane: str(paths.lane(lane)) for lane in LANES}
        self._lanes = {folder: lane for lane, folder in self._folders.items()}
        self._listings = {lane: LaneListing(paths.lane(lane)) for lane in LANES}
        self._records: dict[str, dict[str, tuple[Stamp, QuestRecord | None]]] = {lane: {} for lane in LANES}
        self._looked_at: dict[str, set[str]] | None = None
        """Inside `steady`: names whose sidecars were looked at, by lane."""

    def names(self, lane: str) -> LaneNames:
        """Names of the data files and of the sidecars."""
        return self._listings[lane].names()

    def files(self, lane: str) -> list[DataFile]:
        """The data files of a lane, oldest first by (mtime, name)."""
        found = self._listings[lane].files()
        cache = self._records[lane]
        if len(cache) > 2 * len(found) + 64:
            present = {file.name for file in found}
            self._records[lane] = {name: cached for name, cached in cache.items() if name in present}
        return found

    def file(self, lane: str, name: str) -> DataFile | None:
        """The data file of that name in a lane."""
        return self._listings[lane].file(name)

    def note(self, data_file: Path) -> None:
        """Look again at this data file and its sidecar: the realm itself has just changed them."""
        folder, name = os.path.split(data_file)
        lane = self._lanes.get(folder)
        if lane is not None:
            self._listings[lane].note(name)
            self._records[lane].pop(name, None)
            if self._looked_at is not None:
                self._looked_at[lane].discard(name)

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Look at everything afresh, once: inside, only the realm's own changes count. For one sweep."""
        for listing in self._listings.values():
            listing.forget()
        self._looked_at = {lane: set() for lane in LANES}
        try:
            yield
        finally:
            self._looked_at = None

    def quests(self, lane: str) -> Iterator[Quest]:
        """The quests of a lane, oldest first; files without a record are left out."""
        for file in self.files(lane):
            record = self.record(file.path)
            # In a large lane a file may have been moved away by hand since the lane was read.
            if record is not None and os.path.lexists(file.path):
                yield Quest(file.path, record)

    def records(self, lane: str) -> Iterator[tuple[DataFile, QuestRecord]]:
        """Like `quests`, without copies: for looking only."""
        for file in self.files(lane):
            record = self.peek(lane, file.name)
            if record is not None:
                yield file, record

    def record(self, data_file: Path) -> QuestRecord | None:
        """A copy of the record beside `data_file`; None without a well-formed one."""
        record = self.peek(data_file.parent.name, data_file.name)
        if record is None:
            return None
        lineage = {key: deepcopy(value) for key, value in record.lineage.items() if key != MOVED_FROM}
        return replace(record, strikes=list(record.strikes), lineage=lineage)

    def peek(self, lane: str, name: str) -> QuestRecord | None:
        """The cached record itself, with the mark of its last move: for looking only."""
        cache = self._records[lane]
        cached = cache.get(name)
        if self._looked_at is not None:
            if name in self._looked_at[lane]:
                return cached[1] if cached is not None else None
            self._looked_at[lane].add(name)
        stamp = stamp_at(f"{self._folders[lane]}/{name}{SIDECAR_SUFFIX}")
        if stamp is None:
            cache.pop(name, None)
            return None
        if cached is None or cached[0] != stamp:
            cached = cache[name] = (stamp, read_record(self.paths.lane(lane) / name))
        return cached[1]

    def known(self, lane: str, name: str) -> QuestRecord | None:
        """`peek` for numbers over thousands: a sidecar edited by hand counts from the next sweep on."""
        cached = self._records[lane].get(name)
        return self.peek(lane, name) if cached is None else cached[1]

    def outcomes(self, lane: str) -> Counter[str | None]:
        """How the quests of a lane ended, counted from what is `known`."""
        records = (self.known(lane, file.name) for file in self.files(lane))
        return Counter(record.outcome for record in records if record is not None)

    def mark(self, data_file: Path) -> Mark | None:
        """The mark of the last move to `data_file`."""
        record = self.peek(data_file.parent.name, data_file.name) if self.is_in_lane(data_file) else None
        said = (read_raw(data_file) if record is None else record.lineage).get(MOVED_FROM)
        if not isinstance(said, dict):
            return None
        source = self._place(said.get("path"))
        if source is None or source == data_file:
            return None
        quest_id, packed, original = said.get("quest_id"), said.get("original"), None
        if isinstance(packed, dict) and (place := self._place(packed.get("path"))):
            original = Original(place, str(packed.get("content_hash")))
        stamps = [_stamp_said(said.get(key)) for key in ("stamp", "sidecar")]
        return Mark(source, quest_id if isinstance(quest_id, str) else None, original, *stamps)

    def _place(self, said: Any) -> Path | None:
        """The path that a mark names; None unless it lies in `inbox/` or `queue/`."""
        if not isinstance(said, str) or "\0" in said:
            return None
        place = self.paths.base / said
        inside = any(place.is_relative_to(root) for root in (self.paths.inbox, self.paths.queue))
        return place if inside and ".." not in place.parts else None

    def is_in_lane(self, data_file: Path) -> bool:
        return data_file.parent.parent == self.paths.queue and data_file.parent.name in LANES


def read_record(data_file: Path) -> QuestRecord | None:
    """`read_sidecar` that also refuses fields of a wrong type: people edit sidecars by hand."""
    try:
        record = read_sidecar(data_file)
        if record is None or record.priority not in PRIORITIES or not _is_shallow(record.lineage):
            return None
        fields = {**vars(record), "strikes": [vars(strike) for strike in record.strikes]}
        msgspec.convert(fields, QuestRecord)
    except (TypeError, AttributeError, RecursionError, msgspec.ValidationError):
        return None
    return record


def read_raw(data_file: Path) -> dict[str, Any]:
    """The sidecar beside a file as it stands; `{}` when there is none that can be read."""
    try:
        return read_lineage(data_file)
    except RecursionError:
        return {}


def lineage_beside(data_file: Path) -> dict[str, Any]:
    """What a user or generator wrote beside a file; a sidecar that cannot be used is told as `sidecar_error`."""
    sidecar = sidecar_of(data_file)
    stamp = stamp_of(sidecar)
    if stamp is None:
        return {"sidecar_error": "not a regular file"} if os.path.lexists(sidecar) else {}
    if stamp[1] > MAX_DROPPED_SIDECAR:
        return {"sidecar_error": f"larger than {MAX_DROPPED_SIDECAR} bytes"}
    found = read_raw(data_file)
    if not found or not _is_shallow(found):
        return {"sidecar_error": "not a JSON object of reasonable depth"}
    return {key: finite(value) for key, value in found.items()}


def _stamp_said(value: Any) -> Stamp | None:
    is_stamp = isinstance(value, list) and len(value) == 3 and all(type(number) is int for number in value)
    return (value[0], value[1], value[2]) if is_stamp else None


def _is_shallow(value: Any, levels: int = MAX_LINEAGE_DEPTH) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(_is_shallow(inner, levels - 1) for inner in value.values())
    if isinstance(value, list):
        return levels > 0 and all(_is_shallow(inner, levels - 1) for inner in value)
    return True


def content_hash(path: Path) -> str:
    """BLAKE3 of a file, hex. Read, not mapped: a mapped file that someone cuts short kills the process."""
    hasher = blake3(max_threads=blake3.AUTO)
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            hasher.update(chunk)
    return hasher.hexdigest()


def hash_or_none(path: Path) -> str | None:
    try:
        return content_hash(path)
    except (FileNotFoundError, IsADirectoryError):
        return None


def hash_if_allowed(stray: Path) -> str | None:
    try:
        return hash_or_none(stray)
    except PermissionError:  # somebody else's file, which must not keep the realm from starting
        return None


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a regular file; None when there is none."""
    return stamp_at(path)

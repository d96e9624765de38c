"""Reads the lanes: which data files lie in each and which quest record belongs to which file.

One scan of a lane costs one `scandir`; records are cached by the identity of their sidecar (inode, size, mtime),
so that ten thousand waiting files are not read again at every look.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any, NamedTuple

import msgspec
from blake3 import blake3

from arena.quests import SIDECAR_SUFFIX, Quest, QuestRecord, read_lineage, read_sidecar, sidecar_of
from core.finite import finite
from core.paths import LANES, PRIORITIES, RealmPaths

DATA_SUFFIX = ".jsonl"
REPORT_SUFFIX = ".rejection.json"
OPEN_LANES = (*PRIORITIES, "processing", "awaiting_seal")
"""Lanes of quests that are not over; a name is unique among them."""

MOVED_FROM = "moved_from"
"""Sidecar key with which a move can be finished after a crash: `{path, quest_id}` of the place the file came from."""

MAX_DROPPED_SIDECAR = 1 << 20
MAX_LINEAGE_DEPTH = 50
"""Lineage nested deeper than this is not kept: copying it could exhaust the stack."""

Stamp = tuple[int, int, int]
"""Identity of one version of a file: inode, size, mtime in ns."""


class DataFile(NamedTuple):
    """A `.jsonl` file in a lane; sorts by age, then name. Small, as there may be ten thousand of them."""

    mtime_ns: int
    name: str
    stamp: Stamp
    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def size(self) -> int:
        return self.stamp[1]


@dataclass(frozen=True)
class Mark:
    """Where the data file of a sidecar came from, and what its quest was called there."""

    source: Path
    quest_id: str | None


@dataclass(frozen=True)
class LaneNames:
    """Names in one lane: data files, and the data files that the sidecars there are for."""

    data: frozenset[str]
    sidecars: frozenset[str]


class LaneReader:
    """What lies in the lanes. Not thread-safe: its owner holds a lock."""

    def __init__(self, paths: RealmPaths) -> None:
        self.paths = paths
        self._folders = {lane: str(paths.lane(lane)) for lane in LANES}
        self._records: dict[str, dict[str, tuple[Stamp, QuestRecord | None]]] = {lane: {} for lane in LANES}

    def names(self, lane: str) -> LaneNames:
        """Names only, without a `stat` per file."""
        return names_in(self.paths.lane(lane))

    def files(self, lane: str) -> list[DataFile]:
        """The data files of a lane, oldest first by (mtime, name)."""
        folder = self.paths.lane(lane)
        found = []
        for entry in scan_folder(folder):
            name = entry.name
            if name.endswith(DATA_SUFFIX) and name[0] != "." and entry.is_file(follow_symlinks=False):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                found.append(DataFile(status.st_mtime_ns, name, _stamp(status), folder))
        cache = self._records[lane]
        if len(cache) > 2 * len(found) + 64:
            present = {file.name for file in found}
            self._records[lane] = {name: cached for name, cached in cache.items() if name in present}
        return sorted(found)

    def quests(self, lane: str) -> Iterator[Quest]:
        """The quests of a lane, oldest first; files without a record are left out."""
        for file in self.files(lane):
            record = self.record(file.path)
            if record is not None:
                yield Quest(file.path, record)

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
        stamp = _stamp_at(f"{self._folders[lane]}/{name}{SIDECAR_SUFFIX}")
        if stamp is None:
            cache.pop(name, None)
            return None
        cached = cache.get(name)
        if cached is None or cached[0] != stamp:
            cached = cache[name] = (stamp, read_record(self.paths.lane(lane) / name))
        return cached[1]

    def mark(self, data_file: Path) -> Mark | None:
        """The mark of the last move to `data_file`; only places in `inbox/` and `queue/` count."""
        record = self.peek(data_file.parent.name, data_file.name) if self.is_in_lane(data_file) else None
        said = (read_raw(data_file) if record is None else record.lineage).get(MOVED_FROM)
        if not isinstance(said, dict) or not isinstance(said.get("path"), str):
            return None
        source = self.paths.base / said["path"]
        inside = any(source.is_relative_to(root) for root in (self.paths.inbox, self.paths.queue))
        if not inside or ".." in source.parts or "\0" in said["path"] or source == data_file:
            return None
        quest_id = said.get("quest_id")
        return Mark(source, quest_id if isinstance(quest_id, str) else None)

    def is_in_lane(self, data_file: Path) -> bool:
        return data_file.parent.parent == self.paths.queue and data_file.parent.name in LANES


def names_in(folder: Path) -> LaneNames:
    """Names of the data files (regular ones, not hidden) and of the sidecars in a folder."""
    data, sidecars = set(), set()
    for entry in scan_folder(folder):
        if entry.name.startswith("."):
            continue
        if entry.name.endswith(DATA_SUFFIX):
            if entry.is_file(follow_symlinks=False):
                data.add(entry.name)
        elif entry.name.endswith(DATA_SUFFIX + SIDECAR_SUFFIX):
            sidecars.add(entry.name.removesuffix(SIDECAR_SUFFIX))
    return LaneNames(frozenset(data), frozenset(sidecars))


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


def stamp_of(path: Path) -> Stamp | None:
    """The stamp of a regular file; None when there is none."""
    return _stamp_at(str(path))


def _stamp_at(path: str) -> Stamp | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return _stamp(status) if S_ISREG(status.st_mode) else None


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def scan_folder(folder: Path) -> list[os.DirEntry[str]]:
    """All entries of a folder; none when someone deleted it (the next move makes it again)."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []

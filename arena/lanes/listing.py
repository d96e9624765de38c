"""What lies in one lane: read from its directory, and kept for as long as that holds.

Ten thousand files take 40 ms to list, and a realm asks several times a second. A listing holds while the directory's
own time stands still, for then nothing came or went. A large one also holds for a moment after that: the realm's own
moves are noted in it at once, so that only a move by hand waits to be seen, for two seconds in a lane of ten thousand.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from arena.quest_names import is_quest_name
from arena.quests import SIDECAR_SUFFIX

SMALL_LANE = 200
"""Entries up to which a changed directory is read again at every look: that costs less than a millisecond."""

READING_SHARE = 0.005
"""Part of the time that reading a large lane again and again may take."""

LONGEST_LAG_SECONDS = 20.0

CALM_NS = 2_000_000_000
"""Age from which a directory's time tells every later change; until then, one may bear the same time (FAT: 2 s)."""

Stamp = tuple[int, int, int]
"""Identity of one version of a file: inode, size, mtime in ns."""


class DataFile(NamedTuple):
    """A quest file in a lane; sorts by age, then name. Small, as there may be ten thousand of them."""

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
class LaneNames:
    """Names in one lane: data files, and the data files that the sidecars there are for."""

    data: frozenset[str]
    sidecars: frozenset[str]


class LaneListing:
    """The listing of one lane. Not thread-safe: its owner holds a lock."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._path = str(folder)
        self._clock = clock
        self._files: dict[str, DataFile] = {}
        self._order: list[DataFile] = []
        self._sidecars: set[str] = set()
        self._names: LaneNames | None = None
        self._directory: tuple[int, int] | None = None
        """Inode and mtime of the directory when it was read; None when it must be read again."""
        self._is_calm = False
        self._holds_until = float("-inf")

    def files(self) -> list[DataFile]:
        """The data files, oldest first by (mtime, name)."""
        self._refresh()
        return list(self._order)

    def file(self, name: str) -> DataFile | None:
        """The data file of that name."""
        self._refresh()
        return self._files.get(name)

    def names(self) -> LaneNames:
        self._refresh()
        if self._names is None:
            self._names = LaneNames(frozenset(self._files), frozenset(self._sidecars))
        return self._names

    def note(self, name: str) -> None:
        """Look again at this data file and its sidecar: the realm itself has just changed them."""
        if self._directory is None:
            return
        self._names = None
        known = self._files.pop(name, None)
        if known is not None:
            del self._order[bisect_left(self._order, known)]
        found = self._look_at(name) if _is_data(name) else None
        if found is not None:
            self._files[name] = found
            insort(self._order, found)
        self._sidecars.discard(name)
        if os.path.lexists(f"{self._path}/{name}{SIDECAR_SUFFIX}"):
            self._sidecars.add(name)

    def forget(self) -> None:
        """Read the directory at the next look, whatever its time says."""
        self._directory = None

    def _refresh(self) -> None:
        directory = self._stat_directory()
        if self._directory is not None:
            if directory == self._directory and self._is_calm:
                return
            if self._clock() < self._holds_until:
                return
        self._read(directory)

    def _read(self, directory: tuple[int, int]) -> None:
        begun = self._clock()
        self._names = None
        self._directory = directory
        self._is_calm = time.time_ns() - directory[1] > CALM_NS
        files, sidecars = {}, set()
        for entry in scan_folder(self._folder):
            name = entry.name
            if name.endswith(SIDECAR_SUFFIX):
                if _is_data(name.removesuffix(SIDECAR_SUFFIX)):
                    sidecars.add(name.removesuffix(SIDECAR_SUFFIX))
            elif _is_data(name) and entry.is_file(follow_symlinks=False):
                found = self._look_at(name)
                if found is not None:
                    files[name] = found
        self._files, self._sidecars = files, sidecars
        self._order = sorted(files.values())
        lag = 0.0 if len(files) + len(sidecars) <= SMALL_LANE else (self._clock() - begun) / READING_SHARE
        self._holds_until = self._clock() + min(lag, LONGEST_LAG_SECONDS)

    def _look_at(self, name: str) -> DataFile | None:
        stamp = stamp_at(f"{self._path}/{name}")
        return None if stamp is None else DataFile(stamp[2], name, stamp, self._folder)

    def _stat_directory(self) -> tuple[int, int]:
        try:
            status = os.stat(self._path)
        except OSError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)


def scan_folder(folder: Path) -> list[os.DirEntry[str]]:
    """All entries of a folder; none when someone deleted it (the next move makes it again)."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def stamp_at(path: str | Path) -> Stamp | None:
    """The stamp of a regular file; None when there is none."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else None


def _is_data(name: str) -> bool:
    return is_quest_name(name) and name[0] != "."

"""How much room there is on the file systems of a realm, and whether that is enough."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from arena.disk.headroom import Headroom
from arena.disk.hindrance import Hindrance
from arena.disk.places import failing
from core.files import DISK, Files
from core.paths import RealmPaths
from core.settings import DiskSettings

WATCHED = ("current_model", "queue", "status")
FEW_FILES = 64
"""With room in the table of files for fewer than this the disk counts as full."""
EPISODE_ENDS = 1.25
"""Room for so many times what gave the warning ends it: a number that swings about a limit is told once."""


@dataclass(frozen=True)
class Limits:
    """Bytes at which something happens."""

    reserve: int
    warn_saves: int

    @classmethod
    def of(cls, settings: DiskSettings) -> Limits:
        return cls(settings.reserve_megabytes << 20, settings.warn_saves)

    @property
    def full_below(self) -> int:
        """Free and reserved together. A quarter above the reserve, as a disk of which the last byte is taken has
        refused something already."""
        return self.reserve + self.reserve // 4

    @property
    def enough_from(self) -> int:
        """Free on a full disk before the reserve is taken again: as much is left over as it takes."""
        return self.full_below + self.reserve

    def low_below(self, next_save: int | None) -> int:
        """Free and reserved together, by the size of the next checkpoint: the trainer wants as much again as is
        reserved to be free beside it."""
        return 2 * self.reserve + (self.reserve if next_save is None else self.warn_saves * next_save)


@dataclass(frozen=True)
class Room:
    """What one place has."""

    place: str
    free: int
    """Bytes that this user may take."""
    total: int
    held: int
    """Bytes that giving up the reserve would add."""
    files_left: int | None
    """None where the file system has no fixed number."""
    read_only: bool

    @property
    def spare(self) -> int:
        return self.free + self.held


class Gauge:
    """Looks at the places of one realm; reads only."""

    def __init__(self, paths: RealmPaths, headroom: Headroom, files: Files = DISK) -> None:
        self._paths = paths
        self._headroom = headroom
        self._files = files

    def read(self) -> dict[str, Room] | Hindrance:
        """The room at each place; what is not there is left out (`Places` tells of it)."""
        rooms = {}
        for name in WATCHED:
            try:
                room = self._read_at(name, self._paths.base / name)
            except FileNotFoundError:
                continue
            except OSError as error:
                return failing(name, error)
            rooms[name] = room
        return rooms

    def _read_at(self, name: str, root: Path) -> Room:
        found = self._files.statvfs(root)
        reserved_here = os.stat(root).st_dev == os.stat(self._headroom.path.parent).st_dev
        return Room(
            place=name,
            free=found.f_bavail * found.f_frsize,
            total=found.f_blocks * found.f_frsize,
            held=self._headroom.held_bytes if reserved_here else 0,
            files_left=found.f_favail if found.f_files else None,
            read_only=bool(found.f_flag & os.ST_RDONLY),
        )


def judge(rooms: dict[str, Room], limits: Limits, before: Hindrance | None) -> Hindrance | None:
    """What hinders at these places. A disk that was full `before` must have more room until it is not."""
    for room in rooms.values():
        if room.read_only:
            return Hindrance(
                "read_only", room.place,
                f"{room.place}/ is mounted read-only, as after errors of its disk; all waits until it is writable",
            )  # fmt: skip
    for room in rooms.values():
        was_full = before is not None and (before.kind, before.place) == ("full", room.place)
        if room.spare < (limits.enough_from if was_full else limits.full_below):
            return Hindrance("full", room.place, _full(room, limits))
        if room.files_left is not None and room.files_left < FEW_FILES * (4 if was_full else 1):
            message = f"no more files can be made in {room.place}/; delete some, and training goes on by itself"
            return Hindrance("full", room.place, message)
    return None


def megabytes(size: int) -> str:
    """`12 MB`, `3.4 GB`."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _full(room: Room, limits: Limits) -> str:
    left, kept = megabytes(room.spare), megabytes(limits.reserve)
    return (
        f"the disk of {room.place}/ is full: {left} are left, of which {kept} are kept back; training goes on "
        f"by itself once {megabytes(limits.enough_from)} are free"
    )

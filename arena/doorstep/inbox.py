"""The inbox: which dropped files are whole and may be taken, found by looking again and again (DESIGN section 4).

A scan only looks; it moves and opens nothing but the end of settled files. Time is monotonic and passed in.
"""

from __future__ import annotations

import heapq
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from arena.doorstep.dropped_trees import DroppedTrees
from arena.doorstep.left_alone import is_left_alone
from arena.gatekeepers.scrolls.compressed_streams import compression_of
from arena.quest_names import (
    PACKED_SUFFIXES,
    REPORT_SUFFIX,
    dropped_sidecar_of,
    is_quest_name,
    plain_name,
    split_name,
)
from arena.quests import SIDECAR_SUFFIX
from core.mounts import mount_of
from core.paths import PRIORITIES

TAIL_BYTES = 1 << 20
"""A last line without its end is parsed up to this size; a longer one counts as incomplete."""
MAX_NAME_BYTES = 200
"""Leaves room for the suffixes of sidecars and completed quests below the 255 bytes that file systems allow."""

COMING_SECONDS = 30.0
"""A file that has been growing for longer may go on so for hours: nothing waits for it any more."""

NAMED = 10
"""Files left lying that are told by name; of a folder full of pictures, the rest is a number."""

SMALL_LETTERS = "rename it to end in small letters, such as .jsonl, .json or .jsonl.gz"
KNOWN_SUFFIXES = {
    ".gz": "of compressed files only *.jsonl.gz and *.json.gz are read: rename it if it holds JSON lines",
    ".zst": "of compressed files only *.jsonl.zst and *.json.zst are read: rename it if it holds JSON lines",
    ".zip": "archives are not read: unpack it to .jsonl",
    ".json": SMALL_LETTERS,
    ".jsonl": SMALL_LETTERS,
}
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
ORPHAN_SIDECAR = "this is a sidecar, and the data file that it belongs to is not here: add that, or delete this"
NO_DATA_FILE = f"only *.jsonl files are read, and {', '.join(PACKED_SUFFIXES)}: convert it to one JSON object per line"


@dataclass(frozen=True)
class InboxFile:
    """A whole file that may be taken."""

    path: Path
    priority: str
    """`high`, `normal` or `low`."""
    name: str
    """Name the quest is to get; differs from `path.name` for files in sub-folders."""


@dataclass(frozen=True)
class Strange:
    """Something in the inbox that is not taken, and why."""

    path: Path
    reason: str

    @property
    def shown(self) -> str:
        """The path as text that any encoder takes; `path` itself may hold bytes that are not UTF-8."""
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Scan:
    ready: list[InboxFile]
    """By priority, then oldest first."""
    waiting: int
    """Data files that are not yet whole."""
    strange: list[Strange]
    """What has become strange or changed since the last scan; each is told once."""
    left: int = field(default=0, compare=False)
    """How much is not taken as it is now: whatever is strange, and what is held back for a trouble of its own."""
    named: list[Strange] = field(default_factory=list, compare=False)
    """The first `NAMED` of these in the order of their paths."""
    due: float | None = field(default=None, compare=False)
    """When the first of the files that are only waited for will have stood still; None when there is none."""
    deserted: list[Path] = field(default_factory=list, compare=False)
    """Folders that came with files and have stood empty since those were taken; they can be removed."""
    coming: int = field(default=0, compare=False)
    """Data files that are ready or will be in a moment: neither held back before, nor growing for long already."""


@dataclass(slots=True)
class _Seen:
    """What the scans know of one entry since its signature last changed."""

    signature: tuple[int, ...]
    since: float
    """Time since which the signature has stood still."""
    first: float
    """Time at which the entry was seen first, however it looked then."""
    complete: bool | None = None
    """Whether the last line is complete; None until it has been looked at."""
    file: InboxFile | None = None
    """Set once the file was found whole."""
    told: str | None = None
    """The reason for which this was reported as strange."""
    held_until: float = 0.0
    """Time before which the gates do not want to see it again."""
    held_for: str | None = None
    """The trouble for which it is held back; None for a file that only waits its turn."""


@dataclass
class _Sweep:
    """One scan in the making."""

    now: float
    ready: list[tuple[int, int, InboxFile]] = field(default_factory=list)
    waiting: int = 0
    coming: int = 0
    strange: list[Strange] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    """Path and reason of whatever is not taken as it is now."""
    due: float | None = None
    seen: dict[str, _Seen] = field(default_factory=dict)


class Inbox:
    """Watches one folder by polling. Memory is that of the entries present at the last scan."""

    def __init__(self, root: Path, settle_seconds: float, incomplete_seconds: float = 60.0) -> None:
        self._root = root
        self._settle_seconds = settle_seconds
        self._incomplete_seconds = max(incomplete_seconds, settle_seconds)
        self._seen: dict[str, _Seen] = {}
        self._trees = DroppedTrees()
        self._lasting_inodes: dict[int, bool] = {}
        """By device: whether a file keeps its inode number; SSHFS and some shares give another with every look."""

    def scan(self, now: float) -> Scan:
        """Look at everything once; `now` is a monotonic time in seconds. Never raises for what it finds."""
        sweep = _Sweep(now)
        for folder, entries in self._walk(sweep):
            self._trees.see(folder, now, is_empty=not entries)
            sidecars = {entry.name: entry for entry in entries if entry.name.endswith(SIDECAR_SUFFIX)}
            for entry in entries:
                if not is_left_alone(entry.name):
                    self._look_at(entry, folder, _sidecar_for(entry, sidecars), sweep)
            for entry in _orphans(entries, sidecars):
                self._look_at_orphan(entry, sweep)
        self._seen = sweep.seen
        ready = [file for _, _, file in sorted(sweep.ready, key=lambda item: (item[0], item[1], item[2].name))]
        empty = [self._root.joinpath(*folder) for folder in self._trees.deserted(now)]
        named = [Strange(Path(path), reason) for path, reason in heapq.nsmallest(NAMED, sweep.left)]
        return Scan(ready, sweep.waiting, sweep.strange, len(sweep.left), named, sweep.due, empty, sweep.coming)

    def hold_back(self, file: InboxFile, until: float, reason: str | None = None) -> None:
        """Do not give this file out again before `until`, unless it changes; `reason` is a trouble of its own."""
        if seen := self._seen.get(str(file.path)):
            seen.held_until, seen.held_for = until, reason

    def wait_for_more(self, file: InboxFile, now: float) -> bool:
        """The gate found that this file is cut off: hold it back. False once it has stood still for very long."""
        seen = self._seen.get(str(file.path))
        if seen is None:
            return True
        seen.held_until = seen.since + self._incomplete_seconds
        return now < seen.held_until

    def _walk(self, sweep: _Sweep) -> Iterator[tuple[tuple[str, ...], list[os.DirEntry[str]]]]:
        """Every folder with its entries; links are never followed."""
        folders: list[tuple[str, ...]] = [()]
        while folders:
            folder = folders.pop()
            path = self._root.joinpath(*folder)
            try:
                with os.scandir(path) as found:
                    entries = list(found)
                below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError as error:
                self._tell(str(path), (), f"the folder cannot be read: {error.strerror}", sweep)
                continue
            folders += [(*folder, name) for name in below if not is_left_alone(name) and not is_quest_name(name)]
            yield folder, entries

    def _look_at(
        self, entry: os.DirEntry[str], folder: tuple[str, ...], sidecar: os.DirEntry[str] | None, sweep: _Sweep
    ) -> None:
        try:
            info = entry.stat(follow_symlinks=False)
            sidecar_info = sidecar.stat(follow_symlinks=False) if sidecar is not None else None
        except FileNotFoundError:
            return  # vanished between listing and looking
        except OSError as error:
            self._tell(entry.path, (), f"the file cannot be read: {error.strerror}", sweep)
            return
        signature = self._signature(info, entry.path)
        if sidecar_info is not None:
            signature += self._signature(sidecar_info, entry.path)
        if stat.S_ISDIR(info.st_mode):
            if is_quest_name(entry.name):
                self._tell(entry.path, signature[:2], "this is a folder with the name of a data file: rename it", sweep)
            return
        if not stat.S_ISREG(info.st_mode):
            self._tell(entry.path, signature, _irregular(info.st_mode), sweep)
            return
        seen = self._remember(entry.path, signature, sweep)
        is_data = is_quest_name(entry.name)
        due = max(seen.since + self._settle_seconds, seen.held_until)
        if sweep.now < due:
            if seen.held_for is not None:
                sweep.left.append((entry.path, seen.held_for))
            else:
                sweep.waiting += is_data
                soon = not seen.held_until and sweep.now - seen.first < COMING_SECONDS
                sweep.coming += is_data and soon
            sweep.due = due if sweep.due is None else min(sweep.due, due)
            return
        if seen.file is None:
            reason = data_fault(entry.name, folder, sidecar_info) if is_data else _suffix_fault(entry.name)
            if reason is not None:
                self._tell(entry.path, signature, reason, sweep)
                return
            if not self._is_whole(entry.path, seen, sweep):
                return
            seen.file = InboxFile(Path(entry.path), _priority(folder), _flat_name(entry.name, folder))
        sweep.coming += not seen.held_until
        sweep.ready.append((PRIORITIES.index(seen.file.priority), info.st_mtime_ns, seen.file))

    def _look_at_orphan(self, sidecar: os.DirEntry[str], sweep: _Sweep) -> None:
        """A sidecar may come long before its data file: it is told of only once it has lain still for that long."""
        try:
            signature = self._signature(sidecar.stat(follow_symlinks=False), sidecar.path)
        except OSError:
            return  # vanished between listing and looking
        if sweep.now - self._remember(sidecar.path, signature, sweep).since >= self._incomplete_seconds:
            self._tell(sidecar.path, signature, ORPHAN_SIDECAR, sweep)

    def _signature(self, info: os.stat_result, path: str) -> tuple[int, ...]:
        lasting = self._lasting_inodes.get(info.st_dev)
        if lasting is None:
            mount = mount_of(Path(path).parent)
            lasting = self._lasting_inodes[info.st_dev] = mount is None or not mount.is_network
        return (stat.S_IFMT(info.st_mode), info.st_ino if lasting else 0, info.st_size, info.st_mtime_ns)

    def _remember(self, path: str, signature: tuple[int, ...], sweep: _Sweep) -> _Seen:
        seen = self._seen.get(path)
        if seen is None or seen.signature != signature:
            seen = _Seen(signature, sweep.now, seen.first if seen else sweep.now)
        sweep.seen[path] = seen
        return seen

    def _tell(self, path: str, signature: tuple[int, ...], reason: str, sweep: _Sweep) -> None:
        seen = self._remember(path, signature, sweep)
        sweep.left.append((path, reason))
        if seen.told != reason:
            sweep.strange.append(Strange(Path(path), reason))
            seen.told = reason

    def _is_whole(self, path: str, seen: _Seen, sweep: _Sweep) -> bool:
        """True when the file ends in a complete line or has stood still for very long; counts or tells it otherwise."""
        if seen.complete is None:
            try:
                seen.complete = _ends_complete(path)
            except FileNotFoundError:
                return False
            except OSError as error:
                self._tell(path, seen.signature, f"the file cannot be read: {error.strerror}", sweep)
                return False
        if seen.complete or sweep.now - seen.since >= self._incomplete_seconds:
            return True
        sweep.waiting += 1
        return False


def _sidecar_for(entry: os.DirEntry[str], sidecars: dict[str, os.DirEntry[str]]) -> os.DirEntry[str] | None:
    own = sidecars.get(entry.name + SIDECAR_SUFFIX)
    if own is not None or not sidecars or not entry.name.endswith(PACKED_SUFFIXES):
        return own
    return sidecars.get(dropped_sidecar_of(Path(entry.path)).name)


def _orphans(entries: list[os.DirEntry[str]], sidecars: dict[str, os.DirEntry[str]]) -> list[os.DirEntry[str]]:
    """The sidecars of a folder that belong to nothing in it, under either name that they may have."""
    if not sidecars:
        return []
    names = {entry.name for entry in entries}
    owners = names | {plain_name(name) for name in names if is_quest_name(name)}
    return [
        entry
        for name, entry in sidecars.items()
        if not name.startswith(".") and name.removesuffix(SIDECAR_SUFFIX) not in owners
    ]


def _irregular(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "symbolic links are not followed: drop the file itself"
    return "this is a device, fifo or socket, not a file"


def _priority(folder: tuple[str, ...]) -> str:
    return folder[0] if folder and folder[0] in PRIORITIES else "normal"


def _flat_name(name: str, folder: tuple[str, ...]) -> str:
    """`{stem}_{top folder}.jsonl` for a file in a sub-folder; a leading priority folder does not count."""
    below = folder[1:] if folder and folder[0] in PRIORITIES else folder
    stem, suffix = split_name(name)
    return f"{stem}_{below[0]}{suffix}" if below else name


def _suffix_fault(name: str) -> str:
    """Why a file that is not named like a quest is not read (C7)."""
    if name.endswith(REPORT_SUFFIX):
        return "this is a report about a rejected file, not a file to learn: delete it"
    return KNOWN_SUFFIXES.get(Path(name).suffix.lower(), NO_DATA_FILE)


def data_fault(name: str, folder: tuple[str, ...], sidecar_info: os.stat_result | None) -> str | None:
    """Why a data file is not taken from `folder`: its name cannot be a quest's, or its sidecar is no file."""
    flat = _flat_name(name, folder)
    try:
        size = len(flat.encode())
        "/".join(folder).encode()
    except UnicodeEncodeError:
        return "its path is not UTF-8: rename it"
    if _CONTROL_CHARACTER.search(flat):
        return "its name holds control characters: rename it"
    if size > MAX_NAME_BYTES:
        return f"its name makes {size} bytes, at most {MAX_NAME_BYTES} are possible: rename it"
    if sidecar_info is not None and not stat.S_ISREG(sidecar_info.st_mode):
        return "its sidecar, *.meta.json beside it, is not a plain file: replace or remove it"
    return None


def _ends_complete(path: str) -> bool:
    """True when the file is empty, ends with a newline, or its last line is a whole JSON value.

    A `.json` file must end with the `]` or `}` of a whole list or object. Whether compressed data are whole, only
    the gate finds out, which asks for patience with `wait_for_more`.
    """
    # O_NONBLOCK and O_NOFOLLOW: the file may have been replaced by a fifo or a link since it was looked at.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size == 0 or compression_of(os.pread(fd, 4, 0)) is not None:
            return True
        if path.endswith(".json"):
            return os.pread(fd, TAIL_BYTES, max(0, size - TAIL_BYTES)).rstrip()[-1:] in (b"]", b"}")
        if os.pread(fd, 1, size - 1) == b"\n":
            return True
        start = max(0, size - TAIL_BYTES)
        tail = os.pread(fd, TAIL_BYTES, start)
    finally:
        os.close(fd)
    line_start = tail.rfind(b"\n") + 1
    if line_start == 0 and start > 0:
        return False
    try:
        msgspec.json.decode(tail[line_start:])
    except (ValueError, RecursionError):
        return False
    return True

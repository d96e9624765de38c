"""The inbox: which dropped files are whole and may be taken, found by looking again and again (DESIGN section 4).

A scan only looks; it moves and opens nothing but the end of settled files. Time is monotonic and passed in.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from arena.quests import SIDECAR_SUFFIX
from core.paths import PRIORITIES

DATA_SUFFIX = ".jsonl"
UNFINISHED_SUFFIXES = (".tmp", ".part", ".partial")
INCOMPLETE_WAIT_SECONDS = 60.0
"""A file without a complete last line that stands still this long is taken; the gate then names the line."""
TAIL_BYTES = 1 << 20
"""A last line without its end is parsed up to this size; a longer one counts as incomplete."""
MAX_NAME_BYTES = 200
"""Leaves room for the suffixes of sidecars and completed quests below the 255 bytes that file systems allow."""

KNOWN_SUFFIXES = {
    ".gz": "compressed files are not read: unpack it to .jsonl",
    ".zst": "compressed files are not read: unpack it to .jsonl",
    ".zip": "archives are not read: unpack it to .jsonl",
    ".json": "rename it to .jsonl if each line is a JSON object; write the items of a list on lines of their own",
    ".jsonl": "rename it to end in .jsonl, in small letters",
}
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
NO_DATA_FILE = "only *.jsonl files are read: convert it to one JSON object per line"


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


@dataclass(slots=True)
class _Seen:
    """What the scans know of one entry since its signature last changed."""

    signature: tuple[int, ...]
    since: float
    """Time since which the signature has stood still."""
    complete: bool | None = None
    """Whether the last line is complete; None until it has been looked at."""
    file: InboxFile | None = None
    """Set once the file was found whole."""
    told: str | None = None
    """The reason for which this was reported as strange."""


@dataclass
class _Sweep:
    """One scan in the making."""

    now: float
    ready: list[tuple[int, int, InboxFile]] = field(default_factory=list)
    waiting: int = 0
    strange: list[Strange] = field(default_factory=list)
    seen: dict[str, _Seen] = field(default_factory=dict)


class Inbox:
    """Watches one folder by polling. Memory is that of the entries present at the last scan."""

    def __init__(self, root: Path, settle_seconds: float) -> None:
        self._root = root
        self._settle_seconds = settle_seconds
        self._seen: dict[str, _Seen] = {}

    def scan(self, now: float) -> Scan:
        """Look at everything once; `now` is a monotonic time in seconds. Never raises for what it finds."""
        sweep = _Sweep(now)
        for folder, entries in self._walk(sweep):
            sidecars = {entry.name: entry for entry in entries if entry.name.endswith(SIDECAR_SUFFIX)}
            for entry in entries:
                if not _is_left_alone(entry.name):
                    self._look_at(entry, folder, sidecars.get(entry.name + SIDECAR_SUFFIX), sweep)
        self._seen = sweep.seen
        ready = [file for _, _, file in sorted(sweep.ready, key=lambda item: (item[0], item[1], item[2].name))]
        return Scan(ready, sweep.waiting, sweep.strange)

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
            folders += [(*folder, name) for name in below if not _is_left_alone(name) and not _is_data(name)]
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
        signature = _signature(info)
        if sidecar_info is not None:
            signature += _signature(sidecar_info)
        if stat.S_ISDIR(info.st_mode):
            if _is_data(entry.name):
                self._tell(entry.path, signature[:2], "this is a folder with the name of a data file: rename it", sweep)
            return
        if not stat.S_ISREG(info.st_mode):
            self._tell(entry.path, signature, _irregular(info.st_mode), sweep)
            return
        seen = self._remember(entry.path, signature, sweep)
        is_data = _is_data(entry.name)
        if sweep.now - seen.since < self._settle_seconds:
            sweep.waiting += is_data
            return
        if seen.file is None:
            reason = _data_fault(entry.name, folder, sidecar_info) if is_data else _suffix_fault(entry.name)
            if reason is not None:
                self._tell(entry.path, signature, reason, sweep)
                return
            if not self._is_whole(entry.path, seen, sweep):
                return
            seen.file = InboxFile(Path(entry.path), _priority(folder), _flat_name(entry.name, folder))
        sweep.ready.append((PRIORITIES.index(seen.file.priority), info.st_mtime_ns, seen.file))

    def _remember(self, path: str, signature: tuple[int, ...], sweep: _Sweep) -> _Seen:
        seen = self._seen.get(path)
        if seen is None or seen.signature != signature:
            seen = _Seen(signature, sweep.now)
        sweep.seen[path] = seen
        return seen

    def _tell(self, path: str, signature: tuple[int, ...], reason: str, sweep: _Sweep) -> None:
        seen = self._remember(path, signature, sweep)
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
        if seen.complete or sweep.now - seen.since >= max(INCOMPLETE_WAIT_SECONDS, self._settle_seconds):
            return True
        sweep.waiting += 1
        return False


def _is_left_alone(name: str) -> bool:
    return name.startswith(".") or name.endswith(SIDECAR_SUFFIX) or name.lower().endswith(UNFINISHED_SUFFIXES)


def _is_data(name: str) -> bool:
    return name.endswith(DATA_SUFFIX)


def _signature(info: os.stat_result) -> tuple[int, ...]:
    return (stat.S_IFMT(info.st_mode), info.st_ino, info.st_size, info.st_mtime_ns)


def _irregular(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "symbolic links are not followed: drop the file itself"
    return "this is a device, fifo or socket, not a file"


def _priority(folder: tuple[str, ...]) -> str:
    return folder[0] if folder and folder[0] in PRIORITIES else "normal"


def _flat_name(name: str, folder: tuple[str, ...]) -> str:
    """`{stem}_{top folder}.jsonl` for a file in a sub-folder; a leading priority folder does not count."""
    below = folder[1:] if folder and folder[0] in PRIORITIES else folder
    return f"{name.removesuffix(DATA_SUFFIX)}_{below[0]}{DATA_SUFFIX}" if below else name


def _suffix_fault(name: str) -> str:
    """Why a file that is not named *.jsonl is not read (C7)."""
    return KNOWN_SUFFIXES.get(Path(name).suffix.lower(), NO_DATA_FILE)


def _data_fault(name: str, folder: tuple[str, ...], sidecar_info: os.stat_result | None) -> str | None:
    """Why a settled data file is not taken: its name cannot be a quest's, or its sidecar is no file."""
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
        return f"its sidecar {name}{SIDECAR_SUFFIX} is not a plain file: replace or remove it"
    return None


def _ends_complete(path: str) -> bool:
    """True when the file is empty, ends with a newline, or its last line is a whole JSON value."""
    # O_NONBLOCK and O_NOFOLLOW: the file may have been replaced by a fifo or a link since it was looked at.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size == 0 or os.pread(fd, 1, size - 1) == b"\n":
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

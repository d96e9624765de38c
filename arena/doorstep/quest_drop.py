"""Drops a file into `inbox/` the way a careful user does: whole or not at all, and never over another one."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path

from arena.doorstep.inbox import data_fault
from arena.doorstep.left_alone import is_left_alone
from arena.quest_names import QUEST_SUFFIXES, dropped_sidecar_of, is_quest_name, split_name
from arena.quests import sidecar_of
from core.errors import InvalidInput, NotFound, Unavailable
from core.file_lock import locked_directory
from core.files import DISK, Files
from core.paths import PRIORITIES, RealmPaths


def check_droppable(source: Path, priority: str = "normal") -> None:
    """Raise what `drop_quest` raises for a file that the inbox takes under no name, or for an unknown priority."""
    if priority not in PRIORITIES:
        raise InvalidInput(f"There is no priority {priority!r}.", hint="Use high, normal or low.")
    if not source.exists():
        raise NotFound(f"There is no file {source}.")
    if not source.is_file() or not is_quest_name(source.name) or is_left_alone(source.name):
        raise InvalidInput(
            f"{source} is not a file that can be learned: its name must end in {', '.join(QUEST_SUFFIXES)}.",
            hint="A quest is a file with one JSON object per line, or a JSON list of objects.",
        )
    _check_name(source.name, source, priority)


def drop_quest(paths: RealmPaths, source: Path, priority: str = "normal", *, files: Files = DISK) -> Path:
    """Copy `source` (and a sidecar beside it) into `inbox/{priority}/`; returns the new path.

    A taken name gets `_2`, `_3` … Packed files (`.jsonl.gz`, `.json` …) are copied as they are. Raises `NotFound`,
    `InvalidInput` (what the inbox refuses, unknown priority) and `Unavailable` (the disk refuses).
    """
    check_droppable(source, priority)
    folder = paths.inbox / priority
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = _copy_part(source, folder, files)
        try:
            lineage = dropped_sidecar_of(source)
            body = lineage.read_bytes() if os.path.lexists(lineage) else None
            return take_name(part, source.name, folder, body, files=files)
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise Unavailable(f"{source} cannot be copied into {folder}: {reason}.") from error


def _check_name(name: str, source: Path, priority: str) -> None:
    sidecar = dropped_sidecar_of(source)
    fault = data_fault(name, (priority,), sidecar.lstat() if os.path.lexists(sidecar) else None)
    if fault is not None:
        raise InvalidInput(f"{source} cannot be learned: {fault}.")


def part_in(folder: Path) -> Path:
    """A new name that the inbox leaves alone, and the sweep removes when we die."""
    return folder / f".quest.{uuid.uuid4().hex[:8]}.part"


def _copy_part(source: Path, folder: Path, files: Files) -> Path:
    part = part_in(folder)
    try:
        with source.open("rb") as reader, part.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            files.fsync(writer.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def take_name(part: Path, name: str, folder: Path, lineage: bytes | None, *, files: Files = DISK) -> Path:
    """Move a whole file, which lies in `folder` under the name of a part, to `name` or the first free `name_2` …

    `lineage` is what its sidecar is to hold. Raises `InvalidInput` for a name that cannot be a quest's.
    """
    with ExitStack() as stack:
        # Two who drop the same name at once must not take each other's sidecar for their own.
        with suppress(OSError):  # some network shares lock no folder
            stack.enter_context(locked_directory(folder))
        return _take_free_name(part, name, folder, lineage, files)


def _take_free_name(part: Path, name: str, folder: Path, lineage: bytes | None, files: Files) -> Path:
    stem, suffix = split_name(name)
    for number in count(1):
        target = folder / (name if number == 1 else f"{stem}_{number}{suffix}")
        sidecar = sidecar_of(target)
        if fault := data_fault(target.name, (folder.name,), None):  # the number may make it too long
            raise InvalidInput(f"{name} cannot be learned: {fault}.")
        if os.path.lexists(target) or os.path.lexists(sidecar):
            continue
        # The sidecar first: the daemon may take the data file the moment it appears.
        if lineage is not None:
            files.write_atomic(sidecar, lineage, durable=False)
        try:
            files.link_new(part, target)
        except OSError as error:
            if lineage is not None:
                sidecar.unlink(missing_ok=True)
            if isinstance(error, FileExistsError):
                continue
            raise
        # It is in: a name of before that cannot go now is for the sweep.
        with suppress(OSError):
            files.unlink(part)
        return target
    raise AssertionError("the numbers never end")

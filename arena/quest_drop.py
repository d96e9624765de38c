"""Drops a file into `inbox/` the way a careful user does: whole or not at all, and never over another one."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from itertools import count
from pathlib import Path

from arena.quests import sidecar_of
from core.errors import InvalidInput, NotFound, Unavailable
from core.files import DISK, Files
from core.paths import PRIORITIES, RealmPaths

SUFFIX = ".jsonl"


def drop_quest(paths: RealmPaths, source: Path, priority: str = "normal", *, files: Files = DISK) -> Path:
    """Copy `source` (and a sidecar beside it) into `inbox/{priority}/`; returns the new path.

    A taken name gets `_2`, `_3` … Raises `NotFound`, `InvalidInput` (no regular `.jsonl` file, unknown priority) and
    `Unavailable` (the disk refuses).
    """
    if priority not in PRIORITIES:
        raise InvalidInput(f"There is no priority {priority!r}.", hint="Use high, normal or low.")
    if not source.exists():
        raise NotFound(f"There is no file {source}.")
    if not source.is_file() or source.suffix != SUFFIX or source.name.startswith("."):
        raise InvalidInput(f"{source} is not a {SUFFIX} file.", hint="A quest is a file with one JSON object per line.")
    folder = paths.inbox / priority
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = _copy_part(source, folder, files)
        try:
            return _take_name(part, source, folder, files)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"{source} cannot be copied into {folder}: {error.strerror or error}.") from error


def _copy_part(source: Path, folder: Path, files: Files) -> Path:
    """Copy under a name that the inbox leaves alone and the sweep removes when we die."""
    part = folder / f".quest.{uuid.uuid4().hex[:8]}.part"
    try:
        with source.open("rb") as reader, part.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            files.fsync(writer.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def _take_name(part: Path, source: Path, folder: Path, files: Files) -> Path:
    for number in count(1):
        target = folder / (source.name if number == 1 else f"{source.stem}_{number}{SUFFIX}")
        sidecar = sidecar_of(target)
        if os.path.lexists(target) or os.path.lexists(sidecar):
            continue
        # The sidecar first: the daemon may take the data file the moment it appears.
        lineage = _read_regular(sidecar_of(source))
        if lineage is not None:
            files.write_atomic(sidecar, lineage, durable=False)
        try:
            files.move_new(part, target)
        except FileExistsError:
            sidecar.unlink(missing_ok=True)
            continue
        return target
    raise AssertionError("the numbers never end")


def _read_regular(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None
    except FileNotFoundError:
        return None

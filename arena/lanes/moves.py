"""Moves a data file and its sidecar from one place to another so that a crash at any point can be finished.

    1. the sidecar at the target name, saying `moved_from`       crash: the sweep drops it again
    2. the data file linked under the target name (the commit)   crash: one file under two names, the sweep goes on
    3. the old name unlinked                                     crash: the sweep tidies
    4. `moved_from` taken out of the sidecar                     crash: an old sidecar without data; the sweep drops it
    5. the old sidecar removed (from the inbox: before 4)

The mark must not outlive the move: a file that someone copies back to the old name later looks like the rest of it.

An error of the disk before the commit undoes what was done; after it, the move stands and the sweep does the rest.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from arena.lanes.reading import DATA_SUFFIX, MOVED_FROM, OPEN_LANES, REPORT_SUFFIX, names_in, read_raw
from arena.quests import QuestRecord, sidecar_of
from core.crash_points import crash_point
from core.files import Files, same_file
from core.finite import finite
from core.paths import RealmPaths

logger = logging.getLogger(__name__)

NAME_BYTES = 190
"""Longest data file name: leaves room within 255 bytes for number, seal time, sidecar suffix and temporary names."""


class LaneMover:
    """The only hand that writes into the lanes."""

    def __init__(self, paths: RealmPaths, files: Files) -> None:
        self.paths = paths
        self.files = files

    def move(self, source: Path, target: Path, body: dict[str, Any]) -> None:
        """Move the data file with `body` as its new sidecar; raises `FileExistsError` when the name is taken."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.write(target, {**body, MOVED_FROM: self._mark(source)})
        crash_point("move.sidecar")
        linked = False
        try:
            self.files.link_new(source, target)
            linked = True
            crash_point("move.linked")
            with suppress(FileNotFoundError):
                self.files.unlink(source)
        except OSError:
            self._undo(source, target, linked=linked)
            raise
        crash_point("move.unlinked")
        self.finish(source, target, body)

    def finish(self, source: Path, target: Path, body: dict[str, Any]) -> None:
        """What follows the commit. Failures are logged: the file is in its place."""
        try:
            if source.parent.exists():
                self.files.fsync_dir(source.parent)
            # Of a sidecar in the inbox only the mark tells that it belongs to this move.
            from_inbox = source.is_relative_to(self.paths.inbox)
            if from_inbox:
                self.drop_sidecar(source)
            if body:
                self.write(target, body)
            else:
                self.drop_sidecar(target)
            if not from_inbox:
                self.drop_sidecar(source)
        except OSError as error:
            logger.warning("%s is moved, tidying up after it failed: %s", target, error, extra={"event": "move_untidy"})

    def rename_free(self, source: Path, folder: Path, name: str, body: dict[str, Any]) -> Path:
        """Move into `folder` under `name`, or under `name_2`, `name_3` … when that is taken; returns the new path.

        Within the queue a name is taken when any open lane has it, so that later moves can keep it.
        """
        for candidate in self._free_names(source, folder, name):
            target = folder / candidate
            try:
                self.move(source, target, body)
            except FileExistsError:
                continue
            return target
        raise AssertionError("the candidates never end")

    def write(self, data_file: Path, body: dict[str, Any]) -> None:
        """Write a sidecar, durably and in one step."""
        self.files.write_json(sidecar_of(data_file), finite(body), durable=True)

    def drop_sidecar(self, data_file: Path) -> None:
        """Remove a sidecar and a rejection report, if they are there."""
        for path in (sidecar_of(data_file), report_of(data_file)):
            with suppress(FileNotFoundError, IsADirectoryError):
                self.files.unlink(path)

    def read_body(self, data_file: Path) -> dict[str, Any]:
        """The sidecar as it stands, without the mark of a move."""
        return {key: value for key, value in read_raw(data_file).items() if key != MOVED_FROM}

    def _mark(self, source: Path) -> dict[str, str | None]:
        """What `LaneReader.mark` reads back. Only in the queue is the id of a sidecar our own word."""
        in_queue = source.is_relative_to(self.paths.queue)
        quest_id = read_raw(source).get("quest_id") if in_queue else None
        place = source.relative_to(self.paths.base) if source.is_relative_to(self.paths.base) else source
        return {"path": place.as_posix(), "quest_id": quest_id if isinstance(quest_id, str) else None}

    def _undo(self, source: Path, target: Path, *, linked: bool) -> None:
        try:
            # Once linked, the target is ours, also when it had to be a copy with an inode of its own.
            if os.path.lexists(source) and (linked or same_file(source, target)):
                self.files.unlink(target)
            # A file that someone else put there must not find a valid record beside it.
            self.files.unlink(sidecar_of(target))
        except OSError as error:
            logger.warning("the move to %s could not be undone: %s", target, error, extra={"event": "move_stuck"})

    def _free_names(self, source: Path, folder: Path, name: str) -> Iterator[str]:
        folders = [folder]
        if folder.parent == self.paths.queue:
            folders += [self.paths.lane(lane) for lane in OPEN_LANES if lane != folder.name]
        own = {source, sidecar_of(source)}
        places = [path for each in folders for path in (each / name, sidecar_of(each / name))]
        if not any(os.path.lexists(path) for path in places if path not in own):
            yield name
        names = [names_in(each) for each in folders]
        taken = frozenset[str]().union(*(each.data | each.sidecars for each in names))
        stem = name.removesuffix(DATA_SUFFIX)
        for number in count(2):
            candidate = f"{stem}_{number}{DATA_SUFFIX}"
            if candidate not in taken:
                yield candidate


def body_of(record: QuestRecord) -> dict[str, Any]:
    """The sidecar of a record; lineage never overrides a field of the realm."""
    own = asdict(record)
    lineage: dict[str, Any] = own.pop("lineage")
    return {**own, **foreign_keys(lineage)}


def foreign_keys(lineage: dict[str, Any]) -> dict[str, Any]:
    """Keys that are no fields of a quest record: a dropped sidecar must not forge an id or an outcome."""
    return {
        key: value
        for key, value in lineage.items()
        if key not in QuestRecord.__dataclass_fields__ and key != MOVED_FROM
    }


def report_of(data_file: Path) -> Path:
    """The rejection report beside a file in `failed/`."""
    return data_file.with_name(data_file.name + REPORT_SUFFIX)


def fit_name(name: str) -> str:
    """A name that all file systems and terminals take: no control signs or broken bytes, and short enough."""
    stem = "".join(sign if sign.isprintable() and sign != "/" else "_" for sign in name.removesuffix(DATA_SUFFIX))
    stem = stem.encode()[: NAME_BYTES - len(DATA_SUFFIX)].decode(errors="ignore").lstrip(".")
    return f"{stem or 'quest'}{DATA_SUFFIX}"

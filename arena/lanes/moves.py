"""Moves data files and their sidecars from one place to another so that a crash at any point can be finished.

    1. the sidecar at the target name, saying `moved_from`       crash: the sweep drops it again
    2. the data file linked under the target name (the commit)   crash: one file under two names, the sweep goes on
    3. the old name unlinked                                     crash: the sweep tidies
    4. `moved_from` taken out of the sidecar                     crash: an old sidecar without data; the sweep drops it
    5. the old sidecar removed (from the inbox: before 4)

What was unpacked lies under a name that nobody knows; its packed original goes in step 3, before that name, and the
mark names it too: until 4, whatever of the two is left is removed.

The mark must not outlive the move: a file that someone copies back to the old name later looks like the rest of it.

An error of the disk before the commit undoes what was done; after it, the move stands and the sweep does the rest.
Several files are taken through each phase together, so that a directory is synced once a phase, not once a file.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from arena.disk.places import Places
from arena.lanes.listing import Stamp, stamp_at
from arena.lanes.reading import MOVED_FROM, OPEN_LANES, LaneReader, Original, read_raw
from arena.quest_names import DATA_SUFFIX, report_of, split_name
from arena.quests import SIDECAR_SUFFIX, Quest, QuestRecord, sidecar_of
from core.crash_points import crash_point
from core.errors import NotFound
from core.files import Files, same_file
from core.finite import finite
from core.paths import RealmPaths

logger = logging.getLogger(__name__)

NO_FILE: Stamp = (0, 0, 0)
"""In place of the stamp of a file that was not there."""

NAME_BYTES = 190
"""Longest data file name: leaves room within 255 bytes for number, seal time, sidecar suffix and temporary names."""


@dataclass
class Move:
    """One file on its way: into `folder` under `name`, or under `name_2`, `name_3` … when that is taken."""

    source: Path
    folder: Path
    name: str
    body: dict[str, Any]
    """The sidecar that it shall have."""
    original: Original | None = None
    """The packed file that `source` was unpacked from; it goes with the move."""
    dropped_sidecar: Stamp | None = None
    """Which sidecar lay beside the file in the inbox; None when whatever lies there goes with it."""
    stamp: Stamp | None = None
    """Which file `source` was when the move began."""
    target: Path | None = None
    """Where it goes; kept once it is there, None when it could not be moved."""
    error: OSError | None = None
    """Why it stayed where it was."""
    free_names: Iterator[str] | None = None
    """Names to be tried, in order."""

    @property
    def dropped(self) -> Path:
        """The name under which people know the file."""
        return self.original.path if self.original else self.source


class LaneMover:
    """The only hand that writes into the lanes; `lanes` is told of every change."""

    def __init__(self, paths: RealmPaths, files: Files, lanes: LaneReader) -> None:
        self.paths = paths
        self.files = files
        self._lanes = lanes
        self._untidy: list[tuple[Path, Path, dict[str, Any], Stamp | None]] = []
        """Moves whose last phases are still to come: the name before, the path now, and its sidecar."""
        self.stuck: set[Path] = set()
        """Packed files whose admission could neither be finished nor undone: their rows lie in a lane already."""

    def rename_free(self, source: Path, folder: Path, name: str, body: dict[str, Any]) -> Path:
        """Move one file, with `body` as its new sidecar; returns the new path. Raises `OSError`: it stays.

        Within the queue a name is taken when any open lane has it, so that later moves can keep it.
        """
        move = Move(source, folder, name, body)
        self.rename_all([move])
        if move.target is None:
            assert move.error is not None
            raise move.error
        return move.target

    def rename_all(self, moves: Sequence[Move], *, tidy_later: bool = False) -> None:
        """Move several files; each ends with a `target` or an `error`. Raises nothing that the disk does.

        With `tidy_later`, what follows the commit is left to `tidy`, or to whatever is written next: it takes as long
        as all before it, and the files are in their places.
        """
        sources = {move.source for move in moves}
        if not tidy_later or any(target in sources for _, target, *_ in self._untidy):
            self.tidy()
        going = list(moves)
        while going:
            going = self._rename_once(going)
        if not tidy_later:
            self.tidy()

    def tidy(self) -> None:
        """Do what is left of moves that were to be tidied up after later."""
        done, self._untidy = self._untidy, []
        self._finish(done)

    def _rename_once(self, moves: list[Move]) -> list[Move]:
        """Take all through the phases; returns those whose name was taken in the meantime, to be tried again."""
        named = self._announce(moves)
        linked = self._commit(named)
        again = [move for move in named if isinstance(move.error, FileExistsError)]
        for move in again:
            move.error = move.target = None
        self._leave(linked)
        self._untidy += [(move.dropped, _target(move), move.body, move.dropped_sidecar) for move in linked]
        return again

    def _announce(self, moves: list[Move]) -> list[Move]:
        """Phase 1: choose the names and write the sidecars, which keep the names from the next one of the batch."""
        files = _LateSyncs(self.files)
        named = []
        for move in moves:
            try:
                move.stamp = stamp_at(move.source)
                self._make_folder(move.folder)
                move.free_names = move.free_names or self._free_names(move.source, move.folder, move.name)
                move.target = move.folder / next(move.free_names)
                self._write(move.target, {**move.body, MOVED_FROM: self._mark(move)}, files)
                crash_point("move.sidecar")
            except OSError as error:
                self._give_up(move, error, linked=False)
            else:
                named.append(move)
        return self._sync(files, named, linked=False)

    def _make_folder(self, folder: Path) -> None:
        """Make a lane anew that somebody has removed, but not where the disk of `queue/` is gone: what is put below its
        mount point is lost when it is back."""
        if folder.is_dir():
            return
        gone = Places(self.paths, self.files).missing() if folder.parent == self.paths.queue else None
        if gone is not None:
            raise OSError(errno.ENODEV, gone.message, str(folder))
        folder.mkdir(exist_ok=True)

    def _commit(self, moves: list[Move]) -> list[Move]:
        """Phase 2: the data stand durably under their new names, or nothing has changed."""
        files = _LateSyncs(self.files)
        linked = []
        for move in moves:
            try:
                files.link_new(move.source, _target(move))
                crash_point("move.linked")
            except OSError as error:
                self._give_up(move, error, linked=False)
            else:
                linked.append(move)
        return self._sync(files, linked, linked=True)

    def _leave(self, linked: list[Move]) -> None:
        """Phase 3: the old names go. A move whose old name cannot go is undone."""
        for move in list(linked):
            try:
                if move.original is not None:
                    self._leave_original(move.original)
                    # Nothing may be undone any more; a name that stays in the folder for unpacking does no harm.
                    with suppress(OSError):
                        self.files.unlink(move.source)
                else:
                    self._leave_source(move)
                crash_point("move.unlinked")
            except OSError as error:
                self._give_up(move, error, linked=True)
                linked.remove(move)
            else:
                self._lanes.note(move.source)
                self._lanes.note(_target(move))

    def _leave_source(self, move: Move) -> None:
        now, there = stamp_at(move.source), stamp_at(_target(move))
        if not same_file(move.source, _target(move)) and now != move.stamp:
            if now is None or there is None or move.stamp is None or there[0] == move.stamp[0]:
                return  # since it was linked, another file has taken its name, which has still to come in
            _check_unchanged(move.source, now, move.stamp)
        with suppress(FileNotFoundError):
            self.files.unlink(move.source)

    def _leave_original(self, original: Original) -> None:
        now = stamp_at(original.path)
        if now is not None and original.stamp is not None:
            _check_unchanged(original.path, now, original.stamp)
        with suppress(FileNotFoundError):
            self.files.unlink(original.path)
        crash_point("move.original")

    def _sync(self, files: _LateSyncs, moves: list[Move], *, linked: bool) -> list[Move]:
        """Make a phase durable; on an error of the disk all of it is undone, and nothing is left to go on with."""
        try:
            files.settle()
        except OSError as error:
            for move in moves:
                self._give_up(move, error, linked=linked)
            return []
        return moves

    def finish(self, source: Path, target: Path, body: dict[str, Any], sidecar: Stamp | None = None) -> None:
        """What follows the commit. Failures are logged: the file is in its place.

        `sidecar` is the one in the inbox that goes with the file; without it, whatever lies there goes.
        """
        self.tidy()
        self._finish([(source, target, body, sidecar)])

    def _finish(self, done: list[tuple[Path, Path, dict[str, Any], Stamp | None]]) -> None:
        """Phases 4 and 5, once it is sure that no old name comes back with a power cut."""
        if not done:
            return
        gone = {folder for folder in {source.parent for source, *_ in done} if self._is_synced(folder)}
        files = _LateSyncs(self.files)
        for source, target, body, sidecar in done:
            if source.parent not in gone:
                continue
            try:
                # Of a sidecar in the inbox only the mark tells that it belongs to this move.
                from_inbox = source.is_relative_to(self.paths.inbox)
                if from_inbox and sidecar in (None, stamp_at(sidecar_of(source))):
                    self.drop_sidecar(source)
                if body:
                    self._write(target, body, files)
                else:
                    self.drop_sidecar(target)
                if not from_inbox:
                    self.drop_sidecar(source)
            except OSError as error:
                self._tell_untidy(target, error)
        try:
            files.settle()
        except OSError as error:
            self._tell_untidy(done[0][1].parent, error)

    def _is_synced(self, folder: Path) -> bool:
        """Sync a folder that files have left; False when the disk refuses, so that their marks must stay."""
        try:
            if folder.exists():
                self.files.fsync_dir(folder)
        except OSError as error:
            self._tell_untidy(folder, error)
            return False
        return True

    def _tell_untidy(self, where: Path, error: OSError) -> None:
        logger.warning("tidying up after a move failed: %s: %s", where, error, extra={"event": "move_untidy"})

    def write(self, data_file: Path, body: dict[str, Any]) -> None:
        """Write a sidecar, durably and in one step."""
        self.tidy()  # which would write an older one over it
        self._write(data_file, body, self.files)

    def _write(self, data_file: Path, body: dict[str, Any], files: Files) -> None:
        try:
            files.write_json(sidecar_of(data_file), finite(body), durable=True)
        finally:
            self._lanes.note(data_file)

    def drop_sidecar(self, data_file: Path) -> None:
        """Remove a sidecar and a rejection report, if they are there."""
        self.tidy()
        try:
            for path in (sidecar_of(data_file), report_of(data_file)):
                with suppress(FileNotFoundError, IsADirectoryError):
                    self.files.unlink(path)
        finally:
            self._lanes.note(data_file)

    def read_body(self, data_file: Path) -> dict[str, Any]:
        """The sidecar as it stands, without the mark of a move."""
        return {key: value for key, value in read_raw(data_file).items() if key != MOVED_FROM}

    def _mark(self, move: Move) -> dict[str, Any]:
        """What `LaneReader.mark` reads back. Only in the queue is the id of a sidecar our own word."""
        in_queue = move.source.is_relative_to(self.paths.queue)
        quest_id = read_raw(move.source).get("quest_id") if in_queue else None
        mark: dict[str, Any] = {
            "path": self._place(move.source), "quest_id": quest_id if isinstance(quest_id, str) else None
        }  # fmt: skip
        if move.original is None:
            return mark if in_queue else {**mark, "stamp": move.stamp, "sidecar": move.dropped_sidecar}
        original = {"path": self._place(move.original.path), "content_hash": move.original.content_hash}
        return {**mark, "original": original, "stamp": move.original.stamp, "sidecar": move.dropped_sidecar}

    def _place(self, path: Path) -> str:
        return (path.relative_to(self.paths.base) if path.is_relative_to(self.paths.base) else path).as_posix()

    def _give_up(self, move: Move, error: OSError, *, linked: bool) -> None:
        """Undo what was done of a move."""
        target, move.target, move.error = move.target, None, error
        if target is None:
            return
        try:
            # Once linked, the target is ours, also when it had to be a copy with an inode of its own.
            if os.path.lexists(move.source) and (linked or same_file(move.source, target)):
                self.files.unlink(target)
            # A file that someone else put there must not find a valid record beside it.
            with suppress(FileNotFoundError):
                self.files.unlink(sidecar_of(target))
        except OSError as stuck:
            logger.warning("the move to %s could not be undone: %s", target, stuck, extra={"event": "move_stuck"})
            if move.original is not None:
                self.stuck.add(move.original.path)
        self._lanes.note(target)

    def _free_names(self, source: Path, folder: Path, name: str) -> Iterator[str]:
        folders = [folder]
        if folder.parent == self.paths.queue:
            folders += [self.paths.lane(lane) for lane in OPEN_LANES if lane != folder.name]
        own = {str(source), str(sidecar_of(source))}

        def is_free(candidate: str) -> bool:
            places = [f"{each}/{candidate}" for each in folders]
            places += [f"{place}{SIDECAR_SUFFIX}" for place in places]
            return not any(os.path.lexists(place) for place in places if place not in own)

        if is_free(name):
            yield name
        # Of ten thousand files of one name, the last must not look at the disk for each number before its own.
        names = [self._lanes.names(each.name) for each in folders if each.parent == self.paths.queue]
        known = [taken for each in names for taken in (each.data, each.sidecars)]
        stem, suffix = split_name(name)
        for number in count(2):
            candidate = f"{stem}_{number}{suffix}"
            if not any(candidate in taken for taken in known) and is_free(candidate):
                yield candidate


class _LateSyncs(Files):
    """The disk, but for directories: which of them are to be synced is noted, and done once, by `settle`."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._folders: set[Path] = set()

    def fsync(self, fd: int) -> None:
        self._files.fsync(fd)

    def replace(self, source: Path, target: Path) -> None:
        self._files.replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._files.link(source, target)

    def unlink(self, path: Path) -> None:
        self._files.unlink(path)

    def write(self, fd: int, data: bytes) -> None:
        self._files.write(fd, data)

    def fsync_dir(self, folder: Path) -> None:
        self._folders.add(folder)

    def settle(self) -> None:
        """Make everything since the beginning durable."""
        for folder in self._folders:
            self._files.fsync_dir(folder)


def _check_unchanged(path: Path, now: Stamp, before: Stamp) -> None:
    # Without the inode: on some network shares it changes by itself.
    if now[1:] != before[1:]:
        raise OSError(errno.ESTALE, "it was changed while it was taken in", str(path))


def _target(move: Move) -> Path:
    assert move.target is not None, "this move has no name yet"
    return move.target


def quest_of(move: Move, record: QuestRecord) -> Quest | NotFound | OSError:
    """What came of a move: the quest in its new place, or why it stays."""
    if move.target is None:
        gone = isinstance(move.error, FileNotFoundError) and not os.path.lexists(move.dropped)
        return NotFound(f"{move.dropped} is gone.") if gone or move.error is None else move.error
    logger.info(
        "%s: %s → %s", record.quest_id, move.dropped, move.target,
        extra={"event": "quest_moved", "quest_id": record.quest_id},
    )  # fmt: skip
    return Quest(move.target, record)


def body_of(record: QuestRecord) -> dict[str, Any]:
    """The sidecar of a record; lineage never overrides a field of the realm."""
    # Not asdict() of the whole: copying deeply takes longer than all moves of a quest together.
    own = {**vars(record), "strikes": [asdict(strike) for strike in record.strikes]}
    lineage: dict[str, Any] = own.pop("lineage")
    return {**own, **foreign_keys(lineage)}


def foreign_keys(lineage: dict[str, Any]) -> dict[str, Any]:
    """Keys that are no fields of a quest record: a dropped sidecar must not forge an id or an outcome."""
    return {
        key: value
        for key, value in lineage.items()
        if key not in QuestRecord.__dataclass_fields__ and key != MOVED_FROM
    }


def fit_name(name: str) -> str:
    """A name that all file systems and terminals take: no control signs or broken bytes, and short enough."""
    stem, suffix = split_name(name)
    stem = "".join(sign if sign.isprintable() and sign != "/" else "_" for sign in stem)
    stem = stem.encode()[: NAME_BYTES - len(suffix)].decode(errors="ignore").lstrip(".")
    return f"{stem or 'quest'}{suffix or DATA_SUFFIX}"

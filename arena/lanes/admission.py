"""Takes checked files into the lanes, several at a time."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from arena.lanes.moves import NO_FILE, LaneMover, Move, body_of, fit_name, foreign_keys, quest_of
from arena.lanes.reading import (
    DATA_SUFFIX,
    MOVED_FROM,
    LaneReader,
    Original,
    Stamp,
    content_hash,
    lineage_beside,
    stamp_of,
)
from arena.quest_names import dropped_sidecar_of
from arena.quests import Quest, QuestRecord, sidecar_of
from core.errors import InvalidInput, NotFound
from core.files import Files, same_file
from core.paths import PRIORITIES, RealmPaths

COPIED_AHEAD_BYTES = 1 << 20
"""From this size on, a copy takes so long that the board must not be locked meanwhile."""


class Unpacked(NamedTuple):
    """The rows of a packed file that was let in: they go into the lane, and the packed file goes for good.

    A large file that could not be linked into its lane is taken in the same way, by way of its copy.
    """

    path: Path
    """Where they lie in the file system of the lanes."""
    packed_hash: str
    """BLAKE3 of the packed file, hex."""
    stamp: Stamp | None = None
    """Which file of that name was read, where that is known."""


class Admission(NamedTuple):
    """A checked file: where it lies, what was found out, the lane it goes to and the name it shall have there."""

    source: Path
    record: QuestRecord
    lane: str
    name: str
    unpacked: Unpacked | None = None


def place_to_unpack(paths: RealmPaths) -> Path:
    """A name that nothing else has, in the file system of the lanes, where nothing outlives the end of the realm."""
    return paths.unpacking / f"{uuid.uuid4().hex}{DATA_SUFFIX}"


def copy_ahead(admission: Admission, paths: RealmPaths, files: Files) -> Admission | OSError:
    """Copy a large file from which no link can lead into a lane: it lies on another file system, or is not our own.

    To be called without the board's lock, which every page and every beat of the status waits for.
    """
    source, record = admission.source, admission.record
    stamp = stamp_of(source)
    in_queue = source.is_relative_to(paths.queue)
    if stamp is None or stamp[1] < COPIED_AHEAD_BYTES or admission.unpacked is not None or in_queue:
        return admission
    place = place_to_unpack(paths)
    try:
        place.parent.mkdir(exist_ok=True)
        if not files.copy_unless_linkable(source, place):
            return admission
        copied_hash = record.content_hash or content_hash(place)
    except FileNotFoundError:
        return admission  # taken away meanwhile
    except OSError as error:
        return error
    return admission._replace(unpacked=Unpacked(place, copied_hash, stamp))


def admit_all(
    admissions: Sequence[Admission | OSError], lanes: LaneReader, mover: LaneMover, *, now: datetime, tidy_later: bool
) -> list[Quest | NotFound | OSError]:
    """Move each file into its lane; gives its quest, or why it stays. For the quest board, under its lock."""
    begun = [each if isinstance(each, OSError) else _begin(each, lanes, mover, now) for each in admissions]
    mover.rename_all([step[0] for step in begun if isinstance(step, tuple)], tidy_later=tidy_later)
    return [quest_of(*step) if isinstance(step, tuple) else step for step in begun]


def _begin(
    admission: Admission, lanes: LaneReader, mover: LaneMover, now: datetime
) -> Quest | NotFound | OSError | tuple[Move, QuestRecord]:
    """The move that is still to be made, or what came of the admission already."""
    source, record, lane, name, unpacked = admission
    if lane not in (*PRIORITIES, "failed"):
        raise InvalidInput(f"A quest cannot be admitted into {lane!r}.", hint="Use high, normal, low or failed.")
    try:
        half = _half_admitted(source, lanes, mover)
        if half is not None:
            return half
        _give_name(source, mover)
        beside = _sidecar_beside(source)
        lineage = foreign_keys({**lineage_beside(source), **record.lineage})
        if lane == "failed":
            finished_at = now.astimezone(UTC).isoformat()
            outcome = record.outcome or "rejected"
            record = replace(record, lineage=lineage, outcome=outcome, finished_at=finished_at)
        else:
            record = replace(record, lineage=lineage, priority=lane, outcome=None)
        folder = lanes.paths.lane(lane)
        if source.parent == folder:
            mover.write(source, body_of(record))
            return Quest(source, record)
    except (NotFound, OSError) as error:
        return error
    if unpacked is None:
        return Move(source, folder, fit_name(name), body_of(record), dropped_sidecar=beside), record
    original = Original(source, unpacked.packed_hash, unpacked.stamp or stamp_of(source))
    return Move(unpacked.path, folder, fit_name(name), body_of(record), original, beside), record


def _give_name(source: Path, mover: LaneMover) -> None:
    """A packed file's sidecar may bear the name of what is inside: give it the one that goes with the file."""
    dropped = dropped_sidecar_of(source)
    if dropped != sidecar_of(source) and os.path.lexists(dropped):
        mover.files.replace(dropped, sidecar_of(source))


def _sidecar_beside(source: Path) -> Stamp | None:
    """Which sidecar goes with the file: one that is dropped from now on belongs to the next file of that name."""
    sidecar = sidecar_of(source)
    return stamp_of(sidecar) if os.path.lexists(sidecar) else NO_FILE


def _half_admitted(source: Path, lanes: LaneReader, mover: LaneMover) -> Quest | None:
    """The quest that an interrupted admission of this very source left under both names, with the move finished."""
    try:
        status = source.lstat()
    except OSError as error:
        raise NotFound(f"{source} is gone.") from error
    if source in mover.stuck:
        return _half_unpacked(source, lanes, mover)
    if status.st_nlink < 2:
        return None
    for lane in (*PRIORITIES, "failed"):
        for file in lanes.files(lane):
            same = file.stamp[0] == status.st_ino and same_file(file.path, source)
            mark = lanes.mark(file.path) if same else None
            if mark is not None and mark.source == source and mark.quest_id is None:
                mover.files.unlink(source)
                mover.finish(source, file.path, mover.read_body(file.path))
                record = lanes.record(file.path)
                return Quest(file.path, record) if record else None
    return None


def _half_unpacked(source: Path, lanes: LaneReader, mover: LaneMover) -> Quest | None:
    """The quest whose packed file this still is, with the move finished."""
    mover.stuck.discard(source)
    for lane in (*PRIORITIES, "failed"):
        for file, record in lanes.records(lane):
            mark = lanes.mark(file.path) if MOVED_FROM in record.lineage else None
            packed = mark.original if mark is not None else None
            if packed is not None and packed.path == source and packed.content_hash == content_hash(source):
                mover.files.unlink(source)
                mover.finish(source, file.path, mover.read_body(file.path))
                return Quest(file.path, record)
    return None

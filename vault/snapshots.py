"""Daily snapshots: `snapshots/YYYY-MM-DD/` holds the present checkpoint of that day and the settings (spec 1.19).

    snapshots/2026-11-21/checkpoint-190000-20261121-0152/   every file that its manifest names, and the manifest
    snapshots/2026-11-21/settings.yaml                      what `realm.yaml` set, without its secrets
    snapshots/2026-11-21/SNAPSHOT.json

The files are hard links where the disk has them, which costs no room while the checkpoint is there too: nothing writes
into a published checkpoint. A snapshot is whole or absent: it is filled in `.staging-*`, checked, and renamed.
No secret lies in it, as it may be carried to any host.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import uuid
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import yaml

from core.checkpoint_records import is_checkpoint_name
from core.crash_points import crash_point
from core.errors import Conflict, InvalidInput, RealmError, Unavailable
from core.file_lock import directory_locked_if_free, locked_directory
from core.files import DISK, NO_HARD_LINKS, Files, read_json
from core.paths import RealmPaths
from core.settings_reading import read_yaml, secret_settings
from vault.checkpoints import STAGING, CheckpointDir, CheckpointStore
from vault.manifest import MANIFEST, check_manifest, listed_files
from vault.trash import discard, hidden_folders, to_trash
from vault.weights import ADAPTER_CONFIG, CONFIG, is_adapter, weight_files

logger = logging.getLogger(__name__)

NOTE = "SNAPSHOT.json"
SETTINGS = "settings.yaml"
VERSION = 1
TRIES = 3
"""A checkpoint in the rolling slot may be replaced by a newer one while its files are linked."""

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def due_day(now: datetime, at: str) -> date:
    """The day whose snapshot is the latest that should be there: that of the last `at` (HH:MM, local time).

    A day on which no realm ran is made up for, under its own date, until the next one is due.
    """
    local = now.astimezone()
    passed = local.time().replace(tzinfo=None) >= time.fromisoformat(at)
    return local.date() if passed else local.date() - timedelta(days=1)


def snapshot_days(paths: RealmPaths) -> list[date]:
    """The days of which there is a snapshot, oldest first."""
    try:
        names = [path.name for path in paths.snapshots.iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []
    return sorted(day for name in names if (day := _day(name)) is not None)


def check_snapshot(folder: Path, *, deep: bool) -> list[str]:
    """What is wrong with a snapshot, in words; an empty list means that its model can be loaded.

    It must hold a whole model, not the adapter of one (A11). With `deep` all its files are hashed.
    """
    note = read_json(folder / NOTE)
    name = note.get("checkpoint") if isinstance(note, dict) else None
    if not isinstance(name, str) or not is_checkpoint_name(name):
        return [f"{NOTE} is missing or damaged"]
    return _check_model(folder / name, deep=deep)


def take_snapshot(paths: RealmPaths, day: date, *, now: datetime, files: Files = DISK) -> dict[str, Any] | None:
    """Take the snapshot of `day`, unless a whole one is there; returns what its note says, None when nothing was done.

    Nothing is done either before the first checkpoint. A damaged snapshot is taken anew. Hashes all files of a new
    one: a job for the scribe. Raises `Conflict` when the present checkpoint is not whole, `Unavailable` without room.
    """
    paths.snapshots.mkdir(exist_ok=True)
    with locked_directory(paths.snapshots):
        _drop_half_made(paths.snapshots, files)
        target = paths.snapshots / day.isoformat()
        if target.is_dir():
            problems = check_snapshot(target, deep=False)
            if not problems:
                return None
            logger.warning("%s is taken anew: %s", target, "; ".join(problems), extra={"event": "snapshot_damaged"})
        staging = paths.snapshots / f"{STAGING}{uuid.uuid4().hex}"
        try:
            note = _fill(paths, staging, day, now, files)
            if note is not None:
                _put_in_place(staging, target, files)
                files.fsync_dir(paths.base)  # should this be the first one
        finally:
            # Gone by then, unless something failed.
            if staging.exists():
                discard(staging, files)
    return note


def take_daily(base: str, day: str, now: str) -> dict[str, Any] | None:
    """`take_snapshot` as a job of the scribe, which takes other errors for bugs: the disk's become `Unavailable`."""
    paths = RealmPaths(Path(base))
    try:
        return take_snapshot(paths, date.fromisoformat(day), now=datetime.fromisoformat(now))
    except OSError as error:
        raise Unavailable(f"The disk refused: {error}.") from error


def sweep_snapshots(paths: RealmPaths, files: Files = DISK) -> None:
    """Remove what a killed scribe has left of a snapshot, unless one is being taken.

    Its hard links keep the room of checkpoints that are long deleted.
    """
    if paths.snapshots.is_dir():
        with directory_locked_if_free(paths.snapshots) as free:
            if free:
                _drop_half_made(paths.snapshots, files)


def _day(name: str) -> date | None:
    try:
        return date.fromisoformat(name) if _DAY.fullmatch(name) else None
    except ValueError:
        return None


def _check_model(folder: Path, *, deep: bool) -> list[str]:
    problems = check_manifest(folder, deep=deep)
    config = ADAPTER_CONFIG if is_adapter(folder) else CONFIG
    if not isinstance(read_json(folder / config), dict):
        problems.append(f"{config} is missing or damaged")
    try:
        empty = [file.name for file in weight_files(folder) if not file.stat().st_size]
        problems += [f"{name} is empty" for name in empty]
    except RealmError as error:
        problems.append(str(error))
    return problems


def _drop_half_made(folder: Path, files: Files) -> None:
    for leftover in hidden_folders(folder, STAGING):
        discard(leftover, files)


def _fill(paths: RealmPaths, staging: Path, day: date, now: datetime, files: Files) -> dict[str, Any] | None:
    brought = _bring_present(CheckpointStore(paths.current_model, files), staging, files)
    if brought is None:
        return None
    present, linked = brought
    _refuse(present, _check_model(staging / present.name, deep=True))
    if (settings := _settings_of(paths, day)) is not None:
        files.write_atomic(staging / SETTINGS, settings.encode(), durable=True)
    note = {
        "version": VERSION,
        "day": day.isoformat(),
        "taken_at": now.isoformat(),
        "checkpoint": present.name,
        "step": present.step,
        "hard_links": linked,
    }
    files.write_json(staging / NOTE, note, durable=True)
    for parent, _, _ in os.walk(staging, topdown=False):
        files.fsync_dir(Path(parent))
    crash_point("snapshot.staged")
    return note


def _settings_of(paths: RealmPaths, day: date) -> str | None:
    """Comments are left out too, as an address may stand in one; None where there are none that could be read."""
    try:
        values = read_yaml(paths.config_file) if paths.config_file.exists() else None
    except InvalidInput as error:  # somebody may be at work on them; the model is snapped all the same
        logger.warning("no settings in a snapshot: %s", error, extra={"event": "snapshot_without_settings"})
        return None
    if values is None:
        return None
    for name in secret_settings():
        *sections, last = name.split(".")
        place: Any = values
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place.pop(last, None)
    told = f"# What configs/{paths.config_file.name} set on {day}, without comments and secrets.\n"
    return told + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _bring_present(store: CheckpointStore, staging: Path, files: Files) -> tuple[CheckpointDir, bool] | None:
    """Fill `staging` with the present checkpoint, by HEAD, else by number (A10); None before the first one."""
    tries = 0
    while (present := store.resolve("latest")) is not None:
        tries += 1
        try:
            return present, _bring_checkpoint(present, staging, files)
        except (FileNotFoundError, RealmError):
            if present.path.is_dir() or tries == TRIES:
                raise
            if staging.exists():
                discard(staging, files)
    return None


def _bring_checkpoint(source: CheckpointDir, staging: Path, files: Files) -> bool:
    """Every file that the manifest names, and the manifest; returns whether all of them are hard links."""
    # Also, no name in it leads out of the checkpoint then.
    _refuse(source, check_manifest(source.path, deep=False))
    entries = listed_files(source.path)
    total = sum(int(entry["size"]) for entry in entries.values())
    linked = True
    for name in (*entries, MANIFEST):
        target = staging / source.name / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if linked and not _link(source.path / name, target, files):
            linked = False
            _check_room(staging, total)
        if not linked:
            files.copy(source.path / name, target)
    return linked


def _refuse(checkpoint: CheckpointDir, problems: list[str]) -> None:
    if problems:
        told = "; ".join(problems)
        raise Conflict(f"{checkpoint.name} is not whole: {told}.", hint="`realm ledger verify` tells more.")


def _link(source: Path, target: Path, files: Files) -> bool:
    try:
        files.link(source, target)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return False
    return True


def _check_room(folder: Path, needed_bytes: int) -> None:
    """A copy must not take the room that the next checkpoint needs."""
    free = shutil.disk_usage(folder).free
    if free < 2 * needed_bytes:
        raise Unavailable(
            f"There is no room for a snapshot: it takes {needed_bytes:,} bytes, and {free:,} are free.",
            hint="Make room, or put snapshots/ and current_model/ on one file system, where it takes none.",
        )


def _put_in_place(staging: Path, target: Path, files: Files) -> None:
    replaced = to_trash(target, files) if target.exists() else None
    crash_point("snapshot.replaced")
    files.rename_dir(staging, target)
    files.fsync_dir(target.parent)
    if replaced is not None:
        discard(replaced, files)

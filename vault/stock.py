"""Taking stock: what lies in the vault, as the disk tells it and nothing else (A1, A9).

Checkpoints are looked for where the trainer writes them, in `current_model/` itself.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.checkpoint_records import checkpoint_names, checkpoint_order, extract_step, is_checkpoint_name
from core.checkpoint_survey import OPTIMIZER_FILE, saved_at
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore, branch_number
from vault.manifest import MANIFEST
from vault.retention import Holding, Inode
from vault.seals import NOTE, Seal
from vault.snapshots import snapshot_days

_ARCHIVE_NAME = re.compile(r"(?P<hero>.+)-(?P<time>[0-9]{8}T[0-9]{6})Z(?:-(?P<number>[0-9]{1,9}))?")


def take_stock(paths: RealmPaths, ledger: CheckpointLedger, store: CheckpointStore) -> list[Holding]:
    """Everything that has a limit. What vanishes meanwhile is left out."""
    found = (*_checkpoints(ledger, store), *_branches(store), *_archives(paths), *_snapshots(paths))
    return [each for each in found if each.path.is_dir()]


def stock_of_checkpoints(ledger: CheckpointLedger, store: CheckpointStore) -> list[Holding]:
    """What of it lies in `current_model/` itself."""
    return [each for each in _checkpoints(ledger, store) if each.path.is_dir()]


def outline_of_checkpoints(ledger: CheckpointLedger, store: CheckpointStore) -> list[Holding]:
    """Those in `current_model/` and its branches as far as their names and records tell: without their files."""
    unread: Callable[[Path], dict[Inode, int]] = lambda folder: {}  # noqa: E731
    return [*_checkpoints(ledger, store, unread), *_branches(store, unread)]


def stock_of_copies(paths: RealmPaths) -> list[Holding]:
    """Checkpoints in `models/` that came with their manifest: brought from other hosts, or by hand."""
    places = [paths.models / name for name in checkpoint_names(paths.models)]
    found = [
        Holding(
            kind="copy",
            name=place.name,
            path=place,
            order=_numbers_in(place.name),
            since=_asked(_renamed_at, place),
            files=files_of(place),
            step=extract_step(place.name),
        )
        for place in places
        if (place / MANIFEST).is_file()
    ]
    return [each for each in found if each.path.is_dir()]


def stock_of_backups(seals: Iterable[Seal]) -> list[Holding]:
    """Those of one stronghold; their sizes are those of their notes, as a walk through a share takes its time."""
    found = []
    for number, seal in enumerate(seals):
        name, at = seal.note.name, seal.note.sealed_at
        found.append(
            Holding(
                kind="backup",
                name=seal.name,
                path=seal.path,
                order=(int(at.timestamp()), number),
                since=at,
                files={_inode_of(seal.path / NOTE, number): seal.size_bytes},
                step=extract_step(name) if is_checkpoint_name(name) else None,
                stronghold=seal.stronghold,
            )
        )
    return found


def _inode_of(file: Path, number: int) -> Inode:
    try:
        status = file.lstat()
    except OSError:
        return -1, number
    return status.st_dev, status.st_ino


def _checkpoints(
    ledger: CheckpointLedger, store: CheckpointStore, files: Callable[[Path], dict[Inode, int]] | None = None
) -> Iterator[Holding]:
    records = {record.canonical_name: record for record in ledger.list_all()}
    for found in store.list():
        whole = (found.path / OPTIMIZER_FILE).is_file()
        yield Holding(
            kind="resumable" if whole else "weights_only",
            name=found.name,
            path=found.path,
            order=_numbers_in(found.name),
            since=_time_of(records.get(found.name)) or _asked(saved_at, found.path),
            files=(files or files_of)(found.path),
            step=found.step,
        )


def _branches(store: CheckpointStore, files: Callable[[Path], dict[Inode, int]] | None = None) -> Iterator[Holding]:
    for found in store.branches():
        yield Holding(
            kind="branch",
            name=f"{found.path.parent.name}/{found.name}",
            path=found.path,
            order=(branch_number(found.path.parent.name), *_numbers_in(found.name)),
            since=_asked(_renamed_at, found.path),
            files=(files or files_of)(found.path),
            step=found.step,
        )


def _archives(paths: RealmPaths) -> Iterator[Holding]:
    for folder in _folders(paths.archive):
        named = _ARCHIVE_NAME.fullmatch(folder.name)
        at = _time_in(named["time"]) if named else None
        yield Holding(
            kind="archive",
            name=folder.name,
            path=folder,
            order=(int(at.timestamp()), int(named["number"] or 1)) if named and at else (0, 0),
            since=at or _asked(_renamed_at, folder),
            files=files_of(folder),
            hero=named["hero"] if named and at else None,
        )


def _snapshots(paths: RealmPaths) -> Iterator[Holding]:
    for day in snapshot_days(paths):
        folder = paths.snapshots / day.isoformat()
        yield Holding(
            kind="snapshot", name=day.isoformat(), path=folder, order=(day.toordinal(),), since=_begin_of(day),
            files=files_of(folder),
        )  # fmt: skip


def files_of(folder: Path) -> dict[Inode, int]:
    """Bytes of each regular file below `folder`, by device and inode; links are not followed."""
    found: dict[Inode, int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                found[status.st_dev, status.st_ino] = status.st_size
    return found


def _folders(parent: Path) -> list[Path]:
    try:
        return [path for path in parent.iterdir() if not path.name.startswith(".") and _is_folder(path)]
    except FileNotFoundError:
        return []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _numbers_in(name: str) -> tuple[int, int, int]:
    step, day, time, _ = checkpoint_order(name)
    return step, int(day or 0), int(time or 0)


def _time_of(record: CheckpointRecord | None) -> datetime | None:
    try:
        at = datetime.fromisoformat(record.timestamp) if record else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _time_in(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _renamed_at(folder: Path) -> datetime:
    """Moving a directory is the last change of its inode; later ones only let it stay longer."""
    return datetime.fromtimestamp(folder.stat().st_ctime, UTC)


def _asked(clock: Callable[[Path], datetime], folder: Path) -> datetime:
    try:
        return clock(folder)
    except FileNotFoundError:  # gone, and left out in the end
        return datetime.fromtimestamp(0, UTC)


def _begin_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day).astimezone()

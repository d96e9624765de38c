"""Archived models: each lies whole in `archive/{hero}-{UTC time}/`, with a note and the points of its charts."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from arena.journal import JOURNAL_NAME, History, read_history
from core.checkpoint_records import checkpoint_names, extract_step
from core.errors import RealmError
from core.files import DISK, Files, read_json
from core.paths import RealmPaths
from core.saga import open_saga
from vault.checkpoints import BRANCHES, HEAD_FILE, CheckpointStore

logger = logging.getLogger(__name__)

NOTE = "ARCHIVE.json"
SERIES = "series.json"
ALL_POINTS = 10**9


@dataclass(frozen=True)
class Archive:
    """One archived model."""

    name: str
    """Of its directory below `archive/`."""
    hero: str | None
    """Whose model it is, by its journal; None when that cannot be read."""
    archived_at: str | None
    """ISO 8601 UTC."""
    checkpoint: str | None
    step: int | None
    """Of its present checkpoint."""
    quests_learned: int | None


def list_archives(paths: RealmPaths) -> list[Archive]:
    """All archives, the latest first; one whose files are damaged is listed with what can be told."""
    if not paths.archive.is_dir():
        return []
    folders = [folder for folder in paths.archive.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    found = [_look_at(folder) for folder in folders]
    return sorted(found, key=lambda archive: (archive.archived_at or "", archive.name), reverse=True)


def archive_name(hero: str, now: datetime) -> str:
    """Such as `dio-20261121T093000Z`."""
    return f"{hero}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def holds_a_model(paths: RealmPaths) -> bool:
    """True when there is something in `current_model/` that its owner may miss."""
    root = paths.current_model
    return any((root / name).exists() for name in (JOURNAL_NAME, HEAD_FILE, BRANCHES)) or bool(checkpoint_names(root))


def write_note(paths: RealmPaths, name: str, history: History, *, now: datetime, files: Files = DISK) -> None:
    """Put beside the model what its archive should tell; the model is not moved yet."""
    present = CheckpointStore(paths.current_model, files).resolve("latest")
    learned = sum(history.outcome_of(ordinal) == "learned" for ordinal in history.claims)
    note = Archive(
        name=name,
        hero=history.genesis.hero if history.genesis else None,
        archived_at=now.astimezone(UTC).isoformat(),
        checkpoint=present.name if present else None,
        step=present.step if present else 0,
        quests_learned=learned,
    )
    files.write_json(paths.current_model / NOTE, asdict(note), durable=True)
    series = _read_series(paths)
    files.write_atomic(paths.current_model / SERIES, json.dumps(series).encode(), durable=True)


def restore_series(paths: RealmPaths, message: str, *, now: datetime) -> None:
    """The charts of the model that is present now replace those of the one before; the saga hears of the change."""
    if not paths.saga_db.exists():
        return
    series = read_json(paths.current_model / SERIES)
    try:
        with open_saga(paths) as saga:
            saga.cut_back(-1)
            for name, points in (series if isinstance(series, dict) else {}).items():
                saga.put_points(name, [(step, value) for step, value in points], now=now)
            saga.append("hero_changed", message, now=now)
    except (RealmError, TypeError, ValueError) as error:
        logger.warning("the charts were not restored: %s", error, extra={"event": "saga_failed"})


def forget_note(paths: RealmPaths) -> None:
    """The model is in use again."""
    for name in (NOTE, SERIES):
        (paths.current_model / name).unlink(missing_ok=True)


def _read_series(paths: RealmPaths) -> dict[str, list[tuple[int, float]]]:
    if not paths.saga_db.exists():
        return {}
    try:
        with open_saga(paths) as saga:
            return {name: saga.points(name, limit=ALL_POINTS) for name in saga.series_names()}
    except RealmError as error:
        logger.warning("the charts are not archived: %s", error, extra={"event": "saga_failed"})
        return {}


def _look_at(folder: Path) -> Archive:
    note = read_json(folder / NOTE)
    if isinstance(note, dict):
        try:
            return Archive(**{**note, "name": folder.name})
        except TypeError:
            logger.info("%s is not understood", folder / NOTE, extra={"event": "archive_note_odd"})
    names = checkpoint_names(folder)
    try:
        genesis = read_history(folder / JOURNAL_NAME).genesis
    except (RealmError, OSError):
        genesis = None
    newest = names[-1] if names else None
    return Archive(
        name=folder.name, hero=genesis.hero if genesis else None, archived_at=None, checkpoint=newest,
        step=extract_step(newest) if newest else None, quests_learned=None,
    )  # fmt: skip

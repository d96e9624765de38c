"""Changing the hero: the present model goes into the archive whole, another comes back from there or begins anew.

    1. the plan in `.hero-change.json` (the commit)     crash before: it never happened
    2. the settings name the new hero
    3. `current_model/` is renamed into `archive/`      crash after: whoever starts next finishes it
    4. an archived model is renamed to `current_model/`
    5. ledger and charts follow; the plan is removed

A model is only ever renamed, never copied, so that it is whole in exactly one place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from arena.annals.turning import forget_status
from arena.disk.headroom import HEADROOM
from arena.disk.places import MARK
from arena.hall.archives import (
    Archive,
    archive_name,
    forget_note,
    holds_a_model,
    list_archives,
    restore_series,
    write_note,
)
from arena.heroes import SEEDLING, Hero, load_hero, lora_of, resolve_base_model
from arena.journal import JOURNAL_NAME, History, read_history
from arena.lora import same_kind, told
from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import checkpoint_names
from core.crash_points import crash_point
from core.errors import Conflict, NotFound
from core.files import DISK, Files
from core.paths import RealmPaths
from core.settings import Settings
from core.settings_reading import read_yaml
from core.shell.config_file import change_settings
from vault.checkpoints import CheckpointStore


class HeroChange(msgspec.Struct, frozen=True, kw_only=True):
    """The plan: all that has to be known to finish a change."""

    at: str
    hero: str
    message: str
    archive: str | None
    """Name that the present model gets in the archive; None when there is none."""
    restore: str | None
    """Name of the archived model that becomes the present one; None begins a new one."""
    changes: dict[str, Any]
    """Locked settings that change with the hero, by dotted name; None for the hero's own value."""


@dataclass(frozen=True)
class Changed:
    """What a change did."""

    hero: str
    title: str
    archived: str | None
    restored: str | None
    step: int
    """Global step of the model that is present now."""
    settings: dict[str, Any]
    """Locked settings that were changed with the hero, by dotted name; None for the hero's own value."""
    requeued: list[str]
    """Files that wait again, for this hero."""


def change_hero(
    paths: RealmPaths,
    hero_id: str,
    *,
    now: datetime,
    clear: Callable[[], list[str]],
    fresh: bool = False,
    archive: str | None = None,
    files: Files = DISK,
) -> Changed | None:
    """Let `hero_id` be the one who trains; None when he is already. The caller holds the locks.

    His latest archived model comes back, or the one named `archive`; with `fresh`, or without any, he begins anew.
    `clear` sees to it that no quest is open, and returns the files that wait again.
    """
    hero = load_hero(paths, hero_id)
    history = read_history(paths.current_model / JOURNAL_NAME)
    present = history.genesis.hero if history.genesis else None
    values = read_yaml(paths.config_file) if paths.config_file.exists() else {}
    if present == hero_id and not fresh and archive is None:
        if values.get("hero", SEEDLING) == hero_id:
            return None
        # Only the settings had gone astray.
        change_settings(paths.config_file, {"hero": hero_id}, files=files)
        return Changed(hero_id, hero.title, None, None, step_of(paths.current_model), {}, [])
    restored = None if fresh else _archive_of(paths, hero_id, archive)
    changes = _locked_changes(paths, hero, history, restored, values)
    if restored is None:
        # A model that cannot be found is told now, not at the next start.
        resolve_base_model(hero, Settings(model_name=changes.get("model_name", values.get("model_name"))), paths)
    going = holds_a_model(paths)
    if not going and restored is None and not changes and values.get("hero", SEEDLING) == hero_id:
        return None
    if going:
        _check_movable(paths)
    waiting = clear()
    kept = _free_archive_name(paths, present or str(values.get("hero", SEEDLING)), now) if going else None
    if kept is not None:
        write_note(paths, kept, read_history(paths.current_model / JOURNAL_NAME), now=now, files=files)
    plan = HeroChange(
        at=now.astimezone(UTC).isoformat(), hero=hero_id, message=_message(hero, kept, restored), archive=kept,
        restore=restored.name if restored else None, changes=changes,
    )  # fmt: skip
    files.write_atomic(paths.hero_change, msgspec.json.encode(plan), durable=True)
    crash_point("hero.planned")
    finish_change(paths, files=files)
    return Changed(hero_id, hero.title, kept, plan.restore, step_of(paths.current_model), changes, waiting)


def finish_change(paths: RealmPaths, *, files: Files = DISK) -> str | None:
    """Finish a change that was decided; returns what it was, None when there is none. The caller holds the locks."""
    try:
        plan = msgspec.json.decode(paths.hero_change.read_bytes(), type=HeroChange)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Conflict(
            f"{paths.hero_change} is damaged: {error}.", hint="Look into archive/, then delete it."
        ) from error
    change_settings(paths.config_file, {"hero": plan.hero, **plan.changes}, files=files)
    crash_point("hero.chosen")
    if plan.archive is not None and not (paths.archive / plan.archive).exists():
        (paths.current_model / HEADROOM).unlink(missing_ok=True)  # no archive needs a reserve
        _move(paths.current_model, paths.archive / plan.archive, files)
    crash_point("hero.archived")
    if plan.restore is not None and (paths.archive / plan.restore).exists():
        _clear_empty(paths.current_model)
        _move(paths.archive / plan.restore, paths.current_model, files)
    crash_point("hero.restored")
    paths.create()
    now = datetime.fromisoformat(plan.at)
    ledger = CheckpointLedger.of(paths, files)
    for name in checkpoint_names(paths.archive / plan.archive) if plan.archive else []:
        ledger.forget(name, f"archived in {paths.archive / str(plan.archive)}", now=now)
    ledger.reconcile(now=now)
    restore_series(paths, plan.message, now=now)
    forget_status(paths)
    files.unlink(paths.hero_change)
    forget_note(paths)
    return plan.message


def _archive_of(paths: RealmPaths, hero_id: str, name: str | None) -> Archive | None:
    archives = list_archives(paths)
    if name is None:
        return next((archive for archive in archives if archive.hero == hero_id), None)
    found = next((archive for archive in archives if archive.name == name), None)
    if found is None:
        raise NotFound(f"There is no {name!r} in {paths.archive}.", hint="`realm hero list` names the archives.")
    if found.hero != hero_id:
        raise Conflict(f"{name} holds a model of {found.hero or 'an unknown hero'}, not of {hero_id}.")
    return found


def _locked_changes(
    paths: RealmPaths, hero: Hero, history: History, restored: Archive | None, values: dict[str, Any]
) -> dict[str, Any]:
    """What the locked settings must become; None where the hero's own value is to be in force."""
    if restored is not None:
        past = read_history(paths.archive / restored.name / JOURNAL_NAME)
        _check_adapters(past, hero, restored)
        wanted = _settings_of(past, hero, paths)
    elif history.genesis is None or history.genesis.hero == hero.id:
        return {}
    else:
        # What was set for the model that goes; anything else is a wish for the one that comes.
        trained = _trained_with(history)
        name, length = _value(values, "model_name"), _value(values, "hyperparams.max_length")
        own = isinstance(name, str) and Path(name).name == Path(str(trained["model_name"])).name
        wanted = {"model_name": None} if own else {}
        wanted |= {"hyperparams.max_length": None} if length == trained["hyperparams.max_length"] else {}
    return {name: value for name, value in wanted.items() if value != _value(values, name)}


def _trained_with(history: History) -> dict[str, Any]:
    """The locked settings that a model was trained with, as its journal tells."""
    last_claim = history.claims.get(history.next_ordinal - 1)
    return {
        "model_name": history.genesis.base_model if history.genesis else None,
        "hyperparams.max_length": last_claim.settings.max_length if last_claim else None,
    }


def _check_adapters(past: History, hero: Hero, restored: Archive) -> None:
    """What stands in the hero's file is no setting that could be changed with him."""
    trained = past.genesis.lora if past.genesis else None
    wanted = lora_of(hero, Settings())
    if not same_kind(trained, wanted):
        raise Conflict(
            f"archive/{restored.name} was trained with {told(trained)}, and the file of {hero.id} says {told(wanted)}.",
            hint=f"Set `lora` in his file back, or begin anew with `realm hero use {hero.id} --fresh`.",
        )


def _settings_of(past: History, hero: Hero, paths: RealmPaths) -> dict[str, Any]:
    """The same as settings: None where it is what the hero's file says."""
    trained = _trained_with(past)
    model = trained["model_name"]
    if model is not None and Path(hero.base_model).name == Path(model).name:
        trained["model_name"] = None
    elif model is not None and (paths.models / Path(model).name).is_dir():
        # The base directory may have moved since; what lies in `models/` moved with it.
        trained["model_name"] = Path(model).name
    if trained["hyperparams.max_length"] == hero.hyperparams.max_length:
        trained["hyperparams.max_length"] = None
    return trained


def _value(values: dict[str, Any], name: str) -> Any:
    place: Any = values
    for part in name.split("."):
        place = place.get(part) if isinstance(place, dict) else None
    return place


def _check_movable(paths: RealmPaths) -> None:
    """A rename works within one file system, and not for the top of one."""
    paths.archive.mkdir(exist_ok=True)
    model = paths.current_model
    if os.path.ismount(model) or model.lstat().st_dev != paths.archive.stat().st_dev:
        raise Conflict(
            f"{model} lies on a file system of its own, so it cannot be renamed into {paths.archive}.",
            hint="Put both on one file system; a link from the base directory will do.",
        )


def _free_archive_name(paths: RealmPaths, hero_id: str, now: datetime) -> str:
    name = archive_name(hero_id, now)
    number = 1
    while (paths.archive / (candidate := name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return candidate


def _move(source: Path, target: Path, files: Files) -> None:
    target.parent.mkdir(exist_ok=True)
    files.rename_dir(source, target)
    files.fsync_dir(target.parent)
    files.fsync_dir(source.parent)


def _clear_empty(folder: Path) -> None:
    """Out of the way with a directory that only holds what every directory of a model holds."""
    if not folder.exists():
        return
    for name in (".gitkeep", ".lock", MARK, HEADROOM):
        (folder / name).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        folder.rmdir()


def step_of(model: Path) -> int:
    """The global step of a model directory's present checkpoint; 0 without one."""
    present = CheckpointStore(model).resolve("latest")
    return present.step if present else 0


def _message(hero: Hero, kept: str | None, restored: Archive | None) -> str:
    comes = f"{hero.title} is back, at step {restored.step}" if restored else f"{hero.title} begins anew"
    return f"{comes}; the model before lies in archive/{kept}" if kept else comes

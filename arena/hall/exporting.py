"""Handing out a hero's checkpoint as an ordinary model directory, which needs neither the realm nor peft.

The weights of a hero who trains all of them are copied; adapters are merged into their base model by a child. The
directory appears under its name whole or not at all; what a killed export has left beside it goes with the next one,
or, in `exports/`, when the realm keeps house.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.hall.errands import merge_adapter
from arena.hall.half_exports import staging
from arena.journal import JOURNAL_NAME, read_history
from arena.memory.estimate import FP32
from arena.memory.model_sizes import sizes_of_hero
from arena.start_check import Setup, read_setup
from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_survey import folder_size
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from vault.adoption import model_files
from vault.checkpoints import CheckpointDir, CheckpointStore
from vault.manifest import check_manifest, listed_files
from vault.weights import ADAPTER, ADAPTER_CONFIG, is_adapter

EXTRAS_BYTES = 16 << 20
"""Of a model besides its tensors: the tokenizer."""

BROUGHT = ".adapter"
"""In the directory that is being made: the adapter, out of reach of whatever becomes of its checkpoint meanwhile."""


@dataclass(frozen=True)
class Exported:
    """What was handed out."""

    folder: str
    checkpoint: str
    step: int
    merged: bool
    """True when adapters were merged into their base model."""
    size_bytes: int


def export_model(paths: RealmPaths, target: Path, *, reference: str = "latest", files: Files = DISK) -> Exported:
    """Write the checkpoint meant by `reference` to the new directory `target`.

    Raises `Conflict` when that exists or the checkpoint is torn, `NotFound` when there is no such checkpoint, and
    `Unavailable` when there is no room or the disk refuses. The realm may be up.
    """
    target = Path(os.path.abspath(target.expanduser()))
    _check_target(paths, target)
    found = _find(paths, reference)
    setup = read_setup(paths) if is_adapter(found.path) else None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(paths, found.path, setup, target.parent, files)
        with staging(target) as place:
            if setup is None:
                _copy(found.path, place, model_files(listed_files(found.path)), files)
            else:
                merge_into(place, found.path, setup, paths, files=files)
            size = folder_size(place)
            _publish(place, target, files)
    except FileNotFoundError as error:
        raise Unavailable(
            f"{error.filename} has vanished while {found.name} was read.", hint="Name another checkpoint."
        ) from error
    except OSError as error:
        raise Unavailable(f"{target} could not be written: {error.strerror or error}.") from error
    return Exported(str(target), found.name, found.step, merged=setup is not None, size_bytes=size)


def foretell_export(paths: RealmPaths, target: Path, found: CheckpointDir, *, files: Files = DISK) -> dict[str, Any]:
    """What an export of a checkpoint to `target` comes to: `{target, files, needed_bytes, free_bytes, merged,
    refusal}`; the last says why it cannot be made now. Reads no weights."""
    told: dict[str, Any] = {
        "target": str(target), "files": [], "needed_bytes": None, "free_bytes": None, "merged": is_adapter(found.path),
        "refusal": None,
    }  # fmt: skip
    try:
        _check_target(paths, target)
        setup = read_setup(paths) if told["merged"] else None
        told["files"] = sorted(model_files(listed_files(found.path)))
        told["needed_bytes"] = _bytes_needed(paths, found.path, setup)
        place = next(each for each in (target.parent, *target.parents) if each.is_dir())
        told["free_bytes"] = _bytes_free(place, files)
        _check_room(paths, found.path, setup, place, files)
    except (RealmError, OSError) as error:
        told["refusal"] = str(error)
    return told


def merge_into(folder: Path, checkpoint: Path, setup: Setup, paths: RealmPaths, *, files: Files = DISK) -> None:
    """Fill an empty directory with the model that the adapters of a checkpoint and their base model make together."""
    genesis = read_history(checkpoint / JOURNAL_NAME).genesis
    if genesis is None:
        raise Conflict(f"The journal in {checkpoint} does not tell what its adapters were trained beside.")
    brought = folder / BROUGHT
    brought.mkdir()
    _copy(checkpoint, brought, [ADAPTER, ADAPTER_CONFIG], files)
    told = [name for name in model_files(listed_files(checkpoint)) if not name.endswith(".safetensors")]
    _copy(checkpoint, folder, told, files)
    base = {
        "base_model": setup.base_model, "recipe": setup.hero.recipe, "seed": setup.settings.trainer.seed,
        "weights": genesis.weights,
    }  # fmt: skip
    merge_adapter(paths, brought, folder, base)
    shutil.rmtree(brought)


def _check_target(paths: RealmPaths, target: Path) -> None:
    if os.path.lexists(target):
        raise Conflict(f"{target} exists already.", hint="Name a new directory.")
    if target.is_relative_to(paths.current_model.resolve()):
        raise Conflict(f"{target} lies among the hero's checkpoints.", hint="Name a directory elsewhere.")


def _find(paths: RealmPaths, reference: str) -> CheckpointDir:
    if reference == "best":
        best = CheckpointLedger.of(paths).get_best()
        reference = best.canonical_name if best else reference
    found = CheckpointStore(paths.current_model).resolve(reference)
    if found is None:
        raise NotFound(
            f"There is no checkpoint {reference!r} in {paths.current_model}.",
            hint="`realm ledger list` shows them; `realm save` makes one.",
        )
    if problems := check_manifest(found.path):
        raise Conflict(f"{found.name} is not whole: {'; '.join(problems)}.", hint="Name another checkpoint.")
    return found


def _check_room(paths: RealmPaths, checkpoint: Path, setup: Setup | None, folder: Path, files: Files) -> None:
    needed, free = _bytes_needed(paths, checkpoint, setup), _bytes_free(folder, files)
    if free < needed:
        raise Unavailable(
            f"The model takes {needed / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free in {folder}.",
            hint="Make room, or name a directory on another disk.",
        )


def _bytes_needed(paths: RealmPaths, checkpoint: Path, setup: Setup | None) -> int:
    if setup is None:
        return sum((checkpoint / name).stat().st_size for name in model_files(listed_files(checkpoint)))
    sizes = sizes_of_hero(setup.hero, setup.settings, paths)
    return (FP32 * sizes.parameters if sizes else 0) + EXTRAS_BYTES


def _bytes_free(folder: Path, files: Files) -> int:
    disk = files.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _copy(source: Path, target: Path, names: list[str], files: Files) -> None:
    for name in names:
        files.copy(source / name, target / name)


def _publish(place: Path, target: Path, files: Files) -> None:
    for file in place.iterdir():
        with file.open("rb") as handle:
            files.fsync(handle.fileno())
    files.fsync_dir(place)
    if os.path.lexists(target):
        raise Conflict(f"{target} has come into being meanwhile.", hint="Name a new directory.")
    files.rename_dir(place, target)
    files.fsync_dir(target.parent)

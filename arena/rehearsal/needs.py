"""What a rehearsal needs, told beforehand: memory of the one trainer that lives at a time, and room for checkpoints."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arena.heroes import SEEDLING, model_folder
from arena.memory.estimate import FP32
from arena.memory.model_sizes import parameters_of_seedling, sizes_of_hero
from arena.start_check import Setup
from core.checkpoint_survey import folder_size
from core.errors import NotFound, Unavailable
from core.paths import RealmPaths
from vault.checkpoints import CheckpointDir
from vault.weights import count_parameters, weight_shapes

MEMORY_PER_PARAMETER = 16
"""Bytes: weight, gradient and two moments of AdamW, all in fp32."""

SAVED_PER_PARAMETER = 12
"""Bytes: weight and moments."""

PROCESS_BYTES = 700 << 20
"""Of a trainer without a model, with what a step of the seedling takes."""

EXTRAS_BYTES = 16 << 20
"""Of a checkpoint besides its tensors: tokenizer, journal, logs."""

CHECKPOINTS = 5
"""On disk at a time, at most: the one to begin with, the end of the straight run, and of the other one the middle, the
place where it was killed, and the end."""


@dataclass(frozen=True)
class Needs:
    """What a rehearsal takes at its peak."""

    parameters: int
    memory_bytes: int
    """Without the activations of a step, which grow with the longest rows; of the accelerator, where one trains."""
    disk_bytes: int

    @property
    def told(self) -> str:
        """For people."""
        return (
            f"{_gigabytes(self.memory_bytes)} of memory and what the activations of a step take, and "
            f"{_gigabytes(self.disk_bytes)} on disk, for {self.parameters:,} parameters"
        )


def forecast(paths: RealmPaths, setup: Setup, start: CheckpointDir | None) -> Needs:
    """From the checkpoint to begin with, else from the base model; raises `NotFound` for one that is not here yet."""
    # A LoRA checkpoint holds nothing but adapters.
    folder = start.path if start and setup.hero.lora is None else _base_folder(paths, setup)
    recipe = setup.hero.recipe or {}
    parameters = parameters_of_seedling(recipe) if folder is None else count_parameters(weight_shapes(folder))
    sizes = sizes_of_hero(setup.hero, setup.settings, paths) if setup.hero.lora else None
    trained = sizes.with_gradients if sizes else parameters
    reserve = setup.settings.disk.reserve_megabytes << 20
    checkpoint = max(SAVED_PER_PARAMETER * trained, folder_size(start.path) if start else 0) + EXTRAS_BYTES
    memory = MEMORY_PER_PARAMETER * trained + PROCESS_BYTES + (FP32 * parameters if setup.hero.lora else 0)
    return Needs(parameters, memory, CHECKPOINTS * checkpoint + reserve)


def free_on(folder: Path) -> int:
    """Bytes that this user may still write there."""
    return shutil.disk_usage(folder).free


def check_room(needs: Needs, folder: Path, *, free: Callable[[Path], int] = free_on) -> None:
    """Raise `Unavailable` when the disk of `folder` has less free than is needed."""
    there = free(folder)
    if there < needs.disk_bytes:
        raise Unavailable(
            f"The rehearsal needs {_gigabytes(needs.disk_bytes)} in {folder}, and {_gigabytes(there)} are free.",
            hint="Make room, or name a directory on another disk with --work-dir.",
        )


def _base_folder(paths: RealmPaths, setup: Setup) -> Path | None:
    """Where the base model lies; None for a seedling, which is made on the spot."""
    if setup.base_model == SEEDLING:
        return None
    folder = model_folder(setup.base_model, paths.models)
    if not folder.is_dir():
        raise NotFound(
            f"{setup.base_model} is not on this machine yet.", hint="Start the realm once, which fetches the model."
        )
    return folder


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"

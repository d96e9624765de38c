"""Merging a hero's adapters into the weights that they were trained beside: an ordinary model comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from arena.trainer.adapters import merge_adapter
from arena.trainer.loading.model_loading import base_directory, read_model
from core.errors import InvalidInput, Unavailable, first_line
from vault.weights import weights_digest


def merge(adapter: Path, target: Path, models_dir: Path, base: dict[str, Any]) -> dict[str, Any]:
    """Write model, configuration and generation configuration to the directory `target`; returns `{parameters}`.

    `adapter` is a directory in the format of peft. `base` has the keys `base_model`, `recipe`, `seed` and `weights`,
    the fingerprint that the journal tells. Raises `InvalidInput` for another base model and for weights that are not
    finite, `Unavailable` when the disk refuses or the hub cannot be reached.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    source = base_directory(base["base_model"], models_dir=models_dir, recipe=base["recipe"], seed=base["seed"])
    if weights_digest(source) != base["weights"]:
        raise InvalidInput(
            f"The weights in {source} are not those that the adapters were trained beside.",
            hint="Put the old ones back.",
        )
    try:
        merged = merge_adapter(read_model(source, torch.float32), adapter)
    except ValueError as error:
        raise InvalidInput(f"The adapters cannot be merged: {first_line(error)}.") from error
    try:
        merged.save_pretrained(target)
    except (OSError, SafetensorError) as error:
        raise Unavailable(f"The merged model could not be written: {first_line(error)}.") from error
    return {"parameters": sum(weight.numel() for weight in merged.parameters())}

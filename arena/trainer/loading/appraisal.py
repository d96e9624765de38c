"""Loading a model as the trainer does, and trying whether the optimizer beside it could go on in ours."""

from __future__ import annotations

import tempfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from transformers import Trainer
from transformers.utils import logging as transformers_logging

from arena.trainer.engine import training_arguments
from arena.trainer.loading.model_loading import LoadedModel, load_model_and_tokenizer
from arena.trainer.loading.moments import moments_misfit
from core.checkpoint_survey import OPTIMIZER_FILE
from core.errors import InvalidInput, first_line


def appraise(folder: Path) -> dict[str, Any]:
    """`{parameters, optimizer_misfit}`, the latter a sentence or None; raises `InvalidInput` when it does not load."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    loaded = load_model_and_tokenizer(
        str(folder), models_dir=folder.parent, recipe=None, seed=0, device="cpu", dtype=torch.float32
    )
    embeddings = next(loaded.model.get_input_embeddings().parameters()).shape[0]
    if len(loaded.tokenizer) > embeddings:
        raise InvalidInput(
            f"The tokenizer in {folder} knows {len(loaded.tokenizer)} tokens, the model only {embeddings}.",
            hint="Tokenizer and model do not belong together.",
        )
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    return {"parameters": parameters, "optimizer_misfit": _optimizer_misfit(folder, loaded)}


def _optimizer_misfit(folder: Path, loaded: LoadedModel) -> str | None:
    """Why the optimizer beside the model cannot go on in ours; None when it can, or when there is none."""
    if not (folder / OPTIMIZER_FILE).is_file():
        return None
    try:
        theirs = torch.load(folder / OPTIMIZER_FILE, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, OSError, EOFError, LookupError, TypeError, ValueError) as error:
        return f"it cannot be read: {first_line(error)}"
    with tempfile.TemporaryDirectory() as scratch:
        arguments = training_arguments(Path(scratch), device="cpu", seed=0)
        ours = Trainer(model=loaded.model, args=arguments).create_optimizer()
    if misfit := moments_misfit(theirs, loaded.model):
        return misfit
    for mine, group in zip(ours.param_groups, theirs["param_groups"], strict=True):
        if different := [name for name in ("betas", "eps", "amsgrad") if mine[name] != group.get(name)]:
            return f"it runs with other {', '.join(different)}"
    return None

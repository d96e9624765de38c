"""Getting a hero's model into memory: made on the spot, from a directory, from the hub, or from a checkpoint.

Weights are read from safetensors only, no code of a model repository is run, and nothing places layers by
itself (failure D8): the model is loaded on the CPU in one type and moved to one device.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from arena.heroes import HUB_ID, SEEDLING, model_folder
from arena.protocol import Lora
from arena.trainer.adapters import add_adapter, read_adapter
from arena.trainer.loading.blame import is_about_this_machine
from arena.trainer.loading.hub import fetch_model
from arena.trainer.loading.seedling import drop_leftovers, make_seedling
from core.errors import InvalidInput, first_line
from core.files import DISK, Files
from vault.weights import ADAPTER_CONFIG

logger = logging.getLogger(__name__)


class UnloadableFiles(InvalidInput):
    """What lies in the directory of a model, or of a checkpoint, cannot be loaded; the detail `folder` names it."""


@dataclass(frozen=True)
class LoadedModel:
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    source_dir: Path
    """Directory of the base model, whose tokenizer and template render the rows; it stays the same when the hero
    resumes, while a checkpoint carries the template of its profile. The checkpoint itself if the base is gone."""


def load_model_and_tokenizer(
    base_model: str,
    *,
    models_dir: Path,
    recipe: dict[str, int] | None,
    seed: int,
    device: str | torch.device,
    dtype: torch.dtype,
    checkpoint: Path | None = None,
    lora: Lora | None = None,
    files: Files = DISK,
) -> LoadedModel:
    """Load `base_model` (as `arena.heroes.resolve_base_model` gives it), or `checkpoint` in its place.

    With `lora`, the base model with fresh adapters, or with those of `checkpoint`. `recipe` and `seed` are for the
    seedling, which is made under `models_dir` on first use. All weights are of `dtype`, fp32 or bf16 (failure D6).
    Raises `UnloadableFiles` when the files of a directory are at fault, and `Unavailable` when the hub cannot be
    reached; what this machine lacks (memory, rights) is left as it was raised.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise InvalidInput(f"Weights of type {dtype} cannot be trained.", hint="Use fp32 or bf16.")
    whole = checkpoint if lora is None else None  # a checkpoint of adapters stands beside the base model, not for it
    fetch = whole is None
    source = base_directory(base_model, models_dir=models_dir, recipe=recipe, seed=seed, fetch=fetch, files=files)
    if whole is not None and not source.is_dir():
        logger.warning(
            "the base model %s is gone; tokenizer and template are taken from %s", source, whole,
            extra={"event": "base_model_gone"},
        )  # fmt: skip
        source = whole
    tokenizer = _read_tokenizer(source)
    model = read_model(whole or source, dtype)
    if lora is not None:
        add_adapter(model, lora, base_model=base_model if HUB_ID.fullmatch(base_model) else str(source))
        if checkpoint is not None:
            _read_adapter(model, checkpoint)
    model = model.to(device)  # type: ignore[arg-type]
    _take_into_memory(model)
    return LoadedModel(model=model, tokenizer=tokenizer, source_dir=source)


def base_directory(
    base_model: str,
    *,
    models_dir: Path,
    recipe: dict[str, int] | None,
    seed: int,
    fetch: bool = True,
    files: Files = DISK,
) -> Path:
    """Where a base model lies; a seedling is made there, and with `fetch` one of the hub is brought.

    Raises `Unavailable` when the hub cannot be reached. A directory that was given by its path may be gone.
    """
    if base_model == SEEDLING:
        return _seedling(models_dir, recipe, seed, files)
    source = model_folder(base_model, models_dir)
    if fetch and not Path(base_model).is_absolute() and not source.is_dir():
        fetch_model(base_model, source, files=files)
    return source


def _take_into_memory(model: PreTrainedModel) -> None:
    """Let go of the files: on the CPU, weights are mapped from them until a step writes over each.

    What the disk does to a file after it was checked would change them otherwise.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def _seedling(models_dir: Path, recipe: dict[str, int] | None, seed: int, files: Files) -> Path:
    if recipe is None:
        raise InvalidInput("A seedling needs a recipe.", hint="Give its sizes in the hero's file.")
    digest = blake3(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    folder = models_dir / f"seedling-{digest}-{seed}"
    drop_leftovers(folder, now=datetime.now(UTC))
    return folder if folder.is_dir() else make_seedling(folder, recipe, seed, files=files)


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers and tokenizers raise bare Exception among others
        if is_about_this_machine(error):
            raise
        raise UnloadableFiles(
            f"{folder} holds no tokenizer that can be loaded: {first_line(error)}.",
            hint="Copy the model directory again, with tokenizer.json and tokenizer_config.json.",
            folder=str(folder),
        ) from error
    return tokenizer


def _read_adapter(model: PreTrainedModel, folder: Path) -> None:
    try:
        read_adapter(model, folder)
    except Exception as error:  # a torn or foreign file raises from deep inside safetensors, peft or torch
        if is_about_this_machine(error):
            raise
        raise UnloadableFiles(
            f"{folder} holds no adapter that can be loaded: {first_line(error)}.",
            hint="It must be a checkpoint of this hero.",
            folder=str(folder),
        ) from error


def read_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The causal language model of a directory, on the CPU; raises `UnloadableFiles`."""
    if (folder / ADAPTER_CONFIG).exists():
        # transformers would load the model that it names, and the adapter on top of it, without a word.
        raise UnloadableFiles(
            f"{folder} holds a LoRA adapter ({ADAPTER_CONFIG}) where a model of its own is wanted.",
            hint="Merge the adapter into its base model, or take it away.",
            folder=str(folder),
        )
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # a torn or foreign file raises from deep inside safetensors, json or torch
        if is_about_this_machine(error):
            raise
        raise UnloadableFiles(
            f"{folder} holds no model that can be loaded: {first_line(error)}.",
            hint="It must be a Hugging Face causal language model with weights in safetensors.",
            folder=str(folder),
        ) from error
    model: PreTrainedModel = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):
        # transformers fills them with random numbers and goes on.
        raise UnloadableFiles(
            f"{folder} lacks {len(missing)} of the model's weights, among them {missing[0]}.",
            hint="Copy the model directory again.",
            folder=str(folder),
        )
    return model

"""Getting a hero's model into memory: made on the spot, from a directory, from the hub, or from a checkpoint.

Weights are read from safetensors only, no code of a model repository is run, and nothing places layers by
itself (failure D8): the model is loaded on the CPU in one type and moved to one device.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from arena.heroes import HUB_ID, SEEDLING
from arena.trainer.seedling import make_seedling
from core.errors import InvalidInput, Unavailable
from core.files import DISK, Files

logger = logging.getLogger(__name__)

WANTED_FILES = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
"""What is fetched from a hub repository; no pickles, no code."""


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
    files: Files = DISK,
) -> LoadedModel:
    """Load `base_model` (as `arena.heroes.resolve_base_model` gives it), or `checkpoint` in its place.

    `recipe` and `seed` are for the seedling, which is made under `models_dir` on first use. All weights are of
    `dtype`, fp32 or bf16 (failure D6). Raises `InvalidInput` when the directory cannot be loaded, and `Unavailable`
    when the hub cannot be reached; out of memory is left as torch raises it.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        raise InvalidInput(f"Weights of type {dtype} cannot be trained.", hint="Use fp32 or bf16.")
    if base_model == SEEDLING:
        source = _seedling(models_dir, recipe, seed, files)
    elif Path(base_model).is_absolute():
        source = Path(base_model)
    elif HUB_ID.fullmatch(base_model):
        source = models_dir / base_model.replace("/", "--")
        if not source.is_dir() and checkpoint is None:
            _download(base_model, source, files)
    else:
        raise InvalidInput(f"{base_model!r} is neither seedling, nor an absolute path, nor a hub id.")
    if checkpoint is not None and not source.is_dir():
        logger.warning(
            "the base model %s is gone; tokenizer and template are taken from %s", source, checkpoint,
            extra={"event": "base_model_gone"},
        )  # fmt: skip
        source = checkpoint
    tokenizer = _read_tokenizer(source)
    model = _read_model(checkpoint or source, dtype)
    return LoadedModel(model=model.to(device), tokenizer=tokenizer, source_dir=source)  # type: ignore[arg-type]


def _seedling(models_dir: Path, recipe: dict[str, int] | None, seed: int, files: Files) -> Path:
    if recipe is None:
        raise InvalidInput("A seedling needs a recipe.", hint="Give its sizes in the hero's file.")
    digest = blake3(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    folder = models_dir / f"seedling-{digest}-{seed}"
    return folder if folder.is_dir() else make_seedling(folder, recipe, seed, files=files)


def _download(repository: str, target: Path, files: Files) -> None:
    """Fetch a hub repository to `target`, whole or not at all; a broken-off download goes on where it stopped."""
    staging = target.with_name(f".{target.name}.part")
    logger.info("downloading %s", repository, extra={"event": "model_download", "repository": repository})
    try:
        snapshot_download(repository, local_dir=staging, allow_patterns=WANTED_FILES)
    except RepositoryNotFoundError as error:
        raise InvalidInput(
            f"The hub has no model {repository}, or it is shown only to those who are logged in.",
            hint="Check the name; for a gated model accept its terms and set HF_TOKEN.",
        ) from error
    except Exception as error:  # the hub client raises its own, httpx's and plain OS errors; none leaves a model
        raise Unavailable(
            f"The model {repository} is not on this machine and could not be downloaded: {_first_line(error)}.",
            hint=f"Try again with a network, or put a model directory under {target.parent} "
            "and set model_name to its name.",
        ) from error
    shutil.rmtree(staging / ".cache", ignore_errors=True)  # the hub client's own notes on the download
    for file in staging.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                files.fsync(handle.fileno())
    files.rename_dir(staging, target)
    files.fsync_dir(target.parent)


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # transformers and tokenizers raise bare Exception among others; the file is at fault
        raise InvalidInput(
            f"{folder} holds no tokenizer that can be loaded: {_first_line(error)}.",
            hint="Copy the model directory again, with tokenizer.json and tokenizer_config.json.",
        ) from error
    return tokenizer


def _read_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a torn or foreign file raises from deep inside safetensors, json or torch
        raise InvalidInput(
            f"{folder} holds no model that can be loaded: {_first_line(error)}.",
            hint="It must be a Hugging Face causal language model with weights in safetensors.",
        ) from error
    model: PreTrainedModel = loaded[0]
    if missing := sorted(loaded[1]["missing_keys"]):
        # transformers fills them with random numbers and goes on.
        raise InvalidInput(
            f"{folder} lacks {len(missing)} of the model's weights, among them {missing[0]}.",
            hint="Copy the model directory again.",
        )
    return model


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".:") if lines else type(error).__name__

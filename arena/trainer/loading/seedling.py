"""Making the seedling: a small Qwen3 model and a byte-level tokenizer, written as a Hugging Face directory.

Everything follows from recipe and seed, so that the same two give the same bytes of weights for one torch build.
"""

from __future__ import annotations

import shutil
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from arena.language.byte_tokenizer import CONTROL_TOKENS, NAMED_SPECIALS, byte_tokenizer
from core.errors import Conflict
from core.files import DISK, Files
from guild.profiles import CHATML_TEMPLATE

LEFT_SECONDS = 3600.0
"""Age at which nobody makes it any more: it takes seconds."""


def drop_leftovers(folder: Path, *, now: datetime) -> None:
    """Remove what a killed `make_seedling` of `folder` has left beside it (law 9)."""
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        with suppress(OSError):
            if now.timestamp() - left.lstat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left)


def make_seedling(folder: Path, recipe: dict[str, int], seed: int, *, files: Files = DISK) -> Path:
    """Write the model of `recipe` (`arena.heroes.RECIPE_KEYS`) to `folder`, whole or not at all.

    Raises `Conflict` when `folder` exists. The random state of the process is left as it was (failure D13).
    """
    if folder.exists():
        raise Conflict(f"{folder} exists already.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=byte_tokenizer(),
            **NAMED_SPECIALS,
            chat_template=CHATML_TEMPLATE,
            model_max_length=recipe["max_position_embeddings"],
        )
        tokenizer.save_pretrained(staging)
        _model(recipe, seed, pad_id=tokenizer.pad_token_id, stop_id=tokenizer.eos_token_id).save_pretrained(staging)
        for file in staging.iterdir():
            with file.open("rb") as handle:
                files.fsync(handle.fileno())
        files.fsync_dir(staging)
        files.rename_dir(staging, folder)
        files.fsync_dir(folder.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _model(recipe: dict[str, int], seed: int, *, pad_id: int, stop_id: int) -> Qwen3ForCausalLM:
    config = Qwen3Config.from_dict(
        {
            **recipe,
            "vocab_size": 256 + len(CONTROL_TOKENS),
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": stop_id,
            "pad_token_id": pad_id,
        }
    )
    with torch.random.fork_rng(devices=[]):
        # Only the CPU generator: `torch.manual_seed` reseeds every GPU too, which this fork does not restore.
        torch.default_generator.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        eos_token_id=stop_id, pad_token_id=pad_id
    )
    return model

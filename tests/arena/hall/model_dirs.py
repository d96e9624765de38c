"""Model directories made without torch: real tokenizers, configurations and safetensors, some bytes each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from arena.language.byte_tokenizer import NAMED_SPECIALS, byte_tokenizer
from guild.profiles import CHATML_TEMPLATE

CONFIG: dict[str, Any] = {
    "model_type": "qwen3", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 512, "vocab_size": 259,
}  # fmt: skip


def make_byte_model(folder: Path, *, template: str | None = CHATML_TEMPLATE, fill: float = 0.5, **config: Any) -> Path:
    """A directory in Hugging Face format with the seedling's tokenizer and two tensors."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(NAMED_SPECIALS))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    write_weights(folder / "model.safetensors", fill=fill)
    return folder


def write_weights(file: Path, *, fill: float = 0.5, hidden: int = 8) -> None:
    tensors = {
        "model.embed_tokens.weight": np.full((259, hidden), fill, dtype=np.float32),
        "model.layers.0.mlp.up_proj.weight": np.full((8, hidden), fill, dtype=np.float32),
    }
    save_file(tensors, file)

"""The smallest real hero: a Qwen3 model of 32 hidden units in two layers, with dropout, and rows for it to learn."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3

from arena.protocol import QuestSettings
from arena.rendering import Renderer
from arena.trainer.loading.seedling import make_seedling
from arena.trainer.stream.batching import TokenRow
from arena.trainer.stream.quest_data import prepare_quest
from guild.profiles import get_profile

TINY_RECIPE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "intermediate_size": 64,
    "max_position_embeddings": 512,
}

SETTINGS = QuestSettings(
    learning_rate=2e-3,
    warmup_steps=4,
    weight_decay=0.01,
    batch_size=2,
    gradient_accumulation=2,
    epochs=1,
    max_length=256,
    max_grad_norm=1.0,
    micro_batch_tokens=256,
    seed=11,
    profile="chatml",
)


def make_tiny_model(folder: Path, *, dropout: float) -> Path:
    """Write the model directory; with dropout, a resume that loses random state is seen in the weights."""
    make_seedling(folder, TINY_RECIPE, seed=5)
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"attention_dropout": dropout}))
    return folder


def settings(**changes: Any) -> QuestSettings:
    return msgspec.structs.replace(SETTINGS, **changes)


def chat(seed: int, *, turns: int = 1) -> dict[str, Any]:
    """A chat with rows of quite different lengths; the same for the same seed."""
    dice = random.Random(seed)
    messages = []
    for _ in range(turns):
        first, second = dice.randrange(100), dice.randrange(100)
        messages += [
            {"role": "user", "content": f"add {first} and {second}" + " please" * dice.randrange(4)},
            {"role": "assistant", "content": str(first + second) + "!" * dice.randrange(12)},
        ]
    return {"messages": messages}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def hash_of(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()


def token_rows(model: Path, folder: Path, chats: list[dict[str, Any]], **changes: Any) -> list[TokenRow]:
    """The rows as the trainer would learn them."""
    path = write_rows(folder / "rows.jsonl", chats)
    data = prepare_quest(
        path,
        schema_id="chat_sft_v1",
        settings=settings(**changes),
        content_hash=hash_of(path),
        renderer=Renderer.load(model, get_profile("chatml")),
        between_batches=lambda: None,
    )
    return [data.row(number) for number in range(len(data))]

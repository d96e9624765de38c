"""The tiny hero with adapters, which are trained in this process."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from arena.protocol import Event, Lora, Progress
from arena.trainer.loading.model_loading import load_model_and_tokenizer
from tests.arena.trainer.driving import Field
from tests.arena.trainer.fighting_here import fight
from tests.arena.trainer.tiny_hero import make_tiny_model

LORA = Lora(rank=4, alpha=8, dropout=0.1, target_modules=None, rslora=False, seed=9)
LAYERS = 2 * 7
"""Linear layers of the tiny model within its two blocks."""
STEPS = 14


def make_base(folder: Path) -> Path:
    """The tiny model with dropout, and embeddings as large as those of a trained one: frozen ones bound all logits."""
    make_tiny_model(folder, dropout=0.1)
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] *= 30
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def learn(field: Field, *, steps: int = STEPS, lora: Lora | None = LORA, **begin: object) -> list[Event]:
    """Learn the quest of a field, whether or not a life before has begun with it."""
    foe = field.foes.get("long") or field.foe("long", 4 * STEPS, learning_rate=2e-2)
    first = [] if field.history.ordinal_of(foe.quest_id) else [foe.claim()]
    return fight(field, *first, lora=lora, stop_at_step=steps, **begin)


def losses(events: list[Event]) -> list[float]:
    points = [point for event in events if isinstance(event, Progress) for point in event.points]
    return [point.loss for point in points if point.loss is not None]


def loaded(base: Path, checkpoint: Path | None, lora: Lora | None = LORA) -> PreTrainedModel:
    """The model as the trainer loads it, for evaluation."""
    found = load_model_and_tokenizer(
        str(base), models_dir=base.parent, recipe=None, seed=0, device="cpu", dtype=torch.float32,
        checkpoint=checkpoint, lora=lora,
    )  # fmt: skip
    return found.model.eval()

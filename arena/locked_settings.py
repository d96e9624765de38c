"""Settings that must not change once the hero has trained: they would make its history untrue (DESIGN section 6)."""

from __future__ import annotations

from pathlib import Path

from arena.heroes import Hero, lora_of
from arena.journal import History
from arena.lora import told
from core.errors import Conflict
from core.settings import Settings


def check_locked(history: History, hero: Hero, settings: Settings, base_model: str) -> None:
    """Compare hero, model, LoRA and `max_length` with what the journal says; raises `Conflict` naming the first one."""
    if history.genesis is None:
        return
    max_length = settings.hyperparams.max_length or hero.hyperparams.max_length
    last_claim = history.claims.get(history.next_ordinal - 1)
    # A directory may have moved with its realm; its name has not.
    pairs = [
        ("hero", hero.id, history.genesis.hero),
        ("model_name", Path(base_model).name, Path(history.genesis.base_model).name),
        ("lora", told(lora_of(hero, settings)), told(history.genesis.lora)),
        ("hyperparams.max_length", max_length, last_claim.settings.max_length if last_claim else max_length),
    ]
    for name, wanted, trained in pairs:
        if wanted != trained:
            begin = f"realm hero use {hero.id}" + ("" if name == "hero" else " --fresh")
            raise Conflict(
                f"{name} is {wanted!r}, but the model in current_model/ was trained with {trained!r}.",
                hint=f"Set {name} back, or run `{begin}`, which archives this model and unlocks the setting.",
            )

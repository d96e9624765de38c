"""What a step of a hero takes under given settings."""

from __future__ import annotations

from arena.heroes import Hero, effective_hyperparams, quest_settings
from arena.memory.estimate import MemoryEstimate, fitting_estimate, with_measured_pass
from arena.memory.model_sizes import ModelSizes, sizes_of_hero
from arena.quests import NAMELESS
from core.paths import RealmPaths
from core.settings import Settings


def estimate_of(
    paths: RealmPaths, hero: Hero, settings: Settings, free_bytes: int
) -> tuple[MemoryEstimate, ModelSizes] | None:
    """None while the model of the hero is not on this machine. `free_bytes` decides for gradient checkpointing where
    that is left to the realm."""
    sizes = sizes_of_hero(hero, settings, paths)
    if sizes is None:
        return None
    learned = with_measured_pass(quest_settings(hero, settings, NAMELESS), paths.current_model)
    precision = effective_hyperparams(hero, settings).fp_precision
    wish = settings.trainer.gradient_checkpointing
    return fitting_estimate(sizes, learned, precision=precision, wish=wish, free_bytes=free_bytes), sizes

"""Which yardstick a quest is measured with: from settings, hero, base model and the quest's own options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from arena.gatekeepers.measures.yardstick import OF_SEEDLING, Yardstick, is_at_hand
from arena.heroes import SEEDLING, Hero, load_hero, model_folder, quest_settings, resolve_base_model
from arena.quests import QuestRecord
from core.errors import NotFound
from core.paths import RealmPaths
from core.settings import Settings
from core.settings_reading import load_settings
from vault.checkpoints import CheckpointStore


def yardstick_for(paths: RealmPaths, settings: Settings, hero: Hero, base_model: str, quest: QuestRecord) -> Yardstick:
    """What this quest will be trained with; raises `InvalidInput` for an unknown profile (failure D12)."""
    told = quest_settings(hero, settings, quest)
    return Yardstick(
        tokenizer=find_tokenizer(base_model, paths),
        profile=told.profile,
        system_prompt=told.system_prompt,
        max_length=told.max_length,
        held_out=str(paths.validation),
        deep=settings.gates.level == "deep",
    )


def find_tokenizer(base_model: str, paths: RealmPaths) -> str:
    """Where the trainer takes tokenizer and template from, as `Yardstick.tokenizer`.

    The directory may not be there yet: a hub model is fetched by the trainer. When the base model is gone, that is the
    present checkpoint, as in `arena.trainer.loading.model_loading`.
    """
    if base_model == SEEDLING:
        return OF_SEEDLING
    folder = model_folder(base_model, paths.models)
    if not folder.is_dir():
        present = CheckpointStore(paths.current_model).resolve("latest")
        folder = present.path if present else folder
    return str(folder)


def yardstick_here(paths: RealmPaths, *, deep: bool = False) -> Callable[[QuestRecord], Yardstick]:
    """Measures quests as the realm in this base directory would train them, whether or not it runs; `deep` if asked to.

    Raises `InvalidInput` for wrong settings or an unknown hero, and `NotFound` when its tokenizer is not at hand.
    """
    settings = load_settings(paths.config_file)
    hero = load_hero(paths, settings.hero)
    base_model = resolve_base_model(hero, settings, paths)
    tokenizer = find_tokenizer(base_model, paths)
    if not is_at_hand(tokenizer):
        raise NotFound(
            f"The tokenizer of {base_model} is not on this machine: {tokenizer} has no tokenizer.json.",
            hint="Start the realm once, which fetches the model; `realm validate --level quick` needs no tokenizer.",
        )
    return lambda quest: replace(yardstick_for(paths, settings, hero, base_model, quest), deep=deep)

"""Who there is: every hero with his model, who trains, and which models of his are archived."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from arena.hall.archives import Archive, list_archives
from arena.heroes import (
    SEEDLING,
    Hero,
    effective_hyperparams,
    lora_of,
    model_folder,
    quest_settings,
    survey_heroes,
)
from arena.journal import JOURNAL_NAME, read_history
from arena.lora import told
from arena.memory.estimate import estimate_memory
from arena.memory.model_sizes import ModelSizes, sizes_of_hero
from arena.quests import NAMELESS
from core.errors import RealmError
from core.paths import RealmPaths
from core.settings import Settings
from core.settings_reading import load_settings
from vault.checkpoints import CheckpointStore
from vault.weights import count_parameters, weight_shapes


@dataclass(frozen=True)
class HeroRow:
    """One hero of the list."""

    id: str
    title: str | None
    """None when the file is broken or gone."""
    base_model: str | None
    parameters: int | None
    """Of his model, where it is on this machine or can be made here; adapters included."""
    in_use: bool
    lora: str | None = None
    """What he trains in place of all weights, in words; None when he trains all of them."""
    trained: int | None = None
    """How many of the parameters are trained."""
    memory_bytes: int | None = None
    """What a step of his training takes at most, gradient checkpointing left aside."""
    step: int | None = None
    """Of the present checkpoint of the one in use."""
    archives: list[Archive] = field(default_factory=list)
    problem: str | None = None
    """What is wrong with the hero's file."""


def list_hall(paths: RealmPaths) -> list[HeroRow]:
    """All heroes by id, those with broken files and those known from archives alone among them."""
    heroes, broken = survey_heroes(paths)
    archives = list_archives(paths)
    in_use = _in_use(paths)
    present = CheckpointStore(paths.current_model).resolve("latest")
    of_archives = {archive.hero for archive in archives if archive.hero}
    rows = []
    for hero_id in sorted({*heroes, *broken, *of_archives, *([in_use] if in_use else [])}):
        hero = heroes.get(hero_id)
        mine = hero_id == in_use
        settings = _settings(paths, mine=mine)
        sizes = sizes_of_hero(hero, settings, paths) if hero else None
        lora = lora_of(hero, settings) if hero else None
        # A LoRA checkpoint holds nothing but adapters.
        known = None if lora else _parameters(paths, hero, present.path if present and mine else None)
        parameters = known or (sizes.parameters if sizes else None)
        rows.append(
            HeroRow(
                id=hero_id,
                title=hero.title if hero else None,
                base_model=hero.base_model if hero else None,
                parameters=parameters,
                in_use=mine,
                lora=told(lora) if lora else None,
                trained=(sizes.with_gradients if sizes else None) if lora else parameters,
                memory_bytes=_memory(hero, settings, sizes) if hero else None,
                step=present.step if present and mine else None,
                archives=[archive for archive in archives if archive.hero == hero_id],
                problem=broken.get(hero_id) or (None if hero else "his file is not in configs/heroes/"),
            )
        )
    return rows


def _in_use(paths: RealmPaths) -> str | None:
    """Whose model is present, by its journal; before it has trained, whom the settings name."""
    try:
        genesis = read_history(paths.current_model / JOURNAL_NAME).genesis
        return genesis.hero if genesis else load_settings(paths.config_file).hero
    except RealmError:
        return None


def _parameters(paths: RealmPaths, hero: Hero | None, checkpoint: Path | None) -> int | None:
    folder = checkpoint
    if folder is None and hero is not None:
        folder = _folder_of(paths, hero)
    try:
        return count_parameters(weight_shapes(folder)) if folder is not None else None
    except RealmError:
        return None


def _memory(hero: Hero, settings: Settings, sizes: ModelSizes | None) -> int | None:
    try:
        learned = quest_settings(hero, settings, NAMELESS)
    except RealmError:
        return None
    precision = effective_hyperparams(hero, settings).fp_precision
    if sizes is None:
        return None
    return estimate_memory(sizes, learned, precision=precision, gradient_checkpointing=False).total


def _settings(paths: RealmPaths, *, mine: bool) -> Settings:
    """Those of the hero in use are in the file; the others learn with their own values."""
    try:
        return load_settings(paths.config_file) if mine else Settings()
    except RealmError:
        return Settings()


def _folder_of(paths: RealmPaths, hero: Hero) -> Path | None:
    if hero.base_model == SEEDLING:
        return None
    local = paths.models / hero.base_model
    try:
        return local if local.is_dir() else model_folder(hero.base_model, paths.models)
    except RealmError:
        return None

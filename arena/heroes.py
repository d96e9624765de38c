"""Heroes: `configs/heroes/{id}.yaml`, and what hero, settings and quest together decide for one claim.

A hero in the base directory shadows the shipped one of the same id. The file's name is the hero's id.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from arena.protocol import Lora, QuestSettings
from arena.quests import QuestRecord
from core.errors import InvalidInput, NotFound
from core.paths import CHECKOUT, RealmPaths
from core.settings import Section, Settings
from core.settings_reading import read_yaml, validate_section
from guild.profiles import get_profile

HERO_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SEEDLING = "seedling"
"""The base model that is made on the spot from a recipe (DESIGN section 7)."""

RECIPE_KEYS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "max_position_embeddings",
)
"""Sizes of a model to make, under their names in `config.json`; the vocabulary follows from the byte tokenizer."""

_HUB_NAME = r"(?!.*(?:--|\.\.))[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
HUB_ID = re.compile(f"{_HUB_NAME}/{_HUB_NAME}")
"""`OWNER/NAME` as the Hugging Face hub allows it."""

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?")


def _known_profile(name: str) -> str:
    try:
        return get_profile(name).name
    except InvalidInput as error:
        raise ValueError(str(error)) from error


class HeroHyperparams(Section):
    """How the hero learns where `hyperparams` of the settings says nothing; meanings and ranges are the same."""

    max_length: Annotated[int, Field(ge=128, le=32768)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    gradient_accumulation: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Annotated[float, Field(ge=1e-7, le=1e-1)]
    warmup_steps: Annotated[int, Field(ge=0, le=1_000_000_000)]
    weight_decay: Annotated[float, Field(ge=0, le=1)]
    max_grad_norm: Annotated[float, Field(gt=0)]
    epochs: Annotated[int, Field(ge=1, le=1000)]
    fp_precision: Literal["fp32", "bf16"]


_LayerName = Annotated[str, Field(min_length=1)]


class HeroLora(Section):
    """Trains adapters of low rank beside the frozen weights; needs peft. Fixed once the hero has trained."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[int, Field(ge=1, le=65536)] = 32
    """What an adapter adds is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear"] | Annotated[list[_LayerName], Field(min_length=1)] = "all-linear"
    """`all-linear`, every linear layer but the output layer, or the ends of the names of some: `[q_proj, v_proj]`."""
    rslora: bool = False
    """Scale by `alpha / sqrt(rank)` instead, which suits large ranks (arXiv:2312.03732)."""


class Hero(Section):
    """One hero file."""

    id: str
    title: str
    """Name shown to people."""
    base_model: str
    """`seedling`, an absolute directory, a directory under `models/`, or a hub id."""
    profile: Annotated[str, AfterValidator(_known_profile)] = "chatml"
    system_prompt: str | None = None
    """Put before chats that have no system message."""
    recipe: dict[str, int] | None = None
    """Sizes of the model to make when `base_model` is `seedling`: exactly the `RECIPE_KEYS`."""
    lora: HeroLora | None = None
    """Train adapters in place of all weights."""
    hyperparams: HeroHyperparams

    @field_validator("recipe")
    @classmethod
    def _complete_recipe(cls, recipe: dict[str, int] | None) -> dict[str, int] | None:
        if recipe is None:
            return None
        for key in recipe:
            if key not in RECIPE_KEYS:
                close = difflib.get_close_matches(key, RECIPE_KEYS, n=1)
                raise ValueError(f"there is no size {key!r}." + (f" Did you mean {close[0]}?" if close else ""))
        if missing := [key for key in RECIPE_KEYS if recipe.get(key, 0) < 1]:
            raise ValueError(f"these sizes are missing or below 1: {', '.join(missing)}")
        if recipe["num_attention_heads"] % recipe["num_key_value_heads"]:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        if recipe["head_dim"] % 2:
            raise ValueError("head_dim must be even (rotary positions pair its halves)")
        return recipe

    @model_validator(mode="after")
    def _recipe_belongs_to_seedling(self) -> Hero:
        if (self.base_model == SEEDLING) != (self.recipe is not None):
            raise ValueError("`recipe` is needed when `base_model` is `seedling`, and only then")
        return self


def check_hero_id(hero_id: str) -> None:
    """Raise `InvalidInput` for what no hero can be called."""
    if not HERO_ID.fullmatch(hero_id):
        raise InvalidInput(
            f"{hero_id!r} is no hero id.", hint="Ids have 1 to 64 of a-z, 0-9, _ and -, the first a letter or digit."
        )


def load_hero(paths: RealmPaths, hero_id: str) -> Hero:
    """Read a hero; raises `InvalidInput` for a bad id or file and `NotFound` for an unknown hero."""
    check_hero_id(hero_id)
    files = hero_files(paths)
    if hero_id not in files:
        close = difflib.get_close_matches(hero_id, files, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"The heroes are {', '.join(files)}."
        raise NotFound(f"There is no hero {hero_id!r} in {paths.configs / 'heroes'}.", hint=hint)
    values = read_yaml(files[hero_id])
    if values.setdefault("id", hero_id) != hero_id:
        raise InvalidInput(f"{files[hero_id]}: id is {values['id']!r}, but the file's name says {hero_id!r}.")
    return validate_section(Hero, values, source=str(files[hero_id]))


def survey_heroes(paths: RealmPaths) -> tuple[dict[str, Hero], dict[str, str]]:
    """The heroes by id, and what is wrong with the file of each that is broken: one does not hide the others."""
    heroes: dict[str, Hero] = {}
    broken: dict[str, str] = {}
    for hero_id in hero_files(paths):
        try:
            heroes[hero_id] = load_hero(paths, hero_id)
        except InvalidInput as error:
            broken[hero_id] = str(error)
    return heroes, broken


def effective_hyperparams(hero: Hero, settings: Settings) -> HeroHyperparams:
    """The hero's values, replaced by those that `hyperparams` of the settings gives."""
    given = settings.hyperparams.model_dump(exclude_none=True)
    return hero.hyperparams.model_copy(update=given)


def lora_of(hero: Hero, settings: Settings) -> Lora | None:
    """What the hero trains in place of all weights; None when he trains all of them."""
    if hero.lora is None:
        return None
    modules = hero.lora.target_modules
    return Lora(
        rank=hero.lora.rank,
        alpha=hero.lora.alpha,
        dropout=hero.lora.dropout,
        # In whatever order and how often they are named, they are the same.
        target_modules=None if modules == "all-linear" else tuple(sorted(set(modules))),
        rslora=hero.lora.rslora,
        seed=settings.trainer.seed,
    )


def quest_settings(hero: Hero, settings: Settings, quest: QuestRecord) -> QuestSettings:
    """What stands in the quest's claim: quest options first, then the settings, then the hero.

    Raises `InvalidInput` for an unknown profile (failure D12).
    """
    learned = effective_hyperparams(hero, settings)
    profile = quest.profile or settings.profile.name or hero.profile
    prompts = (quest.system_prompt, settings.profile.system_prompt, hero.system_prompt)
    return QuestSettings(
        learning_rate=learned.learning_rate,
        warmup_steps=learned.warmup_steps,
        weight_decay=learned.weight_decay,
        batch_size=learned.batch_size,
        gradient_accumulation=learned.gradient_accumulation,
        epochs=quest.epochs or learned.epochs,
        max_length=learned.max_length,
        max_grad_norm=learned.max_grad_norm,
        micro_batch_tokens=0 if settings.trainer.micro_batch_tokens == "auto" else settings.trainer.micro_batch_tokens,
        seed=settings.trainer.seed,
        profile=get_profile(profile).name,
        spike_ratio=settings.healing.spike_ratio,
        spike_deviations=settings.healing.spike_deviations,
        dropped_in_a_row=settings.healing.dropped_in_a_row,
        rollbacks=settings.healing.rollbacks,
        # An empty prompt is a choice too: it says "none" over what a weaker level gives.
        system_prompt=next((prompt for prompt in prompts if prompt is not None), None),
    )


def resolve_base_model(hero: Hero, settings: Settings, paths: RealmPaths) -> str:
    """`seedling`, the path of an existing model directory, or a hub id; raises `InvalidInput` for anything else."""
    name = settings.model_name or hero.base_model
    if name == SEEDLING:
        if hero.recipe is None:
            raise InvalidInput(
                f"model_name is seedling, but hero {hero.id} has no recipe to make one from.",
                hint="Set `hero: seedling`.",
            )
        return name
    if Path(name).is_absolute():
        return str(_model_directory(Path(name)))
    if _MODEL_NAME.fullmatch(name) and ".." not in name and (paths.models / name).is_dir():
        return str(_model_directory(paths.models / name))
    if HUB_ID.fullmatch(name):
        return name
    raise InvalidInput(
        f"There is no model {name!r}: {paths.models} has no such directory, and it is no hub id.",
        hint="Put a Hugging Face model directory there, or set model_name to an absolute path or to OWNER/NAME.",
    )


def model_folder(base_model: str, models_dir: Path) -> Path:
    """Where the files of a base model other than the seedling lie, or will lie once the hub has given them."""
    if Path(base_model).is_absolute():
        return Path(base_model)
    if HUB_ID.fullmatch(base_model):
        return models_dir / base_model.replace("/", "--")
    raise InvalidInput(f"{base_model!r} is neither seedling, nor an absolute path, nor a hub id.")


def with_files_from(models_dir: Path, base_model: str) -> str:
    """The base model as one whose working directory is not `models_dir` names it: by path, where it lies there."""
    folder = None if base_model == SEEDLING else model_folder(base_model, models_dir)
    return str(folder) if folder is not None and folder.is_dir() else base_model


def _model_directory(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise InvalidInput(
            f"{folder} is no model directory: it has no config.json.", hint="Give a directory in Hugging Face format."
        )
    return folder


def hero_files(paths: RealmPaths) -> dict[str, Path]:
    """The file of each hero by id; those of the base directory shadow the shipped ones."""
    found: dict[str, Path] = {}
    for configs in (CHECKOUT / "configs", paths.configs):
        found.update((file.stem, file) for file in (configs / "heroes").glob("*.yaml") if HERO_ID.fullmatch(file.stem))
    return dict(sorted(found.items()))

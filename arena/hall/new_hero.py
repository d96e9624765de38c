"""Making a hero: a file in `configs/heroes/`, from a seedling's recipe, a model directory or a model of the hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from arena.hall.errands import fetch_model
from arena.hall.model_look import ModelLook, choose_profile, look_at_model
from arena.heroes import HUB_ID, SEEDLING, HeroLora, check_hero_id, load_hero, lora_of, survey_heroes
from arena.lora import check_peft, told
from core.errors import Conflict, InvalidInput
from core.files import DISK, Files
from core.paths import RealmPaths
from core.settings import Settings

PATTERN_HERO = "dio"
"""Whose hyperparameters a model gets that was trained elsewhere before."""
SHORTEST_ROW = 128
LORA_RATE = 2e-4
"""Adapters begin at zero and want larger steps than weights that know something; the usual rate for them."""


@dataclass(frozen=True)
class Summoned:
    """A new hero, and what was found out about his model."""

    id: str
    title: str
    file: str
    base_model: str
    parameters: int | None
    """None for a seedling: it is made when it first trains."""
    profile: str
    why_profile: str
    lora: str | None = None
    """What he trains in place of all weights, in words."""


def summon_hero(
    paths: RealmPaths,
    hero_id: str,
    *,
    source: str | None,
    title: str | None,
    show: bool,
    lora: bool = False,
    files: Files = DISK,
) -> Summoned:
    """Write the file of a new hero and get his model ready.

    `source` is a model directory, the name of one below `models/`, or a hub id, which is downloaded (`show` lets the
    progress bars through); None makes a seedling. With `lora` he trains adapters in place of all weights. Raises
    `Conflict` for an id that is taken, `InvalidInput` for a model that cannot be trained, and `Unavailable` when the
    hub cannot be reached, or peft is wanted and not installed.
    """
    _check_id(paths, hero_id)
    if lora:
        check_peft()
    name = title or hero_id.replace("-", " ").replace("_", " ").title()
    model: ModelLook | None = None
    if source is None or source == SEEDLING:
        pattern, base_model = load_hero(paths, SEEDLING), SEEDLING
        profile, why = pattern.profile, "a seedling knows ChatML from the start"
    else:
        pattern = load_hero(paths, PATTERN_HERO)
        folder, base_model = _find_model(paths, source, show=show)
        model = look_at_model(folder)
        profile, why = choose_profile(folder)
    hyperparams = pattern.hyperparams.model_dump()
    if model is not None and model.longest_row is not None:
        hyperparams["max_length"] = max(SHORTEST_ROW, min(hyperparams["max_length"], model.longest_row))
    values = {"title": name, "base_model": base_model, "profile": profile, "hyperparams": hyperparams}
    if pattern.recipe is not None and model is None:
        values["recipe"] = pattern.recipe
    if lora:
        values["lora"] = HeroLora().model_dump()
        hyperparams["learning_rate"] = max(hyperparams["learning_rate"], LORA_RATE)
    file = paths.configs / "heroes" / f"{hero_id}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    text = f"# Made by `realm hero summon {hero_id}`. Profile {profile}: {why}.\n"
    text += yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    files.write_atomic(file, text.encode(), durable=True)
    adapters = lora_of(load_hero(paths, hero_id), Settings())
    return Summoned(
        id=hero_id, title=name, file=str(file), base_model=base_model, parameters=model.parameters if model else None,
        profile=profile, why_profile=why, lora=told(adapters) if adapters else None,
    )  # fmt: skip


def _check_id(paths: RealmPaths, hero_id: str) -> None:
    check_hero_id(hero_id)
    heroes, broken = survey_heroes(paths)
    if hero_id in heroes or hero_id in broken:
        raise Conflict(f"There is a hero {hero_id} already.", hint="Choose another id, or edit his file.")


def _find_model(paths: RealmPaths, source: str, *, show: bool) -> tuple[Path, str]:
    """The directory of a model, downloaded if it must be, and how a hero's file names it."""
    given = Path(source).expanduser()
    for folder in (given, paths.models / source):
        if folder.is_dir():
            real = folder.resolve()
            inside = real.parent == paths.models.resolve()
            return real, real.name if inside and not HUB_ID.fullmatch(real.name) else str(real)
    if not HUB_ID.fullmatch(source):
        raise InvalidInput(
            f"There is no model {source!r}: it is neither a directory, nor one below {paths.models}, nor a hub id.",
            hint="Give the path of a directory in Hugging Face format, or OWNER/NAME.",
        )
    return fetch_model(paths, source, show=show), source

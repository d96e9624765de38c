"""Everything that must be right before a realm starts, looked at in one go: settings, hero, profile, model, locks.

One problem does not hide the next (failure B25): all of them are told at once, and nothing has been started yet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arena.heroes import Hero, load_hero, resolve_base_model
from arena.journal import JOURNAL_NAME, read_history
from arena.locked_settings import check_locked
from arena.lora import check_peft
from core.errors import InvalidInput, RealmError
from core.paths import RealmPaths
from core.settings import Settings
from core.settings_reading import merge_sources, validate_section
from guild.profiles import get_profile


@dataclass(frozen=True)
class Setup:
    """What a realm starts with."""

    settings: Settings
    hero: Hero
    base_model: str
    """`seedling`, the path of a model directory, or a hub id."""


def read_setup(
    paths: RealmPaths,
    overrides: Mapping[str, Any] | None = None,
    env: Mapping[str, str] = os.environ,
    *,
    config_file: Path | None = None,
) -> Setup:
    """Read and check everything; raises the one error there is, or `InvalidInput` that lists all of them.

    `config_file` is looked at in place of the realm's own.

    Starts nothing and writes nothing. A file that is not YAML at all ends the check: there is nothing to look at.
    """
    config_file = config_file or paths.config_file
    values, origins = merge_sources(config_file, env, overrides)
    errors: list[RealmError] = []
    settings: Settings | None = None
    hero: Hero | None = None
    base_model: str | None = None
    try:
        settings = validate_section(Settings, values, source=str(config_file), origins=origins)
    except RealmError as error:
        errors.append(error)
    # Names are looked up even when some number beside them is wrong.
    names = settings or _names_only(values)
    try:
        if names.profile.name is not None:
            get_profile(names.profile.name)
    except RealmError as error:
        errors.append(error)
    try:
        hero = load_hero(paths, names.hero)
        base_model = resolve_base_model(hero, names, paths)
        if settings is not None:
            check_locked(read_history(paths.current_model / JOURNAL_NAME), hero, settings, base_model)
    except RealmError as error:
        errors.append(error)
    try:
        if hero is not None and hero.lora is not None:
            check_peft()
    except RealmError as error:
        errors.append(error)
    if errors or settings is None or hero is None or base_model is None:
        raise errors[0] if len(errors) == 1 else _all_of(errors)
    return Setup(settings=settings, hero=hero, base_model=base_model)


def _names_only(values: Mapping[str, Any]) -> Settings:
    """The default settings with the hero, model and profile of `values`, where these are texts at all."""
    profile = values.get("profile")
    names = {name: values.get(name) for name in ("hero", "model_name")}
    given: dict[str, Any] = {name: value for name, value in names.items() if isinstance(value, str)}
    if isinstance(profile, Mapping) and isinstance(profile.get("name"), str):
        given["profile"] = {"name": profile["name"]}
    return Settings.model_validate(given)


def _all_of(errors: list[RealmError]) -> InvalidInput:
    told = "\n".join(f"- {error}" for error in errors)
    return InvalidInput(
        f"These settings cannot be used:\n{told}", errors=[line for error in errors for line in _lines_of(error)]
    )


def _lines_of(error: RealmError) -> list[str]:
    """The single problems of a settings error; any other error is one problem."""
    return list(error.details.get("errors") or [str(error)])

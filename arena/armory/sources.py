"""What is set at the moment, and where it is said: file, environment, command line, hero, or nowhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from arena.armory.catalogue import items, plain
from arena.heroes import Hero
from core.errors import RealmError
from core.settings import Settings
from core.settings_reading import environment_variable, merge_sources
from core.shell.config_file import mark_of, text_of
from core.shell.config_lines import lines_of_settings

OF_HERO = {"profile.name": "profile", "profile.system_prompt": "system_prompt", "model_name": "base_model"}


@dataclass(frozen=True)
class Sources:
    """One look at everything that settings come from."""

    text: str | None
    mark: str
    lines: Mapping[str, int]
    given: Mapping[str, Any]
    """What is said anywhere, by dotted name."""
    origins: Mapping[str, str]
    """Of what comes from elsewhere than the file: the variable of the environment, or other words."""
    unread: str | None
    """Why the file cannot be read at all."""

    def value(self, name: str) -> Any:
        """What counts at the next start: as it is given, else the default."""
        return self.given.get(name, items()[name].default)

    def source(self, name: str, hero: Hero | None) -> dict[str, Any]:
        """`{kind, line, variable}`."""
        variable = environment_variable(name)
        if origin := self.origins.get(name):
            known = origin == variable
            return {"kind": "environment" if known else "option", "line": None, "variable": variable if known else None}
        if name in self.given and name in self.lines and (self.given[name] is not None or of_hero(name, hero) is None):
            return {"kind": "file", "line": self.lines[name], "variable": None}
        kind = "hero" if of_hero(name, hero) is not None else "default"
        return {"kind": kind, "line": self.lines.get(name), "variable": None}


def look(config_file: Path, overrides: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> Sources:
    """Read it all; a file that cannot be read leaves what is said elsewhere."""
    unread, text = None, None
    try:
        text = text_of(config_file)
        values, origins = merge_sources(config_file, env, overrides)
    except RealmError as error:
        unread = str(error)
        values, origins = merge_sources(config_file.with_name(".no-such-file"), env, overrides)
    told = {name: "the command line" if words == "The new value" else words for name, words in origins.items()}
    return Sources(text, mark_of(text), lines_of_settings(text or ""), _typed(_flat(values)), told, unread)


def values_in(text: str | None) -> dict[str, Any]:
    """Every setting as a text of the file says it, else its default; `{}` beside the defaults for what is no YAML."""
    try:
        said = yaml.safe_load(text or "")
    except (yaml.YAMLError, RecursionError):
        said = None
    defaults = {name: item.default for name, item in items().items()}
    return defaults | (_typed(_flat(said)) if isinstance(said, dict) else {})


def of_hero(name: str, hero: Hero | None) -> Any:
    """What the hero says where a setting is null; None where he has no say."""
    if hero is None:
        return None
    if name.startswith("hyperparams."):
        return getattr(hero.hyperparams, name.removeprefix("hyperparams."), None)
    return getattr(hero, OF_HERO[name], None) if name in OF_HERO else None


def flat_settings(settings: Settings) -> dict[str, Any]:
    """Checked settings by dotted name, as JSON has them."""
    return _flat(settings.model_dump(mode="json"))


def _typed(given: dict[str, Any]) -> dict[str, Any]:
    """The same, as the settings understand it, where they do: a variable of the environment is text."""
    nested: dict[str, Any] = {}
    try:
        for name, value in given.items():
            *sections, last = name.split(".")
            place = nested
            for part in sections:
                place = place.setdefault(part, {})
            place[last] = value
        checked = flat_settings(Settings.model_validate(nested))
    except (ValueError, AttributeError, TypeError):  # shown as it was written, beside what is wrong with it
        return {name: plain(value) for name, value in given.items()}
    return {name: checked.get(name, plain(value)) for name, value in given.items()}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name not in items():
            found |= _flat(value, f"{name}.")
        else:
            found[name] = value
    return found

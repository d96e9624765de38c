"""Which directories of the vault a hero was made from: a checkpoint may be the base model of another hero (A24)."""

from __future__ import annotations

from pathlib import Path

from core.errors import InvalidInput
from core.paths import RealmPaths
from core.settings import read_yaml
from vault.retention import Pin, Protection


def base_pins(paths: RealmPaths, model_name: str | None) -> dict[Path, Pin]:
    """Base models that are directories, by path: those of all heroes, and that of the setting `model_name`.

    A hero whose file is wrong in some other way counts all the same.
    """
    named = {} if model_name is None else {model_name: "It is the base model that model_name names."}
    for file in sorted((paths.configs / "heroes").glob("*.yaml")):
        try:
            base = read_yaml(file).get("base_model")
        except InvalidInput:  # `realm hero list` says what is wrong with it
            continue
        if isinstance(base, str):
            named[base] = f"It is the base model of the hero {file.stem}."
    return {Path(name): Pin(Protection.SACRED, reason) for name, reason in named.items() if Path(name).is_absolute()}

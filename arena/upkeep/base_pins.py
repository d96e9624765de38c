"""Which directories of the vault a hero was made from: a checkpoint may be the base model of another hero (A24)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from arena.heroes import hero_files
from arena.journal import JOURNAL_NAME, Genesis
from core.errors import InvalidInput
from core.paths import RealmPaths
from core.settings_reading import read_yaml
from vault.retention import Pin, Protection


def base_pins(paths: RealmPaths, model_name: str | None) -> dict[Path, Pin]:
    """Where base models may lie, by path: of all heroes, of the setting `model_name`, and of the models themselves,
    in use or archived. What lies in `models/` may be a link into the vault.

    A hero whose file is wrong in some other way counts all the same.
    """
    named: dict[str, str] = {}
    for model in (*paths.archive.glob("[!.]*"), paths.current_model):
        if (base := _began_with(model)) is not None:
            named[base] = f"The model in {model.name} began with it."
    if model_name is not None:
        named[model_name] = "It is the base model that model_name names."
    for hero_id, file in hero_files(paths).items():
        try:
            base = read_yaml(file).get("base_model")
        except InvalidInput:  # `realm hero list` says what is wrong with it
            continue
        if isinstance(base, str):
            named[base] = f"It is the base model of the hero {hero_id}."
    pins = {name: Pin(Protection.SACRED, reason) for name, reason in named.items() if "\0" not in name}
    return {folder: pin for name, pin in pins.items() for folder in _folders(paths.models, name)}


def _began_with(model: Path) -> str | None:
    """The base model that the first line of its journal names; None where that cannot be told."""
    try:
        with (model / JOURNAL_NAME).open("rb") as journal:
            return msgspec.json.decode(journal.readline(), type=Genesis).base_model
    except (OSError, msgspec.DecodeError):
        return None


def _folders(models: Path, name: str) -> Iterator[Path]:
    """Where `arena.heroes.resolve_base_model` finds a base model of this name."""
    yield models / name  # an absolute one is what it was
    yield models / name.replace("/", "--")  # of the hub
    yield models / Path(name).name  # the base directory may have been moved, and this with it

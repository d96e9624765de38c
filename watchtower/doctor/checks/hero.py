"""The hero exists, and so does the model that it starts from."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from arena.heroes import HUB_ID, SEEDLING, load_hero, lora_of, resolve_base_model
from arena.lora import check_peft, told
from arena.memory.model_sizes import sizes_of_hero
from watchtower.doctor.checkup import Finding, Patient


def check(patient: Patient) -> Finding:
    if patient.settings_error is not None:
        return Finding("warning", "not looked at: the settings are wrong", "Correct them first.")
    hero = load_hero(patient.paths, patient.settings.hero)
    base_model = resolve_base_model(hero, patient.settings, patient.paths)
    lora = lora_of(hero, patient.settings)
    adapters = ""
    details: dict[str, Any] = {"hero": hero.id, "base_model": base_model, "lora": None}
    if lora is not None:
        check_peft()
        sizes = sizes_of_hero(hero, patient.settings, patient.paths)
        trained = sizes.with_gradients if sizes else None
        of_all = f", {trained:,} of {sizes.parameters:,} parameters" if sizes else ""
        adapters = f", and trains {told(lora)}{of_all}"
        details |= {"lora": to_builtins(lora), "trained": trained}
    if base_model == SEEDLING:
        return Finding("ok", f"{hero.title} is made on the spot{adapters}", details=details)
    if HUB_ID.fullmatch(base_model):
        return Finding("ok", f"{hero.title} starts from {base_model} of the hub{adapters}", details=details)
    return Finding("ok", f"{hero.title} starts from {base_model}{adapters}", details=details)

"""The hero exists, and so does the model that it starts from."""

from __future__ import annotations

from arena.heroes import HUB_ID, SEEDLING, load_hero, resolve_base_model
from watchtower.doctor.checkup import Finding, Patient


def check(patient: Patient) -> Finding:
    if patient.settings_error is not None:
        return Finding("warning", "not looked at: the settings are wrong", "Correct them first.")
    hero = load_hero(patient.paths, patient.settings.hero)
    base_model = resolve_base_model(hero, patient.settings, patient.paths)
    details = {"hero": hero.id, "base_model": base_model}
    if base_model == SEEDLING:
        return Finding("ok", f"{hero.title} is made on the spot", details=details)
    if HUB_ID.fullmatch(base_model):
        return Finding("ok", f"{hero.title} starts from {base_model} of the hub", details=details)
    return Finding("ok", f"{hero.title} starts from {base_model}", details=details)

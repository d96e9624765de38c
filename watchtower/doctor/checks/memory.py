"""What a step of the hero takes fits into the memory that is free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from arena.disk.gauge import megabytes
from arena.heroes import load_hero
from arena.memory.estimate import fits
from arena.memory.model_sizes import sizes_of_hero
from arena.memory.of_settings import estimate_of
from watchtower.doctor.checkup import Finding, Patient
from watchtower.doctor.torch_probe import ask_torch


def check(patient: Patient, ask: Callable[[Patient], dict[str, Any]] = ask_torch) -> Finding:
    if patient.settings_error is not None:
        return Finding("warning", "not looked at: the settings are wrong", "Correct them first.")
    hero = load_hero(patient.paths, patient.settings.hero)
    if sizes_of_hero(hero, patient.settings, patient.paths) is None:
        return Finding("ok", f"not known before the model of {hero.title} is on this machine")
    free = ask(patient)["machine"]["free_bytes"]
    estimated = estimate_of(patient.paths, hero, patient.settings, free)
    assert estimated is not None
    estimate, sizes = estimated
    details = {**asdict(estimate), "total": estimate.total, "free_bytes": free, "parameters": sizes.parameters}
    text = f"a step of {hero.title} takes up to {estimate.told}"
    if patient.running_pid is not None:
        return Finding("ok", text, details=details)  # its trainer has taken its memory already
    text += f"; {megabytes(free)} are free"
    if fits(estimate, free):
        return Finding("ok", text, details=details)
    hint = "Free memory, or lower trainer.micro_batch_tokens or hyperparams.max_length. Else steps are made in parts."
    return Finding("warning", text, hint, details)

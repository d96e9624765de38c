"""How the hero is computed on this machine, and whether that is as the settings wish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from watchtower.doctor.checkup import Finding, Patient
from watchtower.doctor.torch_probe import ask_torch


def check(patient: Patient, ask: Callable[[Patient], dict[str, Any]] = ask_torch) -> Finding:
    found = ask(patient)
    computing = found["computing"]
    if "packed" in computing:
        computing += " where the model can be packed"  # which only the trainer finds out, with the model at hand
    details = {"computing": found["computing"], "notes": found["notes"], "machine": found["machine"]}
    if found["notes"]:
        hint = "Set trainer.tf32, trainer.compile or hyperparams.fp_precision to what this machine has, or leave it so."
        return Finding("warning", f"{computing}; {'; '.join(found['notes'])}", hint, details)
    return Finding("ok", computing, details=details)

"""All that a start checks is right: settings, hero, profile, model and locks; all errors are told at once."""

from __future__ import annotations

from arena.start_check import read_setup
from core.errors import RealmError
from watchtower.doctor.checkup import Finding, Patient


def check(patient: Patient) -> Finding:
    try:
        read_setup(patient.paths)
    except RealmError as error:
        hint = error.hint or "Correct them; `realm config check` tells when all is well."
        return Finding("failure", error.message, hint, error.details)
    file = patient.paths.config_file
    if not file.exists():
        return Finding("ok", f"there is no {file}, the defaults are in force")
    return Finding("ok", f"{file} is valid")

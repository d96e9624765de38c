"""torch can be loaded and has the device that the settings ask for."""

from __future__ import annotations

from watchtower.doctor.checkup import Finding, Patient
from watchtower.doctor.torch_probe import ask_torch


def check(patient: Patient) -> Finding:
    wanted = patient.settings.trainer.device
    found = ask_torch(patient)
    if wanted == "cuda" and not found["cuda"]:
        hint = "Set trainer.device to auto or cpu, or install a CUDA build of torch and its driver."
        message = f"trainer.device is cuda, but torch {found['torch']} finds none."
        return Finding("failure", message, hint, found)
    device = ", ".join(found["cuda"]) if found["cuda"] and wanted != "cpu" else f"CPU, {found['threads']} threads"
    return Finding("ok", f"torch {found['torch']} on {device}", details=found)

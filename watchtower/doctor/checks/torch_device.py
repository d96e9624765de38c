"""torch can be loaded and has the device that the settings ask for; it is asked in a process of its own (law 5)."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from core.paths import CHECKOUT
from watchtower.doctor.checkup import Finding, Patient

PROBE = "arena.trainer.loading.device_probe"
SECONDS = 120.0


def check(patient: Patient) -> Finding:
    wanted = patient.settings.trainer.device
    try:
        done = subprocess.run(
            [sys.executable, "-m", PROBE], capture_output=True, text=True, cwd=CHECKOUT, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("failure", f"torch did not answer within {SECONDS:g} s.", "Look for a hanging GPU driver.")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        hint = "Install again: `pip install -c constraints.txt -e .` in the checkout."
        return Finding("failure", f"torch cannot be loaded: {last}", hint)
    found: dict[str, Any] = json.loads(done.stdout)
    if wanted == "cuda" and not found["cuda"]:
        hint = "Set trainer.device to auto or cpu, or install a CUDA build of torch and its driver."
        message = f"trainer.device is cuda, but torch {found['torch']} finds none."
        return Finding("failure", message, hint, found)
    device = ", ".join(found["cuda"]) if found["cuda"] and wanted != "cpu" else f"CPU, {found['threads']} threads"
    return Finding("ok", f"torch {found['torch']} on {device}", details=found)

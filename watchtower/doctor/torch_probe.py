"""Asks torch, in a process of its own (law 5); several checks need the answer, which takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import lru_cache
from typing import Any

from arena.heroes import effective_hyperparams, load_hero
from core.errors import RealmError, Unavailable
from core.paths import CHECKOUT
from watchtower.doctor.checkup import Patient

PROBE = "arena.trainer.loading.device_probe"
SECONDS = 120.0


def ask_torch(patient: Patient) -> dict[str, Any]:
    """What `arena.trainer.loading.device_probe` says for this realm; raises `Unavailable` when there is no answer."""
    return _ask(json.dumps(_wishes(patient)))


def _wishes(patient: Patient) -> dict[str, Any]:
    trainer = patient.settings.trainer
    try:
        hero = load_hero(patient.paths, patient.settings.hero)
        precision: str = effective_hyperparams(hero, patient.settings).fp_precision
    except RealmError:
        precision = "fp32"  # the check `hero` says what is wrong
    wishes = {"precision": precision, "packing": trainer.packing, "tf32": trainer.tf32, "compile": trainer.compile}
    return {"device": trainer.device, **wishes}


@lru_cache(maxsize=4)
def _ask(wishes: str) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [sys.executable, "-m", PROBE, wishes],
            capture_output=True, text=True, cwd=CHECKOUT, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"torch did not answer within {SECONDS:g} s.", hint="Look for a hanging GPU driver."
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Unavailable(
            f"torch cannot be loaded: {last}",
            hint="Install again: `pip install -c constraints.txt -e .` in the checkout.",
        )
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        raise Unavailable(
            f"torch is loaded, but the GPU does not answer: {found['error']}",
            hint="`nvidia-smi` shows whether it works and who uses it; `trainer.device: cpu` does without.",
        )
    return found

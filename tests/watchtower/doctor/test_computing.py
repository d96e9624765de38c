"""The doctor on how the hero is computed here, and on the memory that a step takes."""

from __future__ import annotations

from typing import Any

import pytest

from arena.trainer.computing import capability
from arena.trainer.computing.settling import Wishes
from arena.trainer.loading.device_probe import probe
from core.paths import RealmPaths
from tests.watchtower.doctor.patients import patient
from watchtower.doctor.checks import computing, memory, torch_device
from watchtower.doctor.checkup import Patient


def test_it_says_how_the_hero_is_computed_and_what_a_step_takes(paths: RealmPaths) -> None:
    """One visit to torch, which takes seconds, answers all three checks."""
    healthy = patient(paths)
    device = torch_device.check(healthy)
    found = computing.check(healthy)
    assert (found.verdict, found.message) == ("ok", "fp32, packed rows (rows) where the model can be packed")
    assert found.details["machine"] == device.details["machine"]
    needs = memory.check(healthy)
    assert needs.verdict == "ok"
    assert needs.message.startswith("a step of Seedling takes up to ")
    assert needs.message.endswith(" are free")
    parts = ("weights", "gradients", "optimizer", "activations", "logits")
    assert needs.details["total"] == sum(needs.details[part] for part in parts)
    assert needs.details["weights"] == 4 * needs.details["parameters"] == 4 * 673_216


def test_what_the_machine_does_not_have_is_told(paths: RealmPaths) -> None:
    def ask(patient: Patient) -> dict[str, Any]:
        trainer = patient.settings.trainer
        return probe("cpu", Wishes("fp32", trainer.packing, trainer.tf32, compile=trainer.compile))

    found = computing.check(patient(paths, config="trainer: {tf32: true, packing: always}"), ask)
    assert found.verdict == "warning"
    computed, note = found.message.split("; ")
    assert computed == "fp32, packed rows (rows) where the model can be packed"
    assert note == "trainer.tf32 is left out, as CPU has no TF32"


def test_a_step_beyond_what_is_free_is_a_warning_and_not_while_the_trainer_holds_its_memory(
    paths: RealmPaths,
) -> None:
    """D7: memory that does not suffice is known before training, not by its end."""

    def small(patient: Patient) -> dict[str, Any]:
        return {"machine": {"free_bytes": 50_000_000}}

    found = memory.check(patient(paths), small)
    assert found.verdict == "warning"
    assert "gradient checkpointing" in found.message
    assert found.message.endswith("; 50 MB are free")
    assert memory.check(patient(paths, pid=1), small).verdict == "ok"


def test_a_model_that_is_not_here_yet_and_wrong_settings_are_left_aside(paths: RealmPaths) -> None:
    assert memory.check(patient(paths, config="hero: dio")).message.startswith("not known before the model of DIO")
    assert memory.check(patient(paths, config="hero: 7")).verdict == "warning"


def test_whether_layers_can_be_compiled_is_told(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(patient: Patient) -> dict[str, Any]:
        return probe("cpu", Wishes("fp32", compile=patient.settings.trainer.compile))

    wished = patient(paths, config="trainer: {compile: true}")
    monkeypatch.setattr(capability.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert computing.check(wished, ask).message == "fp32, padded rows, compiled"
    monkeypatch.setattr(capability.shutil, "which", lambda name: None)
    found = computing.check(wished, ask)
    assert found.verdict == "warning"
    assert found.message == "fp32, padded rows; trainer.compile is left out: there is no compiler g++"

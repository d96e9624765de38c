"""The doctor on how the hero is computed here, and on the memory that a step takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from arena.trainer.computing import capability
from arena.trainer.computing.settling import Wishes
from arena.trainer.loading.device_probe import answer, probe
from core.errors import Unavailable
from core.paths import RealmPaths
from tests.watchtower.doctor.patients import patient
from watchtower.doctor import torch_probe
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
        return answer({"device": "cpu", "precision": "fp32", "compile": patient.settings.trainer.compile})

    wished = patient(paths, config="trainer: {compile: true}")
    monkeypatch.setattr(capability.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert computing.check(wished, ask).message == "fp32, padded rows, compiled"
    monkeypatch.setattr(capability.shutil, "which", lambda name: None)
    found = computing.check(wished, ask)
    assert found.verdict == "warning"
    assert found.message == "fp32, padded rows; trainer.compile is left out: there is no compiler g++"


@pytest.fixture
def broken_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A GPU of which torch knows all but how much of its memory is free; what it says instead."""
    says = ["CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"]

    def refuse() -> tuple[int, int]:
        raise RuntimeError(says[-1])

    known = {
        "is_available": lambda: True, "device_count": lambda: 1, "get_device_capability": lambda: (8, 0),
        "get_device_name": lambda *index: "A100", "is_bf16_supported": lambda **options: True, "mem_get_info": refuse,
    }  # fmt: skip
    for name, known_answer in known.items():
        monkeypatch.setattr(torch.cuda, name, known_answer)
    return says


def test_a_gpu_whose_memory_is_full_has_none_left_and_torch_is_not_to_blame(
    paths: RealmPaths, broken_gpu: list[str]
) -> None:
    """Asking for it takes some of it; the doctor said that torch cannot be loaded."""
    found = answer({"device": "auto", "precision": "bf16"})
    assert (found["cuda"], found["machine"]["free_bytes"]) == (["A100"], 0)
    full = memory.check(patient(paths), lambda patient: found)
    assert full.verdict == "warning"
    assert full.message.endswith("; 0 MB are free")
    broken_gpu.append("CUDA error: unspecified launch failure")
    assert answer({"device": "auto", "precision": "bf16"}) == {"error": "CUDA error: unspecified launch failure"}


def test_a_gpu_that_does_not_answer_is_named(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_probe, "PROBE", "tests.watchtower.doctor.silent_gpu")
    with pytest.raises(Unavailable, match=r"the GPU does not answer: CUDA error: unspecified.*`nvidia-smi`"):
        torch_device.check(patient(paths, config="trainer: {device: cuda}"))

"""The doctor's visit as a whole, and its checks of the settings, the hero and the trainer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.paths import CHECKOUT, RealmPaths
from core.status_files import write_status
from tests.arena.test_lora import mira
from tests.watchtower.doctor.patients import NOW, patient
from watchtower.doctor import checkup
from watchtower.doctor.checks import disk, hero, python, settings, trainer
from watchtower.doctor.checkup import Finding, Patient
from watchtower.doctor_cli import CHECKS


def test_every_check_is_a_file_and_every_file_is_a_check() -> None:
    folder = Path(checkup.__file__).parent / "checks"
    assert {file.stem for file in folder.glob("*.py")} - {"__init__"} == set(CHECKS)


def test_one_check_that_breaks_does_not_hide_the_others(paths: RealmPaths) -> None:
    """B25: the health check of the predecessor ended at its first problem."""

    def broken(patient: Patient) -> Finding:
        raise ZeroDivisionError

    def refusing(patient: Patient) -> Finding:
        raise InvalidInput("That is wrong.", hint="Do this.")

    def refused(patient: Patient) -> Finding:
        paths.status.joinpath("nothing").read_bytes()
        raise AssertionError

    checks = [("broken", broken), ("refusing", refusing), ("refused", refused), ("python", python.check)]
    found = checkup.examine(patient(paths), checks)

    assert [finding.verdict for finding in found.values()] == ["failure", "failure", "failure", "ok"]
    assert "ZeroDivisionError" in found["broken"].message
    told = f"The check came to no end: {paths.status / 'nothing'}: No such file or directory."
    assert (found["refused"].message, found["refused"].hint) == (told, None)
    assert (found["refusing"].message, found["refusing"].hint) == ("That is wrong.", "Do this.")


def test_all_errors_of_the_settings_are_told_and_the_other_checks_go_on_with_the_defaults(paths: RealmPaths) -> None:
    sick = patient(paths, config="save_stepz: 5\nhyperparams:\n  batch_size: 0\n")

    found = settings.check(sick)

    assert found.verdict == "failure"
    assert "Did you mean save_steps?" in found.message
    assert "hyperparams.batch_size" in found.message
    assert hero.check(sick).verdict == "warning"
    assert disk.check(sick).verdict == "ok"


def test_a_model_that_is_not_there_is_told_by_name(paths: RealmPaths) -> None:
    found = checkup.examine(patient(paths, config="model_name: qwen\n"), [("hero", hero.check)])["hero"]

    assert found.verdict == "failure"
    assert "'qwen'" in found.message
    assert found.hint is not None


def test_a_hero_with_adapters_is_told_with_how_much_of_him_is_trained(paths: RealmPaths) -> None:
    mira(paths, rank=4)

    found = hero.check(patient(paths, config="hero: mira\n"))

    adapters = "LoRA of rank 4 (alpha 32; all linear layers), 30,720 of 703,936 parameters"
    assert found.message == f"Mira is made on the spot, and trains {adapters}"
    assert (found.details["trained"], found.details["lora"]["rank"]) == (30_720, 4)


def test_two_sites_on_one_port_are_found_before_the_start(paths: RealmPaths) -> None:
    """B26."""
    found = settings.check(patient(paths, config="services: {tavern: 9001, vault: 9001}"))

    assert found.verdict == "failure"
    assert "9001, 9001" in found.message


def test_a_realm_that_is_up_without_a_word_of_its_trainer_is_told(paths: RealmPaths) -> None:
    assert trainer.check(patient(paths)).verdict == "ok"
    assert trainer.check(patient(paths, pid=os.getpid())).verdict == "failure"


@pytest.mark.parametrize(
    ("state", "reason", "verdict"),
    [
        ("training", None, "ok"),
        ("training", "The trainer (pid 41) is stopped by a signal", "warning"),
        ("idle", "The trainer (pid 41) is held by a debugger", "warning"),
        ("paused", "the oven is on", "ok"),
    ],
)
def test_a_trainer_that_is_held_from_outside_is_not_said_to_train(
    paths: RealmPaths, state: str, reason: str | None, verdict: str
) -> None:
    write_status(paths.training_status, {"status": state, "reason": reason}, now=NOW, valid_for=60)
    found = trainer.check(patient(paths, pid=os.getpid()))
    assert found.verdict == verdict
    assert (reason or state) in found.message


def test_the_verb_tells_every_check_and_fails_when_one_does(paths: RealmPaths) -> None:
    paths.config_file.write_text("save_steps: never\n")
    command = [sys.executable, str(CHECKOUT / "realm.py"), "doctor", "--json", "--base-dir", str(paths.base)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=100)

    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert list(answer["checks"]) == list(CHECKS)
    assert answer["healthy"] is False
    assert answer["checks"]["settings"]["verdict"] == "failure"
    assert answer["checks"]["torch_device"]["details"]["torch"].startswith("2.13")

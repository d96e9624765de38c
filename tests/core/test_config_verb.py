"""`realm config set`: what gets into the file, and how a file with several errors is mended one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from core.cli import Choices
from core.errors import InvalidInput
from core.paths import RealmPaths
from core.settings_reading import load_settings
from core.verbs.config import config_app


def check(paths: RealmPaths, overrides: Mapping[str, Any], config_file: Path) -> object:
    return load_settings(config_file, {}, overrides)


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    found = RealmPaths(tmp_path)
    found.configs.mkdir()
    found.config_file.write_text("savestep: 3\nsave_steps: 0\neval_steps: 0\n")
    return found


def ask(paths: RealmPaths, *words: str, as_json: bool = False) -> Result:
    app = typer.Typer()
    app.add_typer(config_app(check), name="config")
    return CliRunner().invoke(app, ["config", *words], obj=Choices(paths, as_json))


def test_errors_are_mended_one_by_one_and_what_is_left_is_told(paths: RealmPaths) -> None:
    done = json.loads(ask(paths, "set", "save_steps", "5", as_json=True).stdout)
    assert [problem.partition(":")[0] for problem in done["still_wrong"]] == ["eval_steps", "savestep"]
    told = ask(paths, "set", "eval_steps", "7").stdout
    assert "What is still wrong with the settings:\n  savestep: there is no such setting. Did you mean save_" in told
    assert paths.config_file.read_text() == "savestep: 3\nsave_steps: 5\neval_steps: 7\n"


@pytest.mark.parametrize(("name", "value"), [("save_steps", "-1"), ("hyperparams.learning_rate", "-1e-4")])
def test_a_negative_number_is_a_value_and_no_error_is_added(paths: RealmPaths, name: str, value: str) -> None:
    before = paths.config_file.read_text()
    refused = ask(paths, "set", name, value).exception
    assert isinstance(refused, InvalidInput)
    assert str(refused).startswith(f"{name} stays as it is:\n  {name}: Input should be greater than or equal to")
    assert "savestep" not in str(refused)
    assert paths.config_file.read_text() == before


def test_a_file_that_is_no_yaml_is_named(paths: RealmPaths) -> None:
    paths.config_file.write_text("hero: [")
    refused = ask(paths, "set", "save_steps", "5").exception
    assert isinstance(refused, InvalidInput)
    assert str(paths.config_file) in str(refused)

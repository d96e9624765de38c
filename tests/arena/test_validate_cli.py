"""`realm validate FILE`, called as the command line calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from arena.validate_cli import validate
from core.cli import Choices
from core.paths import RealmPaths

GOOD = '{"text": "once"}\n'


def run(tmp_path: Path, *arguments: str, as_json: bool = False) -> Result:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=RealmPaths(tmp_path), as_json=as_json)

    app.command()(validate)
    return CliRunner().invoke(app, ["validate", *arguments])


def test_a_good_file_is_accepted_with_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(GOOD)
    result = run(tmp_path, str(tmp_path / "x.jsonl"))
    assert result.exit_code == 0
    assert "accepted: 1 row of completion_v1" in result.stdout


def test_a_bad_file_is_rejected_with_exit_code_1_and_its_lines(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(GOOD + "{\n")
    result = run(tmp_path, str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert "rejected: 1 error" in result.stdout
    assert "line 2: is not valid JSON" in result.stdout


def test_json_output_is_the_verdict(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{\n")
    result = run(tmp_path, str(file), as_json=True)
    verdict = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (verdict["file"], verdict["level"], verdict["accepted"]) == (str(file), "quick", False)
    assert verdict["errors"][0]["line"] == 1


def test_a_missing_file_is_an_expected_failure(tmp_path: Path) -> None:
    result = run(tmp_path, str(tmp_path / "missing.jsonl"))
    assert result.exit_code == 1
    assert "No such file" in result.stdout


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(GOOD)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "x.jsonl")
    assert run(tmp_path, str(tmp_path / "link.jsonl")).exit_code == 0


@pytest.mark.parametrize("level", ["standard", "deep", "nonsense"])
def test_a_level_that_is_not_there_is_a_usage_error(tmp_path: Path, level: str) -> None:
    result = run(tmp_path, str(tmp_path / "x.jsonl"), "--level", level)
    assert result.exit_code == 2

"""`realm validate FILE…`, called as the command line calls it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from arena.verbs.validate import validate
from core.cli import Choices
from core.paths import RealmPaths
from tests.arena.gatekeepers.scroll_making import chat, lines

GOOD = '{"text": "once"}\n'


def run(tmp_path: Path, *arguments: str, as_json: bool = False) -> Result:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=RealmPaths(tmp_path), as_json=as_json)

    app.command()(validate)
    return CliRunner().invoke(app, ["validate", *arguments])


def run_json(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(tmp_path, *arguments, as_json=True).stdout)
    return found


def test_a_good_file_is_accepted_with_exit_code_0_and_its_statistics(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(GOOD)
    result = run(tmp_path, str(tmp_path / "x.jsonl"))
    assert result.exit_code == 0
    assert "accepted: 1 row of completion_v1" in result.stdout
    assert "tokens of a row: 5 to 5, median 5" in result.stdout
    assert "looked at: every row (1)" in result.stdout


def test_a_bad_file_is_rejected_with_exit_code_1_and_its_lines(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(GOOD + "{\n")
    result = run(tmp_path, str(tmp_path / "x.jsonl"))
    assert result.exit_code == 1
    assert "rejected: 1 error" in result.stdout
    assert "line 2: is not valid JSON" in result.stdout


def test_an_answer_that_would_be_cut_shows_at_level_standard_only(tmp_path: Path) -> None:
    """C17: what the daemon would refuse before training is told before anything is dropped."""
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines(*[chat()] * 40, chat("a" * 2000)))
    assert run(tmp_path, str(file), "--level", "quick").exit_code == 0
    result = run(tmp_path, str(file))
    assert result.exit_code == 1
    assert "line 41, messages[1].content: the answer has 2001 tokens, and max_length is 1024" in result.stdout


def test_settings_hero_sidecar_and_held_out_rows_of_the_realm_count(tmp_path: Path) -> None:
    """C14, and the system prompt that the quest asks for is measured with it."""
    paths = RealmPaths(tmp_path)
    paths.create()
    paths.config_file.write_text("hyperparams:\n  max_length: 128\n")
    file = tmp_path / "x.jsonl"
    file.write_bytes(lines(*[chat(question=f"{number}?") for number in range(9)]))
    assert run(tmp_path, str(file)).exit_code == 0
    (tmp_path / "x.jsonl.meta.json").write_text(json.dumps({"system_prompt": "p" * 120}))
    assert run(tmp_path, str(file)).exit_code == 1
    (tmp_path / "x.jsonl.meta.json").unlink()
    (paths.validation / "exam.jsonl").write_bytes(lines(chat(question="3?")))
    verdict = run_json(tmp_path, str(file))["files"][0]
    assert [(error["line"], error["message"][:20]) for error in verdict["errors"]] == [(4, "this row is held out")]


def test_several_files_of_any_kind_are_checked_and_one_bad_one_decides(tmp_path: Path) -> None:
    rows = [chat("7"), chat("a" * 2000)]
    (tmp_path / "good.jsonl.gz").write_bytes(gzip.compress(lines(chat("7"))))
    (tmp_path / "bad.json").write_text(json.dumps(rows, indent=1))
    answer = run_json(tmp_path, str(tmp_path / "good.jsonl.gz"), str(tmp_path / "bad.json"))
    good, bad = answer["files"]
    assert (answer["accepted"], answer["level"]) == (False, "standard")
    assert (good["file"], good["accepted"]) == (str(tmp_path / "good.jsonl.gz"), True)
    assert good["tokens"]["rows_counted"] == 1
    assert set(good["validators"]) == {"spec_validator", "data_validator", "token_validator"}
    assert bad["errors"][0]["item"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "good.jsonl.gz"]


def test_level_deep_warns_of_what_rows_say_and_refuses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps([chat(), chat("Say: the quick fox", "Say: the quick fox"), chat()], indent=1))
    result = run(tmp_path, str(file), "--level", "deep")
    assert result.exit_code == 0
    assert "item 2, messages[1].content: the whole answer stands in its prompt; take it out" in result.stdout
    assert "rows that repeat an earlier one: 1; different rows: 2" in result.stdout
    answer = run_json(tmp_path, str(file), "--level", "deep")
    verdict = answer["files"][0]
    assert (answer["level"], verdict["content"]["duplicates"], verdict["content"]["leakage_found"]) == ("deep", 1, 1)
    assert [finding["item"] for finding in verdict["warnings"]] == [1, 2, 3, 3]
    assert verdict["validators"]["content_validator"] == "1.1.0"
    assert run_json(tmp_path, str(file))["files"][0]["warnings"] == []


def test_json_output_holds_the_verdict(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text("{\n")
    result = run(tmp_path, str(file), "--level", "quick", as_json=True)
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (answer["level"], answer["accepted"]) == ("quick", False)
    verdict = answer["files"][0]
    assert (verdict["file"], verdict["accepted"], verdict["errors"][0]["line"]) == (str(file), False, 1)


def test_a_missing_file_is_an_expected_failure(tmp_path: Path) -> None:
    result = run(tmp_path, str(tmp_path / "missing.jsonl"))
    assert result.exit_code == 1
    assert "There is no file" in str(result.exception)


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(GOOD)
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "x.jsonl")
    assert run(tmp_path, str(tmp_path / "link.jsonl")).exit_code == 0


def test_a_model_that_is_not_there_yet_is_told_and_quick_works_without_it(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path)
    paths.create()
    paths.config_file.write_text("hero: dio\n")
    file = tmp_path / "x.jsonl"
    file.write_text(GOOD)
    failure = run(tmp_path, str(file)).exception
    assert "tokenizer of Qwen/Qwen3-0.6B is not on this machine" in str(failure)
    assert run(tmp_path, str(file), "--level", "quick").exit_code == 0


def test_a_level_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    result = run(tmp_path, str(tmp_path / "x.jsonl"), "--level", "nonsense")
    assert result.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\x01", b'{"a": 1}\n', b"[]", b"[1"])
def test_odd_files_are_rejected_at_every_level_without_a_traceback(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    for level in ("quick", "standard", "deep"):
        result = run(tmp_path, str(file), "--level", level)
        assert (result.exit_code, type(result.exception)) == (1, SystemExit)

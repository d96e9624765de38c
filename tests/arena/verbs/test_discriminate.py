"""`realm skill discriminate`: through the inbox with a sidecar, as many rows as are missing, and a truthful status."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from arena.doorstep.quest_drop import drop_quest
from arena.gatekeepers.gate import inspect_file
from arena.quest_board import QuestBoard
from arena.quests import sidecar_of
from arena.verbs.discriminate import discriminate
from core.cli import Choices
from core.errors import InvalidInput, RealmError
from core.lineage import generator_of
from core.paths import RealmPaths
from core.status_files import read_status
from tests.arena.quest_makers import everything_in, make_realm, take


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    return make_realm(tmp_path / "realm")


def run(paths: RealmPaths, *arguments: str) -> dict[str, Any]:
    """What the verb tells programs; raises what it raised."""
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=paths, as_json=True)

    app.command("discriminate")(discriminate)
    result = CliRunner().invoke(app, ["discriminate", *arguments])
    if isinstance(result.exception, RealmError):
        raise result.exception
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def answering_quest(paths: RealmPaths, tmp_path: Path, rows: int, name: str = "train_syllo_level1_x.jsonl") -> None:
    file = tmp_path / name
    file.write_text("{}\n" * rows)
    sidecar_of(file).write_text(json.dumps({"example_count": rows, "params": {"skill": "sy", "level": 1}}))
    drop_quest(paths, file)


def test_rows_go_through_the_inbox_with_their_sidecar(paths: RealmPaths) -> None:
    """C9, C4: a generator that writes into the queue skips the gates."""
    told = run(paths, "sy", "--count", "10", "--level", "1-3", "--seed", "5")
    file = paths.base / told["output_file"]
    assert file.parent == paths.inbox / "high"
    assert file.name.startswith("discrimination_L1-3_")
    assert everything_in(paths.queue) == everything_in(make_realm(paths.base / "other").queue)
    lineage = json.loads(sidecar_of(file).read_text())
    assert generator_of(file.name, lineage) == "discrimination@1.0.0"
    assert (lineage["example_count"], lineage["params"]["seed"]) == (10, 5)
    verdict = inspect_file(str(file))
    assert (verdict["accepted"], verdict["rows"]) == (True, 10)


def test_the_status_file_tells_of_the_last_run(paths: RealmPaths) -> None:
    """Law 7: it says until when it holds."""
    told = run(paths, "bin", "--count", "5", "--level", "2")
    status = read_status(paths.discrimination_status, now=datetime.now(UTC))
    assert status["stale"] is False
    assert {key: status[key] for key in told} == told
    assert told | {"last_run": "", "output_file": ""} == {
        "status": "done",
        "last_run": "",
        "skill": "bin",
        "curriculum_level": None,
        "difficulty": "L2",
        "generated_this_run": 5,
        "output_file": "",
        "ratio": {
            "current": None, "target": 0.2, "syllo_examples": None, "skill_examples": 0, "discrimination_examples": 0,
            "deficit": 0,
        },
    }  # fmt: skip


def test_by_ratio_as_many_rows_are_made_as_are_missing_and_then_none(paths: RealmPaths, tmp_path: Path) -> None:
    """C13: what lies in the inbox, in lanes, and under names in any case is counted."""
    answering_quest(paths, tmp_path, 300)
    take(QuestBoard(paths), "Train_Syllo_level2.jsonl", params={"skill": "sy"})
    first = run(paths, "--ratio", "--level", "1")
    second = run(paths, "--ratio", "--level", "1")
    assert (first["ratio"]["skill_examples"] >= 301, first["ratio"]["discrimination_examples"]) == (True, 0)
    assert first["generated_this_run"] == first["ratio"]["deficit"] >= 60
    assert (second["generated_this_run"], second["output_file"], second["ratio"]["deficit"]) == (0, None, 0)


def test_a_folder_that_is_no_realm_yet_becomes_one(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path / "new")
    assert run(paths, "--check-only")["generated_this_run"] == 0
    assert not paths.base.exists()
    assert (paths.base / run(paths, "--count", "2")["output_file"]).is_file()


def test_by_ratio_at_most_so_many_are_made_at_once(paths: RealmPaths, tmp_path: Path) -> None:
    answering_quest(paths, tmp_path, 1000)
    assert run(paths, "--ratio", "--max-per-run", "60")["generated_this_run"] == 60


def test_a_check_drops_and_writes_nothing(paths: RealmPaths, tmp_path: Path) -> None:
    answering_quest(paths, tmp_path, 300)
    before = everything_in(paths.base)
    told = run(paths, "--ratio", "--check-only")
    assert (told["generated_this_run"], told["ratio"]["deficit"]) == (0, 60)
    assert everything_in(paths.base) == before


def test_the_level_is_that_of_the_curriculum(paths: RealmPaths) -> None:
    """E10: the level being trained, not the mastered one; and 1 before there is a curriculum."""
    assert run(paths)["difficulty"] == "L1"
    state = {"skills": {"sy": {"training_level": 4, "mastered_level": 3}}}
    (paths.status / "curriculum_state.json").write_text(json.dumps(state))
    told = run(paths)
    assert (told["difficulty"], told["curriculum_level"]) == ("L4", 4)


@pytest.mark.parametrize("arguments", [["chess"], ["--level", "77"], ["--priority", "urgent"]])
def test_what_is_not_there_is_refused_and_nothing_dropped(paths: RealmPaths, arguments: list[str]) -> None:
    with pytest.raises(InvalidInput):
        run(paths, *arguments)
    assert not [name for name in everything_in(paths.inbox) if "discrimination" in name]

"""Quests from examined mistakes: through the inbox, once for each examination, and only where they are wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from arena.quests import sidecar_of
from arena.verbs.curriculum import curriculum_app
from core.cli import Choices
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import problem_key
from tests.arena.academy.conftest import Founder
from tests.arena.academy.pupil import Class


def corrections(pupil: Class) -> list[Path]:
    return sorted(pupil.paths.inbox.glob("*/self_correction_*.jsonl"))


def verb(pupil: Class, *arguments: str) -> dict[str, Any]:
    app = typer.Typer()

    @app.callback()
    def options(ctx: typer.Context) -> None:
        ctx.obj = Choices(paths=pupil.paths, as_json=True)

    app.add_typer(curriculum_app(), name="curriculum")
    found = CliRunner().invoke(app, ["curriculum", "correct", *arguments], catch_exceptions=False)
    told: dict[str, Any] = json.loads(found.stdout)
    return told


async def test_mistakes_become_a_quest_of_other_problems(found_class: Founder) -> None:
    """C14: what was answered wrongly was examined, and is not taught; C9: the quest goes through the inbox."""
    wanted = {"enabled": True, "generation_interval": 2, "max_examples": 12}
    pupil = found_class(self_correction=wanted)
    await pupil.live_on(1, knows=lambda level: False)
    assert corrections(pupil) == [], "two examinations are looked through together"
    await pupil.live_on(1, knows=lambda level: False)

    [file] = corrections(pupil)
    assert file.name.startswith("self_correction_BIN_level1_12_")
    rows = [json.loads(line)["messages"] for line in file.read_text().splitlines()]
    assert len(rows) == 12
    assert not [row for row in rows if is_held_out(problem_key("bin", row[0]["content"]))]
    lineage = json.loads(sidecar_of(file).read_text())
    assert (lineage["generator_id"], lineage["example_count"]) == ("self_correction", 12)
    state = json.loads(pupil.paths.self_correction.read_text())
    [run] = state["correction_runs"]
    assert (run["errors_captured"], run["corrections_generated"], run["file"]) == (run["tested"], 12, file.name)
    assert run["error_patterns"][0]["type"] == "not_a_number"
    assert "12 problems like these" in pupil.events("mistakes_corrected")[0]

    assert list(state["looked_through"].values()) == [2]
    pupil.take_in()
    await pupil.live_on(4)
    state = json.loads(pupil.paths.self_correction.read_text())
    [looked_through] = state["looked_through"].values()
    assert looked_through > 2, "what was answered rightly is not looked through again either"
    pupil.records().take_back(0)
    assert verb(pupil)["correction_runs"] == []
    state = json.loads(pupil.paths.self_correction.read_text())
    assert list(state["looked_through"].values()) == [0], "what a rewind took back counts anew"
    assert (corrections(pupil), len(pupil.events("mistakes_corrected"))) == ([], 1), "no new mistake, no second quest"


async def test_where_nobody_wants_it_mistakes_are_told_at_most(found_class: Founder) -> None:
    off = found_class("off")
    await off.live_on(1, knows=lambda level: False)
    assert not off.paths.self_correction.exists()
    told = verb(off, "--check-only")["correction_runs"]
    assert told[0]["errors_captured"] > 0
    assert not off.paths.self_correction.exists()
    assert verb(off)["correction_runs"][0]["error_patterns"] == told[0]["error_patterns"]
    assert len(corrections(off)) == 1
    assert verb(off)["correction_runs"] == []

    looking = found_class("looking", self_correction={"enabled": True, "auto_queue": False, "generation_interval": 1})
    await looking.live_on(1, knows=lambda level: False)
    assert corrections(looking) == []
    assert json.loads(looking.paths.self_correction.read_text())["correction_runs"][0]["dropped"] is False

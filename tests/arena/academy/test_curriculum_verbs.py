"""`realm curriculum`: what it shows of a realm that stands still, and what it decides about it."""

from __future__ import annotations

import json

import pytest

from core.cli import run
from realm import app
from tests.arena.academy.conftest import Founder


async def test_the_verbs_show_and_set_what_is_on_record(
    found_class: Founder, capsys: pytest.CaptureFixture[str]
) -> None:
    """E8, E9, E10, E14: levels and counts are those of the records, and an answer says what was done."""
    pupil = found_class(curriculum={"min_evals_for_progression": 1})
    base = ["--base-dir", str(pupil.paths.base)]

    def told(*words: str) -> str:
        assert run(app, [*base, "curriculum", *words]) == 0
        return capsys.readouterr().out

    assert "level 0 of 30 is mastered" in told("status")
    assert told("record") == "Nobody was examined yet.\n"
    await pupil.live_on(1)
    pupil.close()
    assert "BIN: level 1 of 30 is mastered; level 2: not examined yet of 80%" in told("status")
    assert "* Flawless: All 4 answers at level 1 were right." in told("status")
    lines = told("record").splitlines()
    assert lines[0].split() == ["bin-1", "step", "5", "level", "1", "level", "4", "of", "4", "right"]
    assert told("record", "bin-1").count("\n+ ") == 9
    view = json.loads(told("set-level", "binary", "7", "--json"))
    assert (view["skill"], view["mastered_level"], view["was_mastered"]) == ("bin", 7, 1)
    assert json.loads(told("status", "--json"))["skills"]["bin"]["training_level"] == 8
    assert "the mastered level is 0 by decision; it was 7" in told("reset", "bin")
    assert run(app, [*base, "curriculum", "set-level", "bin", "31"]) == 1
    assert run(app, [*base, "curriculum", "record", "bin-9"]) == 1

"""`realm pause`, `resume`, `stop`, `skip` and `save` say what is true in the state that the realm is in."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from arena.command.battle_control import ACTIONS, BattleControl
from arena.command.granting import AT_THE_STEP, DOWN, effect_of
from arena.quest_board import QuestBoard
from arena.verbs.control import add_control_verbs
from core.cli import Choices
from core.errors import Conflict
from core.instance import InstanceLock
from core.paths import RealmPaths
from tests.arena.quest_makers import make_realm, take


@pytest.fixture
def paths(tmp_path: Path) -> RealmPaths:
    return make_realm(tmp_path / "realm")


def ask(paths: RealmPaths, *words: str, as_json: bool = False) -> Result:
    app = typer.Typer()
    add_control_verbs(app)
    return CliRunner().invoke(app, list(words), obj=Choices(paths, as_json))


def test_a_wish_for_a_realm_that_is_down_is_not_said_to_take_effect_now(paths: RealmPaths) -> None:
    assert ask(paths, "pause").stdout == "pause: no realm runs; the next one starts paused\n"
    assert json.loads(ask(paths, "save", as_json=True).stdout) == {
        "success": True,
        "action": "save",
        "realm_up": False,
        "state": "down",
        "effect": "no realm runs; the next one makes a checkpoint if there is anything to save",
    }
    assert ask(paths, "resume").stdout == "resume: no realm runs; the next one trains\n"
    BattleControl(paths.control).apply_resume()
    assert ask(paths, "resume").stdout == "resume: nothing was paused or stopped\n"


def test_a_skip_without_a_running_quest_is_refused_and_waits_for_none(paths: RealmPaths) -> None:
    """B14: no later quest is hit by it."""
    assert isinstance(ask(paths, "skip").exception, Conflict)
    assert not (paths.control / ".skip").exists()
    board = QuestBoard(paths)
    board.claim(take(board, "x.jsonl"))
    assert "ends when the next one trains" in ask(paths, "skip").stdout
    assert (paths.control / ".skip").exists()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("training", AT_THE_STEP),
        ("idle", "a checkpoint is made, if anything was learned since the last one"),
        ("stopped", "the trainer does not run, and saved when it ended; it saves again once it runs"),
    ],
)
def test_a_running_realm_is_asked_what_it_does(paths: RealmPaths, state: str, told: str) -> None:
    lock = InstanceLock(paths.lock)
    lock.acquire({"base_dir": str(paths.base), "pid": os.getpid()})
    try:
        now = datetime.now(UTC)
        BattleControl(paths.control).write_state(state, current_file=None, reason=None, now=now)
        answer = json.loads(ask(paths, "save", as_json=True).stdout)
    finally:
        lock.release()
    assert (answer["realm_up"], answer["state"], answer["effect"]) == (True, state, told)


@pytest.mark.parametrize("action", ACTIONS)
def test_only_what_is_being_trained_has_a_next_step(action: str) -> None:
    assert effect_of(action, "training", held=True) == AT_THE_STEP
    for state in (DOWN, "starting", "idle", "paused", "stopped", "crashed"):
        if (action, state) not in {("resume", "starting"), ("resume", "idle"), ("resume", "crashed")}:
            assert effect_of(action, state, held=True) != AT_THE_STEP, state

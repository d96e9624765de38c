"""The scrying pool over real status files: what it shows, and that it never shows what nobody vouches for."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.paths import RealmPaths
from core.status_files import write_status
from watchtower.scrying_pool import ScryingPool

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
BATTLE: dict[str, Any] = {
    "state": "fighting",
    "quest_file": "addition.jsonl",
    "current_round": 45,
    "total_rounds": 100,
    "campaign": 1,
    "total_campaigns": 2,
    "damage_taken": 0.412,
    "validation_damage": 0.455,
    "hit_rate": None,
    "rounds_per_second": 3.2,
    "time_remaining": 0,
    "eta": "2026-11-21T09:31:00+00:00",
    "hero_vram_mb": 812.5,
    "hero_checkpoint": "checkpoint-1189-20261121-0933",
}


def report(paths: RealmPaths, **changes: Any) -> None:
    write_status(paths.battle_status, {**BATTLE, **changes}, now=NOW, valid_for=10)


def test_gaze_shows_the_battle_as_reported(paths: RealmPaths) -> None:
    """F5: the progress is a number that moves, made from the steps."""
    report(paths)
    vision = ScryingPool(paths).gaze(NOW)
    reported = {key: value for key, value in BATTLE.items() if key not in {"state", "validation_damage"}}
    assert reported.items() <= dataclasses.asdict(vision).items()
    assert (vision.battle_state, vision.progress_percent, vision.observed_at) == ("fighting", 45.0, NOW)
    assert not vision.stale


def test_a_report_past_its_time_is_unknown_but_keeps_its_numbers(paths: RealmPaths) -> None:
    """F3: nobody says fighting from an old file. F4: the steps do not fall to zero meanwhile."""
    report(paths)
    vision = ScryingPool(paths).gaze(NOW + timedelta(seconds=11))
    assert (vision.battle_state, vision.stale) == ("unknown", True)
    assert (vision.current_round, vision.total_rounds, vision.damage_taken) == (45, 100, 0.412)
    assert (vision.rounds_per_second, vision.time_remaining, vision.eta, vision.hero_vram_mb) == (None,) * 4


def test_a_report_of_a_dead_process_is_unknown(paths: RealmPaths) -> None:
    """F3: a daemon killed a second ago is not fighting."""
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    report(paths)
    body = json.loads(paths.battle_status.read_text())
    paths.battle_status.write_text(json.dumps({**body, "pid": int(dead.stdout)}))
    assert ScryingPool(paths).gaze(NOW).battle_state == "unknown"


WRITER = """
import json, sys
from datetime import datetime
from pathlib import Path
from core.status_files import write_status
path, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
for line in sys.stdin:
    write_status(path, json.loads(line), now=now, valid_for=10)
    print("written", flush=True)
"""


def test_a_pool_that_has_looked_before_sees_what_another_process_reports_since(paths: RealmPaths) -> None:
    """F8: an object of the other process was asked, of which this one had a copy that never changed."""
    pool = ScryingPool(paths)
    command = [sys.executable, "-c", WRITER, str(paths.battle_status), NOW.isoformat()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        seen = []
        for current in (45, 46):
            writer.stdin.write(json.dumps({**BATTLE, "current_round": current}) + "\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "written\n"
            vision = pool.gaze(NOW)
            seen.append((vision.battle_state, vision.current_round))
        writer.stdin.close()
    assert seen == [("fighting", 45), ("fighting", 46)]


@pytest.mark.parametrize("content", [None, "", "{torn", "[1, 2]", "null", '{"state": "fighting"}', '{"state": {}}'])
def test_no_usable_report_is_all_unknown(paths: RealmPaths, content: str | None) -> None:
    if content is not None:
        paths.battle_status.write_text(content)
    pool = ScryingPool(paths)
    vision = pool.gaze(NOW)
    assert vision.battle_state == "unknown"
    assert {
        value for key, value in dataclasses.asdict(vision).items() if key not in {"battle_state", "observed_at"}
    } == {
        None,
        False,
    }
    assert pool.detect_disturbances(vision) == []


def test_fields_of_a_wrong_kind_are_unknown_and_never_zero(paths: RealmPaths) -> None:
    """F1: a missing or broken number is null."""
    report(paths, current_round="45", total_rounds=True, damage_taken=float("nan"), quest_file=7, campaign=None)
    vision = ScryingPool(paths).gaze(NOW)
    shown = (vision.current_round, vision.total_rounds, vision.progress_percent, vision.damage_taken)
    assert shown == (None, None, None, None)
    assert (vision.quest_file, vision.campaign) == (None, None)


@pytest.mark.parametrize(
    ("done", "total", "percent"), [(0, 100, 0.0), (100, 100, 100.0), (101, 100, 100.0), (5, 0, None), (1, 3, 33.3)]
)
def test_progress_is_a_percentage_or_unknown(paths: RealmPaths, done: int, total: int, percent: float | None) -> None:
    report(paths, current_round=done, total_rounds=total)
    assert ScryingPool(paths).gaze(NOW).progress_percent == percent


@pytest.mark.parametrize(
    ("reported", "state"),
    [
        ("training", "fighting"),
        ("completed", "victory"),
        ("stopped", "retreat"),
        ("crashed", "defeated"),
        ("paused", "paused"),
        ("dancing", "unknown"),
        (None, "unknown"),
    ],
)
def test_training_words_become_battle_words(paths: RealmPaths, reported: str | None, state: str) -> None:
    report(paths, state=reported)
    assert ScryingPool(paths).gaze(NOW).battle_state == state


@pytest.mark.parametrize(
    ("state", "loss", "severity"),
    [
        ("fighting", 0.4, None),
        ("fighting", 2.0, None),
        ("fighting", 2.1, "warning"),
        ("fighting", 5.1, "alarm"),
        ("fighting", None, None),
        ("victory", 5.1, None),
    ],
)
def test_a_high_loss_is_a_disturbance(paths: RealmPaths, state: str, loss: float | None, severity: str | None) -> None:
    report(paths, state=state, damage_taken=loss)
    pool = ScryingPool(paths)
    disturbances = pool.detect_disturbances(pool.gaze(NOW))
    assert [disturbance.severity for disturbance in disturbances] == ([severity] if severity else [])


def test_a_stale_vision_is_a_disturbance(paths: RealmPaths) -> None:
    report(paths)
    pool = ScryingPool(paths)
    (disturbance,) = pool.detect_disturbances(pool.gaze(NOW + timedelta(minutes=1)))
    assert (disturbance.severity, disturbance.name) == ("warning", "Vision Stale")

"""The `realm` command as a real process: answers, exit codes and errors, without a running realm."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.db import Database
from core.paths import CHECKOUT, RealmPaths
from core.saga import MIGRATIONS, Saga
from core.settings import BudgetSettings


def realm(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "realm.py", "--base-dir", str(base), *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)


def test_init_makes_the_directories_and_keeps_what_is_there(tmp_path: Path) -> None:
    assert realm(tmp_path, "init", "--hero", "dio").returncode == 0
    config = tmp_path / "configs" / "realm.yaml"
    assert json.loads(realm(tmp_path, "config", "get", "hero", "--json").stdout) == {"hero": "dio"}
    config.write_text("hero: seedling\n")
    assert "Seedling" in realm(tmp_path, "init").stdout
    refused = realm(tmp_path, "init", "--hero", "dio")
    assert refused.returncode == 1
    assert "`realm hero use dio`" in refused.stderr
    assert config.read_text() == "hero: seedling\n"
    assert (tmp_path / "inbox" / "high").is_dir()


def test_an_unknown_hero_is_named_with_a_suggestion(tmp_path: Path) -> None:
    answer = realm(tmp_path, "init", "--hero", "seedlin")
    assert answer.returncode == 1
    assert "seedling" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_wrong_usage_exits_2_and_suggests_the_verb(tmp_path: Path) -> None:
    answer = realm(tmp_path, "statsu")
    assert answer.returncode == 2
    assert "status" in answer.stderr


def test_global_options_may_stand_behind_the_verb(tmp_path: Path) -> None:
    command = [sys.executable, "realm.py", "status", "--json", "--base-dir", str(tmp_path)]
    answer = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True)
    body = json.loads(answer.stdout)
    assert body["base_dir"] == str(tmp_path)
    assert body["realm"] == "down"
    assert body["training"]["status"] == "unknown"


def test_all_errors_of_the_settings_are_told_at_once(tmp_path: Path) -> None:
    realm(tmp_path, "init")
    (tmp_path / "configs" / "realm.yaml").write_text("save_stepps: 5\nhyperparams:\n  batch_size: 0\n")
    answer = realm(tmp_path, "config", "check")
    assert answer.returncode == 1
    assert "Did you mean save_steps?" in answer.stderr
    assert "hyperparams.batch_size" in answer.stderr
    as_json = realm(tmp_path, "config", "check", "--json")
    assert as_json.returncode == 1
    assert json.loads(as_json.stdout)["error"] == "invalid_input"


def test_config_schema_helps_with_every_setting(tmp_path: Path) -> None:
    schema = json.loads(realm(tmp_path, "config", "schema").stdout)
    assert schema["properties"]["save_steps"]["description"]


def test_down_without_a_realm_says_so(tmp_path: Path) -> None:
    answer = realm(tmp_path, "down")
    assert answer.returncode == 0
    assert "No realm runs" in answer.stdout


def test_a_wish_is_kept_for_a_realm_that_is_not_up(tmp_path: Path) -> None:
    """B15: what is wished while the realm is down holds when it comes up."""
    answer = realm(tmp_path, "pause", "--reason", "the oven is on")
    assert answer.returncode == 0
    assert "no realm runs; the next one starts paused" in answer.stdout
    assert (tmp_path / "control" / ".pause").read_text().startswith("the oven is on\n")


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A base directory in whose saga two things have happened."""
    paths = RealmPaths(tmp_path)
    paths.create()
    db = Database(paths.saga_db, MIGRATIONS)
    saga = Saga(db, BudgetSettings())
    for number in (1, 2):
        saga.append("test_event", f"thing {number} happened", now=datetime.now(UTC))
    db.close()
    return tmp_path


def test_events_are_shown_oldest_first(told: Path) -> None:
    lines = realm(told, "events", "--json").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["thing 1 happened", "thing 2 happened"]
    assert "thing 2 happened" in realm(told, "events", "--limit", "1").stdout


def test_following_events_ends_with_130_on_ctrl_c(told: Path) -> None:
    command = [sys.executable, "-u", "realm.py", "--base-dir", str(told), "events", "--follow"]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "thing 1" in process.stdout.readline()
        assert "thing 2" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_events_before_the_first_start_say_what_to_do(tmp_path: Path) -> None:
    answer = realm(tmp_path, "events")
    assert answer.returncode == 1
    assert "realm up" in answer.stderr

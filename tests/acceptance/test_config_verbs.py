"""`realm config set|undo|check` as a user runs them: the file keeps its comments, nothing invalid gets in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from arena.journal import JOURNAL_NAME, Genesis
from core.paths import CHECKOUT, RealmPaths

REALM = [sys.executable, str(CHECKOUT / "realm.py")]


def realm(base: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*REALM, "--base-dir", str(base), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})})


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `realm init` makes; nobody writes into it."""
    folder = tmp_path_factory.mktemp("fresh")
    assert realm(folder, "init").returncode == 0
    return folder


@pytest.fixture
def base(fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fresh, tmp_path / "realm"))


def test_a_setting_is_changed_in_its_place_and_taken_back(base: Path) -> None:
    file = base / "configs" / "realm.yaml"
    before = file.read_text()

    done = realm(base, "config", "set", "hyperparams.learning_rate", "1e-4")

    assert done.returncode == 0, done.stderr
    assert "from the next start on" in done.stdout
    changed = file.read_text()
    assert changed.replace("  learning_rate: 0.0001\n", "  #learning_rate: null\n") == before
    assert realm(base, "config", "get", "hyperparams.learning_rate").stdout == "0.0001\n"

    undone = realm(base, "config", "undo")
    assert undone.returncode == 0, undone.stderr
    assert "-  learning_rate: 0.0001" in undone.stdout
    assert file.read_text() == before
    assert realm(base, "config", "undo").returncode == 0
    assert file.read_text() == changed, "undoing twice does it again"


def test_nothing_invalid_and_nothing_unknown_gets_into_the_file(base: Path) -> None:
    file = base / "configs" / "realm.yaml"
    before = file.read_text()
    refused = {
        ("hyperparams.batch_size", "0"): "greater than or equal to 1",
        ("epochs", "2"): "Did you mean hyperparams.epochs?",
        ("save_step", "5"): "Did you mean save_steps?",
        ("hero", "dioo"): "Did you mean dio?",
        ("profile.name", "chatmi"): "chatmi",
        ("save_steps", "[1"): "no YAML value",
    }
    for words, message in refused.items():
        answer = realm(base, "config", "set", *words)
        assert (answer.returncode, answer.stdout) == (1, ""), words
        assert message in answer.stderr, words
        assert "Traceback" not in answer.stderr
    assert file.read_text() == before
    assert realm(base, "config", "undo").returncode == 1, "no backup of a change that never was"


def test_locked_keys_are_refused_once_the_hero_has_trained(base: Path) -> None:
    """B23: configuration edited under a trained model was applied inconsistently, or blocked by a stale lock file."""
    now = datetime.now(UTC).isoformat()
    genesis = Genesis(seq=1, at=now, hero="seedling", base_model="seedling", weights="0" * 64)
    (RealmPaths(base).current_model / JOURNAL_NAME).write_bytes(msgspec.json.encode(genesis) + b"\n")

    answer = realm(base, "config", "set", "hero", "dio")

    assert answer.returncode == 1
    assert "hero is 'dio'" in answer.stderr
    assert "seedling" in answer.stderr
    assert realm(base, "config", "set", "hyperparams.learning_rate", "0.01").returncode == 0


def test_a_change_that_the_environment_overrules_says_so(base: Path) -> None:
    answer = realm(base, "config", "set", "save_steps", "7", "--json", env={"REALM_SAVE_STEPS": "9"})

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == {
        "name": "save_steps",
        "value": 7,
        "backup": str(base / "configs" / "realm.yaml.bak"),
        "overruled_by_environment": True,
        "still_wrong": [],
    }


def test_a_broken_file_that_would_come_back_is_refused(base: Path) -> None:
    file = base / "configs" / "realm.yaml"
    assert realm(base, "config", "set", "save_steps", "7").returncode == 0
    file.with_name("realm.yaml.bak").write_text("save_stepz: 1\n")
    before = file.read_text()

    answer = realm(base, "config", "undo")

    assert answer.returncode == 1
    assert "Did you mean save_steps?" in answer.stderr
    assert file.read_text() == before


def test_the_check_finds_settings_hero_and_profile_errors_at_once(base: Path) -> None:
    (base / "configs" / "realm.yaml").write_text("hero: dioo\nsave_stepz: 1\nprofile: {name: chatmi}\n")

    answer = realm(base, "config", "check")

    assert answer.returncode == 1
    for message in ("save_stepz", "'dioo'", "chatmi"):
        assert message in answer.stderr


def test_undo_does_not_part_a_hero_from_his_model(base: Path) -> None:
    """B31: the hero that was displayed was not the one that trained."""
    assert realm(base, "hero", "use", "dio").returncode == 0, "nothing has trained yet"

    answer = realm(base, "config", "undo")

    assert answer.returncode == 1
    assert "`realm hero use seedling` goes back" in answer.stderr
    assert realm(base, "config", "get", "hero").stdout == "dio\n"

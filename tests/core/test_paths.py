"""Paths: the base directory is found, and the data directories are made or named."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.paths import CHECKOUT, LANES, RealmPaths, resolve_base_dir


def test_the_option_wins_over_the_environment_and_that_over_the_checkout(tmp_path: Path) -> None:
    env = {"REALM_BASE_DIR": str(tmp_path / "env")}
    assert resolve_base_dir(tmp_path / "option", env) == tmp_path / "option"
    assert resolve_base_dir(None, env) == tmp_path / "env"
    assert resolve_base_dir(None, {"REALM_BASE_DIR": ""}) == CHECKOUT
    assert (CHECKOUT / "core" / "paths.py").is_file()


def test_a_relative_base_directory_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_base_dir("here/../there", {}) == tmp_path / "there"


def test_the_home_of_nobody_is_refused_in_words() -> None:
    with pytest.raises(InvalidInput, match="no-such-user-here"):
        resolve_base_dir("~no-such-user-here/realm", {})


def test_create_makes_every_data_directory_and_may_be_repeated(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path / "deep" / "realm")
    paths.create()
    (paths.lane("high") / "x.jsonl").write_text("{}")
    paths.create()
    assert all(paths.lane(name).is_dir() for name in LANES)
    assert all((paths.inbox / name).is_dir() for name in ("high", "normal", "low"))
    for folder in (paths.control, paths.status, paths.current_model, paths.models, paths.logs, paths.validation):
        assert folder.is_dir()
    assert (paths.lane("high") / "x.jsonl").read_text() == "{}"


def test_a_file_in_the_way_of_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("in the way")
    with pytest.raises(InvalidInput, match="status cannot be made"):
        RealmPaths(tmp_path).create()


def test_everything_lies_below_the_base_directory(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path)
    properties = [name for name, value in vars(RealmPaths).items() if isinstance(value, property)]
    assert len(properties) > 15
    for name in properties:
        assert getattr(paths, name).is_relative_to(tmp_path), name


def test_a_lane_that_does_not_exist_is_a_bug_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no lane"):
        RealmPaths(tmp_path).lane("../outside")

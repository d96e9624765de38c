"""Everything that is wrong with a start is told at once, before anything has been started."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from arena.heroes import load_hero
from arena.journal import JOURNAL_NAME, Genesis, encode_entry
from arena.start_check import Setup, read_setup
from core.errors import Conflict, InvalidInput, NotFound, RealmError
from core.paths import CHECKOUT, RealmPaths


def write(paths: RealmPaths, **settings: object) -> None:
    paths.config_file.write_text(yaml.safe_dump(settings))


def refusal(paths: RealmPaths, **overrides: object) -> RealmError:
    with pytest.raises(RealmError) as refused:
        read_setup(paths, overrides, {})
    return refused.value


def test_a_good_start_has_settings_hero_and_model(paths: RealmPaths) -> None:
    write(paths, save_steps=7)
    setup = read_setup(paths, {"services": {"ports": "auto"}}, {"REALM_EVAL_STEPS": "9"})
    assert isinstance(setup, Setup)
    assert (setup.hero.id, setup.base_model) == ("seedling", "seedling")
    assert (setup.settings.save_steps, setup.settings.eval_steps, setup.settings.services.ports) == (7, 9, "auto")


def test_settings_profile_and_hero_are_told_in_one_go_each_with_what_was_meant(paths: RealmPaths) -> None:
    """B25: a check that ended at the first problem was run once for each of them."""
    write(paths, hero="seedlin", save_stepps=5, hyperparams={"batch_size": 0}, profile={"name": "chatmll"})
    error = refusal(paths)
    told = str(error)
    assert "Did you mean save_steps?" in told
    assert "hyperparams.batch_size" in told
    assert "no profile named 'chatmll'. Did you mean chatml?" in told
    assert "no hero 'seedlin'" in told
    assert "Did you mean seedling?" in told
    assert len(error.details["errors"]) == 4


def test_a_model_that_is_not_there_is_told_beside_a_wrong_number(paths: RealmPaths) -> None:
    write(paths, model_name="no such model", eval_steps=0)
    told = str(refusal(paths))
    assert "no such model" in told
    assert "eval_steps" in told


def test_errors_in_the_hero_file_come_with_those_of_the_settings(paths: RealmPaths) -> None:
    heroes = paths.configs / "heroes"
    heroes.mkdir()
    (heroes / "sprite.yaml").write_text("title: Sprite\nbase_model: seedling\nhyperparams: {batch_sizze: 8}\n")
    write(paths, hero="sprite", save_minutes=-1)
    told = str(refusal(paths))
    assert "save_minutes" in told
    assert "Did you mean hyperparams.batch_size?" in told


def test_a_single_problem_keeps_its_own_words_and_kind(paths: RealmPaths) -> None:
    write(paths, hero="nobody_i_know")
    error = refusal(paths)
    assert isinstance(error, NotFound)
    assert not str(error).startswith("These settings")


def test_two_sites_on_one_port_are_refused_unless_ports_are_taken_as_they_come(paths: RealmPaths) -> None:
    """B26: two services of ours met on one port."""
    write(paths, services={"tavern": 9000, "vault": 9000})
    error = refusal(paths)
    assert isinstance(error, InvalidInput)
    assert "three different ports, not 9000, 9000, 8081" in str(error)
    read_setup(paths, {"services": {"ports": "auto"}}, {})


def test_what_is_locked_is_told_beside_a_wrong_profile(paths: RealmPaths) -> None:
    hero = load_hero(RealmPaths(CHECKOUT), "seedling")
    genesis = Genesis(seq=1, at="2026-11-21T09:30:00+00:00", hero="dio", base_model="seedling", weights="")
    (paths.current_model / JOURNAL_NAME).write_bytes(encode_entry(genesis) + b"\n")
    write(paths, hero=hero.id)
    assert isinstance(refusal(paths), Conflict)
    write(paths, hero=hero.id, profile={"name": "chatmll"})
    told = str(refusal(paths))
    assert "trained with 'dio'" in told
    assert "chatmll" in told


@pytest.mark.parametrize(
    "text", ["hero: 5\n", "profile: []\n", "profile: {name: [1]}\n", "model_name: {a: 1}\n", "hero: null\n"]
)
def test_names_that_are_no_text_are_refused_without_a_traceback(paths: RealmPaths, text: str) -> None:
    paths.config_file.write_text(text)
    assert isinstance(refusal(paths), InvalidInput)


def test_a_file_that_is_no_yaml_says_where(paths: RealmPaths) -> None:
    paths.config_file.write_text("hero: [\n")
    assert "is not valid YAML" in str(refusal(paths))


def test_looking_changes_nothing(tmp_path: Path) -> None:
    paths = RealmPaths(tmp_path / "new")
    read_setup(paths, {}, {})
    assert not paths.base.exists()

"""Heroes: files, precedence of settings, and what a base model may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from arena.heroes import (
    Hero,
    effective_hyperparams,
    load_hero,
    quest_settings,
    resolve_base_model,
    survey_heroes,
    with_files_from,
)
from arena.quests import QuestRecord
from core.errors import InvalidInput, NotFound
from core.paths import CHECKOUT, RealmPaths
from core.settings import Hyperparams, ProfileSettings, Settings, TrainerSettings

HYPERPARAMS: dict[str, Any] = {
    "max_length": 256,
    "batch_size": 8,
    "gradient_accumulation": 2,
    "learning_rate": 0.003,
    "warmup_steps": 5,
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
    "epochs": 2,
    "fp_precision": "fp32",
}


def write_hero(paths: RealmPaths, hero_id: str = "mira", **changes: Any) -> None:
    folder = paths.configs / "heroes"
    folder.mkdir(exist_ok=True)
    values = {"title": "Mira", "base_model": "mira-base", "hyperparams": HYPERPARAMS, **changes}
    (folder / f"{hero_id}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def quest(**options: Any) -> QuestRecord:
    return QuestRecord(
        quest_id="q_20261121_093000_5f2c1ab7", submitted_at="2026-11-21T09:30:00+00:00", priority="normal",
        content_hash="0" * 64, rows=3, schema_id="chat_sft_v1", original_name="x.jsonl", **options,
    )  # fmt: skip


def make_model_dir(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


def test_the_shipped_heroes_load() -> None:
    heroes, broken = survey_heroes(RealmPaths(CHECKOUT))
    assert not broken
    assert {"seedling", "dio"} <= set(heroes)
    assert heroes["seedling"].base_model == "seedling"
    assert heroes["dio"].base_model == "Qwen/Qwen3-0.6B"


def test_a_hero_of_the_base_directory_shadows_the_shipped_one(paths: RealmPaths) -> None:
    write_hero(paths, "dio", title="Another Dio")
    assert load_hero(paths, "dio").title == "Another Dio"
    assert load_hero(paths, "seedling").title == "Seedling"
    assert list(survey_heroes(paths)[0]) == ["dio", "seedling"]


def test_an_unknown_hero_is_answered_with_a_suggestion(paths: RealmPaths) -> None:
    with pytest.raises(NotFound, match=r"Did you mean seedling\?"):
        load_hero(paths, "seedlin")


@pytest.mark.parametrize("hero_id", ["", "../dio", "a/b", "Dio", "-x", "x" * 65, "dio\n", ".."])
def test_a_hero_id_cannot_lead_out_of_its_folder(paths: RealmPaths, hero_id: str) -> None:
    with pytest.raises(InvalidInput, match="no hero id"):
        load_hero(paths, hero_id)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bse_model": "x"}, r"bse_model: there is no such setting\. Did you mean base_model\?"),
        ({"hyperparams": {**HYPERPARAMS, "learning_rat": 1.0}}, r"Did you mean hyperparams\.learning_rate\?"),
        ({"hyperparams": {**HYPERPARAMS, "epochs": 0}}, r"hyperparams\.epochs"),
        ({"profile": "chatlm"}, r"Did you mean chatml\?"),
        ({"recipe": {"hiden_size": 1}, "base_model": "seedling"}, r"Did you mean hidden_size\?"),
        ({"recipe": {"hidden_size": 8}, "base_model": "seedling"}, "head_dim"),
        ({"base_model": "seedling"}, "`recipe` is needed"),
        ({"id": "other"}, "file's name says 'mira'"),
    ],
)
def test_a_wrong_hero_file_is_an_error_that_says_where(
    paths: RealmPaths, changes: dict[str, Any], message: str
) -> None:
    write_hero(paths, **changes)
    with pytest.raises(InvalidInput, match=message) as caught:
        load_hero(paths, "mira")
    assert "mira.yaml" in str(caught.value)


def test_without_other_wishes_a_quest_is_learned_as_the_hero_says(paths: RealmPaths) -> None:
    write_hero(paths, system_prompt="Be brief.")
    chosen = quest_settings(load_hero(paths, "mira"), Settings(), quest())
    assert {name: getattr(chosen, name) for name in HYPERPARAMS if name != "fp_precision"} == {
        name: value for name, value in HYPERPARAMS.items() if name != "fp_precision"
    }
    assert (chosen.profile, chosen.system_prompt) == ("chatml", "Be brief.")
    # The trainer finds out how many tokens at a time are best.
    assert (chosen.micro_batch_tokens, chosen.seed) == (0, 42)


def test_quest_options_win_over_settings_and_settings_over_the_hero(paths: RealmPaths) -> None:
    """D5: the system prompt that was asked for is the one that is used."""
    write_hero(paths, system_prompt="from the hero")
    hero = load_hero(paths, "mira")
    settings = Settings(
        hyperparams=Hyperparams(learning_rate=0.0001, epochs=3, weight_decay=0.0, fp_precision="bf16"),
        profile=ProfileSettings(name="native", system_prompt="from the settings"),
        trainer=TrainerSettings(seed=7, micro_batch_tokens=512),
    )
    from_settings = quest_settings(hero, settings, quest())
    assert (from_settings.learning_rate, from_settings.epochs, from_settings.batch_size) == (0.0001, 3, 8)
    assert from_settings.weight_decay == 0.0
    assert (from_settings.profile, from_settings.system_prompt) == ("native", "from the settings")
    assert (from_settings.seed, from_settings.micro_batch_tokens) == (7, 512)
    from_quest = quest_settings(hero, settings, quest(epochs=9, profile="chatml", system_prompt="from the quest"))
    assert (from_quest.epochs, from_quest.profile, from_quest.system_prompt) == (9, "chatml", "from the quest")
    assert quest_settings(hero, settings, quest(system_prompt="")).system_prompt == ""


def test_precision_is_one_setting_for_hero_and_realm(paths: RealmPaths) -> None:
    """D6: model and trainer each had their own precision, and they differed."""
    write_hero(paths)
    hero = load_hero(paths, "mira")
    assert effective_hyperparams(hero, Settings()).fp_precision == "fp32"
    settings = Settings(hyperparams=Hyperparams(fp_precision="bf16"))
    assert effective_hyperparams(hero, settings).fp_precision == "bf16"


def test_a_quest_with_an_unknown_profile_is_refused(paths: RealmPaths) -> None:
    """D12: an unknown profile silently fell back to another one's logic."""
    write_hero(paths)
    with pytest.raises(InvalidInput, match="no profile named 'none'"):
        quest_settings(load_hero(paths, "mira"), Settings(), quest(profile="none"))


def test_a_base_model_is_the_seedling_a_directory_or_a_hub_id(paths: RealmPaths, tmp_path: Path) -> None:
    seedling, dio = load_hero(paths, "seedling"), load_hero(paths, "dio")
    assert resolve_base_model(seedling, Settings(), paths) == "seedling"
    assert resolve_base_model(dio, Settings(), paths) == "Qwen/Qwen3-0.6B"
    local = make_model_dir(paths.models / "qwen3_0.6b")
    assert resolve_base_model(dio, Settings(model_name="qwen3_0.6b"), paths) == str(local)
    elsewhere = make_model_dir(tmp_path / "elsewhere")
    assert resolve_base_model(dio, Settings(model_name=str(elsewhere)), paths) == str(elsewhere)
    shadowing = make_model_dir(paths.models / "Qwen" / "Qwen3-0.6B")
    assert resolve_base_model(dio, Settings(), paths) == str(shadowing)


@pytest.mark.parametrize(
    "name", ["qwen", "../outside", "a/../../b", "/nowhere/at/all", "a/b/c", "a b/c", "org/..", "~/x"]
)
def test_anything_else_as_a_base_model_is_an_error_that_says_what_to_do(paths: RealmPaths, name: str) -> None:
    make_model_dir(paths.base / "outside")
    with pytest.raises(InvalidInput) as caught:
        resolve_base_model(load_hero(paths, "dio"), Settings(model_name=name), paths)
    assert caught.value.hint


def test_only_a_hero_with_a_recipe_can_be_a_seedling(paths: RealmPaths) -> None:
    with pytest.raises(InvalidInput, match="has no recipe"):
        resolve_base_model(load_hero(paths, "dio"), Settings(model_name="seedling"), paths)


def test_the_seedlings_recipe_is_plain_numbers(paths: RealmPaths) -> None:
    recipe = load_hero(paths, "seedling").recipe
    assert isinstance(recipe, dict)
    assert all(type(value) is int for value in recipe.values())
    assert isinstance(load_hero(paths, "seedling"), Hero)


def test_a_hub_model_that_is_here_is_named_by_its_path_to_who_looks_elsewhere(paths: RealmPaths) -> None:
    """`realm train` fetched it from the hub again each time, and failed without a network."""
    assert with_files_from(paths.models, "Qwen/Qwen3-0.6B") == "Qwen/Qwen3-0.6B"
    folder = make_model_dir(paths.models / "Qwen--Qwen3-0.6B")
    assert with_files_from(paths.models, "Qwen/Qwen3-0.6B") == str(folder)
    assert with_files_from(paths.models, "seedling") == "seedling"

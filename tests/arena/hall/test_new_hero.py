"""`hero summon`: a new hero from a recipe, a directory or the hub, rendered in a way that his model understands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from arena.hall.model_look import choose_profile
from arena.hall.new_hero import Summoned, summon_hero
from arena.heroes import load_hero, resolve_base_model
from core.errors import Conflict, InvalidInput, Unavailable
from core.paths import RealmPaths
from core.settings import Settings
from tests.arena.hall.model_dirs import make_byte_model
from tests.arena.qwen_like import make_qwen_like
from tests.arena.test_heroes import write_hero

THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}<think>\n\n</think>\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
OWN_STYLE = (
    "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


def summon(paths: RealmPaths, hero_id: str, source: str | None = None, title: str | None = None) -> Summoned:
    return summon_hero(paths, hero_id, source=source, title=title, show=False)


def test_without_a_model_a_new_seedling_is_summoned_and_nothing_is_downloaded(paths: RealmPaths) -> None:
    made = summon(paths, "little-oak")
    hero = load_hero(paths, "little-oak")
    assert (made.title, hero.title, hero.base_model) == ("Little Oak", "Little Oak", "seedling")
    assert hero.recipe == load_hero(paths, "seedling").recipe
    assert list(paths.models.iterdir()) == []


def test_a_directory_becomes_a_hero_with_the_profile_that_suits_it(paths: RealmPaths, tmp_path: Path) -> None:
    model = make_byte_model(tmp_path / "base", template=OWN_STYLE)
    made = summon(paths, "mira", str(model), "Mira the Bold")
    hero = load_hero(paths, "mira")
    assert (made.profile, hero.profile, hero.title) == ("native", "native", "Mira the Bold")
    assert resolve_base_model(hero, Settings(), paths) == str(model)
    # No longer than the model knows positions, and otherwise as models are tuned that were trained before.
    assert hero.hyperparams.max_length == 512
    assert hero.hyperparams.learning_rate == load_hero(paths, "dio").hyperparams.learning_rate
    assert made.parameters == 259 * 8 + 8 * 8
    assert "native" in Path(made.file).read_text().splitlines()[0]


def test_a_model_below_models_is_named_by_its_name(paths: RealmPaths) -> None:
    make_byte_model(paths.models / "small")
    summon(paths, "mira", "small")
    assert load_hero(paths, "mira").base_model == "small"


@pytest.mark.parametrize(
    ("template", "profile", "why"),
    [
        (OWN_STYLE, "native", "keeps every answer"),
        (THINKING, "chatml", "<think>"),
        (None, "chatml", "no chat template"),
        ("{{ raise_exception('no') }}", "chatml", "cannot be told apart"),
    ],
)
def test_the_profile_is_chosen_by_what_the_template_does_to_answers(
    tmp_path: Path, template: str | None, profile: str, why: str
) -> None:
    """D3: a template that puts <think> around answers fights what they teach."""
    assert choose_profile(make_byte_model(tmp_path / "base", template=template))[0] == profile
    assert why in choose_profile(tmp_path / "base")[1]


def test_qwen3_is_trained_with_plain_chatml(tmp_path: Path) -> None:
    """D3: Qwen3's own template changes earlier turns."""
    assert choose_profile(make_qwen_like(tmp_path / "qwen"))[0] == "chatml"


def test_a_model_that_no_profile_suits_is_refused(tmp_path: Path) -> None:
    folder = make_byte_model(tmp_path / "base", template=None)
    tokens = json.loads((folder / "tokenizer.json").read_text())
    tokens["added_tokens"] = []
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    (folder / "tokenizer_config.json").write_text("{}")
    with pytest.raises(InvalidInput, match="Add a chat template"):
        choose_profile(folder)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("config.json", "config.json"), ("tokenizer.json", "tokenizer.json"), ("model.safetensors", "safetensors")],
)
def test_an_incomplete_directory_is_named_with_what_it_lacks(
    paths: RealmPaths, tmp_path: Path, missing: str, message: str
) -> None:
    (make_byte_model(tmp_path / "base") / missing).unlink()
    with pytest.raises(InvalidInput, match=message):
        summon(paths, "mira", str(tmp_path / "base"))
    assert not (paths.configs / "heroes" / "mira.yaml").exists()


def test_an_id_that_is_taken_or_is_none_is_refused(paths: RealmPaths) -> None:
    write_hero(paths, "broken", profile="none")
    for taken in ("dio", "broken"):
        with pytest.raises(Conflict, match="already"):
            summon(paths, taken)
    with pytest.raises(InvalidInput, match="no hero id"):
        summon(paths, "../dio")
    with pytest.raises(InvalidInput, match="neither a directory"):
        summon(paths, "mira", "no such thing")


def test_without_a_network_a_model_of_the_hub_is_refused_in_a_sentence(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real way: a child of the trainer's room and the hub's own client."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(paths.base / "hf"))
    with pytest.raises(Unavailable, match="tester/tiny is not on this machine and could not be downloaded") as refused:
        summon(paths, "mira", "tester/tiny")
    assert "Try again with a network" in str(refused.value)
    assert not (paths.configs / "heroes" / "mira.yaml").exists()
    # One that was fetched before needs no network.
    make_byte_model(tmp := paths.base / "fetched")
    shutil.move(tmp, paths.models / "tester--tiny")
    assert summon(paths, "mira", "tester/tiny").base_model == "tester/tiny"


def test_a_model_of_the_hub_is_downloaded_by_a_child_and_looked_at(
    paths: RealmPaths, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub)
    monkeypatch.setenv("HF_HOME", str(paths.base / "hf"))
    made = summon(paths, "mira", "tester/tiny")
    hero = load_hero(paths, "mira")
    assert (hero.base_model, resolve_base_model(hero, Settings(), paths)) == ("tester/tiny", "tester/tiny")
    assert (paths.models / "tester--tiny" / "model.safetensors").is_file()
    assert made.parameters is not None
    assert made.parameters > 0

"""LoRA without torch: in a hero's file, in what is locked, in what is counted, and where peft is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from arena.hall.changing import change_hero
from arena.hall.listing import list_hall
from arena.hall.new_hero import summon_hero
from arena.hall.standing import standing_still
from arena.heroes import load_hero, lora_of
from arena.journal import JOURNAL_NAME, Genesis, History, encode_entry
from arena.locked_settings import check_locked
from arena.lora import adapted_matrices, check_peft, count_trained, kept_per_token, same_kind, told
from arena.memory.estimate import estimate_memory
from arena.memory.model_sizes import sizes_of_hero
from arena.protocol import Lora
from arena.rehearsal.needs import forecast
from arena.start_check import read_setup
from core.errors import Conflict, InvalidInput
from core.paths import CHECKOUT, RealmPaths
from core.settings import Settings
from tests.arena.annals.past import NOW
from tests.arena.hall.model_dirs import make_byte_model
from tests.arena.test_heroes import write_hero
from tests.arena.trainer.tiny_hero import settings
from vault.weights import Shapes

LORA = Lora(rank=16, alpha=32, dropout=0.0, target_modules=None, rslora=False, seed=3)

SHAPES: Shapes = {
    "model.embed_tokens.weight": (259, 8),
    "model.layers.0.self_attn.q_proj.weight": (16, 8),
    "model.layers.0.self_attn.q_proj.bias": (16,),
    "model.layers.0.input_layernorm.weight": (8,),
    "model.layers.1.mlp.down_proj.weight": (8, 24),
    "lm_head.weight": (259, 8),
}


def mira(paths: RealmPaths, **lora: object) -> None:
    """A seedling of her own, with adapters."""
    recipe = load_hero(paths, "seedling").recipe
    write_hero(paths, "mira", base_model="seedling", recipe=recipe, lora=lora)
    paths.config_file.write_text("hero: mira\n")


def test_a_hero_names_his_adapters_and_what_he_leaves_out_is_sensible(paths: RealmPaths) -> None:
    mira(paths)
    assert lora_of(load_hero(paths, "mira"), Settings()) == replace(LORA, seed=Settings().trainer.seed)
    mira(paths, rank=4, alpha=4, dropout=0.1, target_modules=["v_proj", "q_proj", "v_proj"], rslora=True)
    named = lora_of(load_hero(paths, "mira"), Settings())
    assert named is not None
    assert told(named) == "LoRA of rank 4 (alpha 4 by the root of the rank, dropout 0.1; q_proj, v_proj)"
    assert lora_of(load_hero(paths, "seedling"), Settings()) is None


def test_a_hero_is_summoned_with_adapters_and_the_rate_that_suits_them(paths: RealmPaths, tmp_path: Path) -> None:
    model = str(make_byte_model(tmp_path / "base"))
    made = summon_hero(paths, "olga", source=model, title=None, show=False, lora=True)
    hero = load_hero(paths, "olga")
    assert made.lora == told(lora_of(hero, Settings())) == told(LORA)
    assert hero.hyperparams.learning_rate == 2e-4
    assert summon_hero(paths, "ida", source=model, title=None, show=False).lora is None
    assert load_hero(paths, "ida").hyperparams.learning_rate == 1e-5


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"rnak": 8}, {"dropout": 1.0}, {"target_modules": []}, {"alpha": "x"}])
def test_what_no_adapter_can_be_is_refused_with_the_file(paths: RealmPaths, wrong: dict[str, object]) -> None:
    mira(paths, **wrong)
    with pytest.raises(InvalidInput, match=r"(?s)mira\.yaml.*lora") as refused:
        load_hero(paths, "mira")
    assert next(iter(wrong)) in str(refused.value)


def test_only_the_seed_does_not_make_another_kind() -> None:
    others = [
        replace(LORA, rank=8), replace(LORA, alpha=8), replace(LORA, dropout=0.1), replace(LORA, rslora=True),
        replace(LORA, target_modules=("q_proj",)), None,
    ]  # fmt: skip
    assert same_kind(LORA, replace(LORA, seed=4))
    assert same_kind(None, None)
    assert not any(same_kind(LORA, other) or same_kind(other, LORA) for other in others)
    assert len({told(each) for each in (LORA, replace(LORA, seed=4), *others)}) == 1 + len(others)


def begun(lora: Lora | None) -> History:
    found = History()
    found.add(Genesis(seq=1, at=NOW.isoformat(), hero="mira", base_model="seedling", weights="", lora=lora))
    return found


def test_the_adapters_of_a_living_hero_are_locked(paths: RealmPaths) -> None:
    mira(paths)
    hero = load_hero(paths, "mira")
    check_locked(begun(LORA), hero, Settings(), "seedling")
    for trained in (None, replace(LORA, rank=8)):
        with pytest.raises(Conflict, match=r"^lora is 'LoRA of rank 16 ") as refused:
            check_locked(begun(trained), hero, Settings(), "seedling")
        assert "`realm hero use mira --fresh`" in str(refused.value.hint)
    plain = load_hero(paths, "mira").model_copy(update={"lora": None})
    with pytest.raises(Conflict, match=r"^lora is 'no LoRA'"):
        check_locked(begun(LORA), plain, Settings(), "seedling")


def test_an_archived_model_comes_back_to_the_adapters_it_was_trained_with(paths: RealmPaths) -> None:
    mira(paths)
    genesis = begun(LORA).genesis
    assert genesis is not None
    (paths.current_model / JOURNAL_NAME).write_bytes(encode_entry(genesis) + b"\n")
    with standing_still(paths, "a test"):
        change_hero(paths, "seedling", now=NOW, clear=list)
        mira(paths, rank=8)
        paths.config_file.write_text("hero: seedling\n")
        with pytest.raises(Conflict, match=r"was trained with LoRA of rank 16 .* says LoRA of rank 8"):
            change_hero(paths, "mira", now=NOW, clear=list)
        mira(paths)
        paths.config_file.write_text("hero: seedling\n")
        changed = change_hero(paths, "mira", now=NOW, clear=list)
    assert changed is not None
    assert changed.restored is not None


def test_adapters_stand_beside_matrices_of_numbered_layers_or_those_that_are_named() -> None:
    assert adapted_matrices(SHAPES, LORA) == [(16, 8), (8, 24)]
    assert adapted_matrices(SHAPES, replace(LORA, target_modules=("q_proj",))) == [(16, 8)]
    assert count_trained([(16, 8), (8, 24)], 4) == 4 * (16 + 8 + 8 + 24)
    assert kept_per_token([(16, 8), (8, 24)], LORA) == 2 * 16
    assert kept_per_token([(16, 8), (8, 24)], replace(LORA, dropout=0.1)) == 2 * 16 + 12 + 36


def test_list_doctor_and_forecast_tell_what_is_trained(paths: RealmPaths) -> None:
    """Gradients, moments and checkpoints are those of the adapters alone."""
    mira(paths, rank=4)
    (row,) = (row for row in list_hall(paths) if row.id == "mira")
    # Four matrices of 128 by 128 and three of 128 by 384 in each of three layers.
    trained = 3 * 4 * (4 * 256 + 3 * 512)
    assert (row.trained, row.parameters) == (trained, 673_216 + trained)
    assert row.lora == "LoRA of rank 4 (alpha 32; all linear layers)"
    sizes = sizes_of_hero(load_hero(paths, "mira"), Settings(), paths)
    assert sizes is not None
    needed = estimate_memory(sizes, settings(), precision="fp32", gradient_checkpointing=False)
    assert (needed.gradients, needed.optimizer) == (4 * trained, 8 * trained)
    setup = read_setup(paths)
    everything = read_setup(paths, {"hero": "seedling"})
    assert forecast(paths, setup, None).memory_bytes - forecast(paths, everything, None).memory_bytes == (
        16 * trained - 12 * 673_216
    )


WITHOUT_PEFT = """
import sys
sys.modules["peft"] = None  # importing it fails from now on, as where it is not installed
sys.argv = ["realm", *sys.argv[1:]]
import realm
realm.main()
"""


@pytest.mark.parametrize("verb", [("up",), ("hero", "summon", "olga", "--lora")], ids=" ".join)
def test_without_peft_a_start_is_refused_with_the_command_that_installs_it(
    paths: RealmPaths, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    """Before anything is claimed, in one sentence; heroes without adapters do not need it."""
    mira(paths)
    command = [sys.executable, "-c", WITHOUT_PEFT, "--base-dir", str(paths.base), *verb]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "the package peft is not installed" in ended.stderr
    assert "pip install -c constraints.txt -e '.[lora]'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (paths.current_model / JOURNAL_NAME).exists()
    check_peft()  # here it is

"""`ledger adopt`: only what is built like the hero takes his place, and it begins a history of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from arena.annals.adopting import Adopted, adopt
from arena.annals.rewinding import Rewinder
from arena.annals.turning import is_turning
from arena.hall.adoption import adopt_for_hero
from arena.hall.model_look import differences, differences_from_recipe, look_at_model
from arena.hall.standing import finish_what_was_begun, standing_still
from arena.journal import read_history
from arena.trainer.loading.seedling import make_seedling
from core.checkpoint_ledger import CheckpointLedger, read_sidecar
from core.errors import Conflict
from core.paths import CHECKOUT, RealmPaths
from tests.arena.annals.past import NOW, Past, folder_names, run_until_killed, snapshot
from tests.arena.hall.model_dirs import CONFIG, make_byte_model
from vault.checkpoints import CheckpointStore
from vault.weights import weights_digest

ADOPT = """
import sys
from datetime import datetime
from pathlib import Path
from arena.annals.adopting import adopt
from arena.hall.standing import standing_still
from core.paths import RealmPaths
paths = RealmPaths(Path(sys.argv[1]))
with standing_still(paths, "a test"):
    adopt(
        paths, Path(sys.argv[2]), hero="seedling", base_model="seedling", step=None, clear=list,
        appraise=lambda folder: {"parameters": 1, "optimizer_misfit": None}, now=datetime.fromisoformat(sys.argv[3]),
    )
"""

SEEDLING_RECIPE = yaml.safe_load((CHECKOUT / "configs" / "heroes" / "seedling.yaml").read_text())["recipe"]


@pytest.fixture
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_byte_model(tmp_path_factory.mktemp("elsewhere") / "checkpoint-190000-20251127-1430")


def take(paths: RealmPaths, source: Path, misfit: str | None = None, step: int | None = None) -> Adopted:
    """Adopt with an appraisal that was made before; the real one is tried in `test_weights_of_histories`."""
    with standing_still(paths, "a test"):
        return adopt(
            paths, source, hero="seedling", base_model="seedling", step=step, clear=list, now=NOW,
            appraise=lambda folder: {"parameters": 1, "optimizer_misfit": misfit},
        )  # fmt: skip


def test_an_empty_realm_begins_with_the_adopted_checkpoint(paths: RealmPaths, source: Path) -> None:
    """A5: the step is in the canonical name."""
    adopted = take(paths, source)
    assert adopted.step == 190000
    history = read_history(paths.current_model / "journal.jsonl")
    assert history.genesis is not None
    assert (history.genesis.weights, history.genesis.checkpoint) == (weights_digest(source), adopted.checkpoint)
    store = CheckpointStore(paths.current_model)
    assert store.newest_valid()[0] == store.resolve(adopted.checkpoint)
    record = read_sidecar(store.root / adopted.checkpoint)
    assert record is not None
    assert (record.created_by, record.train_loss, record.milestone) == ("adopted", None, True)
    assert [each.step for each in CheckpointLedger.of(paths).list_all()] == [190000]
    assert CheckpointLedger.of(paths).verify(lambda folder, *, deep: []) == {}


def test_a_step_may_be_given_and_an_optimizer_that_does_not_fit_is_left_out(paths: RealmPaths, source: Path) -> None:
    """A19: what a foreign optimizer or scheduler brings along must not bend the training."""
    for name in ("optimizer.pt", "scheduler.pt"):
        (source / name).write_bytes(b"x")
    adopted = take(paths, source, misfit="it runs with other betas", step=7)
    assert (adopted.step, adopted.optimizer, adopted.has_optimizer) == (7, "it runs with other betas", False)
    files = folder_names(paths.current_model / adopted.checkpoint)
    assert "model.safetensors" in files
    assert "optimizer.pt" not in files


def test_the_model_before_is_kept_on_a_branch_and_can_be_returned_to(paths: RealmPaths, source: Path) -> None:
    past = Past(paths)
    past.learn("first")
    before = past.save()
    adopted = take(paths, source)
    assert adopted.left_behind == before
    assert read_history(past.journal.path).claims == {}
    assert [found.name for found in past.store.branches()] == [before]
    follower = past.go_on()
    follower.learn("second")
    follower.save()
    with standing_still(paths, "a test"):
        base = Rewinder(paths).rewind("base", now=NOW, requeue=False)
        assert base is not None
        assert base.checkpoint == adopted.checkpoint
        returned = Rewinder(paths).rewind(before, now=NOW, requeue=False)
    assert returned is not None
    assert read_history(past.journal.path).claims[1].name == "first.jsonl"
    assert past.store.head() == before


@pytest.mark.parametrize("point", ["turn.planned", "save.renamed", "journal.before", "journal.written", "turn.head"])
@pytest.mark.parametrize("trained", [True, False], ids=["trained", "empty"])
def test_an_adoption_that_is_killed_is_finished_by_the_next_start_or_never_happened(
    paths: RealmPaths, source: Path, point: str, trained: bool
) -> None:
    """A14: a checkpoint is not there without its history, nor a history without its checkpoint."""
    if trained:
        past = Past(paths)
        past.learn("first")
        past.save()
    before = snapshot(paths)
    assert run_until_killed(ADOPT, point, str(paths.base), str(source), NOW.isoformat())
    assert is_turning(paths)
    finish_what_was_begun(paths)
    store = CheckpointStore(paths.current_model)
    assert not is_turning(paths)
    if point in ("journal.written", "turn.head"):
        assert [found.step for found in store.list()] == [190000]
        assert store.head() == store.list()[0].name
        assert len(store.branches()) == trained
        assert [record.step for record in CheckpointLedger.of(paths).list_all()] == [190000]
    else:
        assert snapshot(paths) == before


def test_a_model_is_told_in_what_it_differs_from_the_hero(tmp_path: Path) -> None:
    hero = look_at_model(make_byte_model(tmp_path / "hero"))
    assert differences(look_at_model(make_byte_model(tmp_path / "same", fill=0.1)), hero) == []
    other = make_byte_model(tmp_path / "other", model_type="llama", num_attention_heads=4)
    assert differences(look_at_model(other), hero) == [
        "it is a llama, not a qwen3", "its num_attention_heads is 4, not 2",
    ]  # fmt: skip
    longer = tmp_path / "longer"
    make_byte_model(longer)
    text = (longer / "tokenizer.json").read_text().replace("<|endoftext|>", "<|other|>")
    (longer / "tokenizer.json").write_text(text)
    (longer / "tokenizer_config.json").write_text("{}")
    (told,) = differences(look_at_model(longer), hero)
    assert told == "its vocabulary differs in 2 tokens, such as '<|endoftext|>'"
    recipe = {"hidden_size": 8, "num_hidden_layers": 1, "head_dim": 8}
    assert differences_from_recipe(hero, recipe) == ["its head_dim is 4, not 8"]
    assert CONFIG["head_dim"] == 4


def test_another_architecture_is_refused_and_the_way_to_a_new_hero_is_shown(
    paths: RealmPaths, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Found out here, and not by a trainer that dies again and again."""
    before = snapshot(paths)
    with standing_still(paths, "a test"), pytest.raises(Conflict, match="its hidden_size is 8, not 128") as refused:
        adopt_for_hero(paths, source, step=None, requeue=False, now=NOW)
    assert f"hero summon ID --from {source}" in str(refused.value)
    assert snapshot(paths) == before
    twin = make_seedling(tmp_path_factory.mktemp("twin") / "model", SEEDLING_RECIPE, seed=9)
    assert differences_from_recipe(look_at_model(twin), SEEDLING_RECIPE) == []


def test_open_quests_are_not_forgotten_by_an_adoption(
    paths: RealmPaths, tmp_path_factory: pytest.TempPathFactory
) -> None:
    past = Past(paths)
    past.begin("running")
    paths.config_file.write_text("hyperparams:\n  max_length: 256\n")
    twin = make_seedling(tmp_path_factory.mktemp("twin") / "model", SEEDLING_RECIPE, seed=9)
    with standing_still(paths, "a test"), pytest.raises(Conflict, match=r"running\.jsonl"):
        adopt_for_hero(paths, twin, step=None, requeue=False, now=NOW)

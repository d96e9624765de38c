"""Law 3, in processes: after a rewind or adoption, the weights are those of a run that knew no other history."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from arena.annals.adopting import Adopted
from arena.annals.rewinding import Rewinder, Rewound
from arena.hall.adoption import adopt_for_hero
from arena.hall.standing import standing_still
from arena.protocol import CheckpointSaved, Progress, QuestEnded, Ready, Save
from core.checkpoint_ledger import read_sidecar
from core.errors import Conflict
from tests.arena.annals.past import NOW
from tests.arena.test_heroes import HYPERPARAMS
from tests.arena.trainer.driving import Child, Field, assert_equal_weights, replay
from vault.weights import weights_digest

LONG = 400
"""Rows of a quest in the middle of which there is time for a checkpoint, on quick machines too."""


async def save(child: Child) -> Path:
    await child.send(Save(reason="a test"))
    saved = await child.until(CheckpointSaved)
    return child.process._paths.current_model / str(saved.name)


@pytest.fixture(scope="module")
def fought(from_nursery: None, tmp_path_factory: pytest.TempPathFactory, dropout_model: Path) -> Field:
    """Three quests in one life: a checkpoint within the second, and one after the third."""
    field = Field(tmp_path_factory.mktemp("fought"), dropout_model)
    for quest_id, rows in (("first", 10), ("long", LONG), ("last", 9), ("other", 14)):
        field.foe(quest_id, rows)

    async def fight() -> None:
        async with field.child() as child:
            await child.until(Ready)
            await child.learn(field.foes["first"])
            await child.begin_to_learn(field.foes["long"])
            within = await save(child)
            assert json.loads((within / "cursor.json").read_text())["quest_step"] > 0
            await child.until(QuestEnded, lambda ended: ended.quest_id == "long")
            await child.learn(field.foes["last"])
            assert (await child.stop()).clean

    asyncio.run(fight())
    return field


def copy_of(fought: Field, base: Path) -> Field:
    """The same past in another directory, which one test changes."""
    shutil.copytree(fought.paths.current_model, base / "current_model")
    return Field(base, fought.model, dict(fought.foes))


def checkpoints(field: Field) -> list[str]:
    return sorted(
        (path.name for path in field.paths.current_model.glob("checkpoint-*")), key=lambda n: int(n.split("-")[1])
    )


def rewind(field: Field, reference: str, *, requeue: bool) -> Rewound:
    with standing_still(field.paths, "a test"):
        done = Rewinder(field.paths).rewind(reference, now=NOW, requeue=requeue)
    assert done is not None
    return done


def test_after_a_rewind_the_weights_are_those_of_a_run_that_never_learned_what_was_undone(
    fought: Field, tmp_path: Path
) -> None:
    """A5, D17: step, ordinals and seeds go on from the checkpoint, and the greatest step is ignored."""
    field = copy_of(fought, tmp_path / "rewound")
    within, newest = checkpoints(field)
    done = rewind(field, within, requeue=False)
    assert [quest.quest_id for quest in done.undone] == ["long", "last"]
    # Someone copies what was left behind back to its place, and HEAD is lost: it is an ancestor of nothing here.
    branch = field.paths.current_model / "branches" / f"rewound-{field.history.seq}"
    shutil.copytree(branch / newest, field.paths.current_model / newest)
    (field.paths.current_model / "HEAD").unlink()

    async def fight() -> Path:
        async with field.child() as child:
            ready = await child.until(Ready)
            assert (ready.checkpoint, ready.step) == (within, done.step)
            await child.learn(field.foes["other"])
            # Made for the first time in this history: a strike here would be charged.
            assert not any(progress.replaying for progress in child.said(Progress))
            assert (await child.stop()).clean
        return await replay(tmp_path / "oracle", fought.model, field)

    oracle = asyncio.run(fight())
    history = field.history
    assert [(ordinal, claim.quest_id) for ordinal, claim in history.claims.items()] == [
        (1, "first"), (2, "long"), (3, "other"),
    ]  # fmt: skip
    assert 0 < history.rows_learned(2) < LONG
    assert int(field.head.name.split("-")[1]) == done.step + 4
    assert_equal_weights(field.head, oracle)
    assert (branch / newest).is_dir()


def test_a_quest_that_goes_on_after_a_rewind_ends_with_the_same_weights_as_before(
    fought: Field, tmp_path: Path
) -> None:
    """Each row once per epoch: the part that the checkpoint holds is not learned a second time."""
    field = copy_of(fought, tmp_path)
    within, newest = checkpoints(field)
    rewind(field, within, requeue=True)

    async def fight() -> None:
        async with field.child() as child:
            assert (await child.until(Ready)).replay == ["long"]
            await child.until(QuestEnded, lambda ended: ended.quest_id == "long")
            await child.learn(field.foes["last"])
            assert (await child.stop()).clean

    asyncio.run(fight())
    assert_equal_weights(field.head, fought.paths.current_model / newest)


def adopt(field: Field, source: Path, **options: int | None) -> Adopted:
    hero = {"title": "Tiny", "base_model": str(field.model), "hyperparams": {**HYPERPARAMS, "max_length": 256}}
    (field.paths.configs / "heroes").mkdir(exist_ok=True)
    (field.paths.configs / "heroes" / "tiny.yaml").write_text(yaml.safe_dump(hero))
    field.paths.config_file.write_text("hero: tiny\n")
    with standing_still(field.paths, "a test"):
        return adopt_for_hero(field.paths, source, requeue=False, now=NOW, **{"step": None, **options})


@pytest.mark.timeout(240)
def test_the_realm_trains_on_from_adopted_weights_and_a_kill_changes_nothing(fought: Field, tmp_path: Path) -> None:
    """D6: weights saved in bf16 are trained in fp32, as all are. A6: what no checkpoint covers is trained again."""
    source = tmp_path / "elsewhere" / "checkpoint-1200"
    shutil.copytree(fought.paths.current_model / checkpoints(fought)[0], source)
    for name in ("MANIFEST.json", "cursor.json", "journal.jsonl", ".ledger.json", "trainer_state.json"):
        (source / name).unlink()
    halved = {name: tensor.to(torch.bfloat16) for name, tensor in load_file(source / "model.safetensors").items()}
    save_file(halved, source / "model.safetensors", metadata={"format": "pt"})
    field = copy_of(fought, tmp_path / "realm")
    before = field.head.name
    adopted = adopt(field, source)
    assert (adopted.step, adopted.left_behind, adopted.has_optimizer) == (1200, before, True)
    assert adopted.weights == weights_digest(source)
    record = read_sidecar(field.head)
    assert record is not None
    assert (record.created_by, record.step, record.train_loss, record.milestone) == ("adopted", 1200, None, True)
    assert field.head.name == adopted.checkpoint
    with pytest.raises(Conflict, match=f"here already, as {adopted.checkpoint}"):
        adopt(field, source)
    twin = Field(tmp_path / "twin", fought.model, dict(fought.foes))
    shutil.copytree(field.paths.current_model, twin.paths.current_model, dirs_exist_ok=True)

    async def fight() -> None:
        async with field.child() as child:
            ready = await child.until(Ready)
            assert (ready.checkpoint, ready.step, ready.replay) == (adopted.checkpoint, 1200, [])
            await child.learn(field.foes["other"])
            await child.begin_to_learn(field.foes["long"])
            await child.kill()
        async with field.child() as child:
            assert (await child.until(Ready)).replay == ["other", "long"]
            await child.until(QuestEnded, lambda ended: ended.quest_id == "long")
            assert (await child.stop()).clean
        async with twin.child() as child:
            await child.until(Ready)
            await child.learn(twin.foes["other"])
            await child.learn(twin.foes["long"])
            assert (await child.stop()).clean

    asyncio.run(fight())
    assert [claim.quest_id for claim in field.history.claims.values()] == ["other", "long"]
    assert {tensor.dtype for tensor in load_file(field.head / "model.safetensors").values()} == {torch.float32}
    assert_equal_weights(field.head, twin.head)
    returned = rewind(field, before, requeue=False)
    assert [quest.quest_id for quest in returned.undone] == ["other", "long"]
    assert field.head.name == before

"""A `realm train` that was interrupted: what the same command finds, and when it goes on with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from arena.alone.one_off import OneOff
from arena.alone.unfinished_run import (
    PUBLISHING,
    WORK_FOLDER,
    DoesNotFit,
    begun_quest,
    check_output,
    publish,
    set_aside,
)
from arena.command.beginning import begin_of, claim_of
from arena.heroes import load_hero
from arena.journal import JOURNAL_NAME, ClaimEntry, Genesis, Journal
from arena.protocol import Arithmetic, Begin, Claim
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord
from core.errors import Conflict
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.settings import Settings
from tests.arena.quest_makers import NOW

AT = NOW.isoformat()


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "model"


@pytest.fixture
def work(output: Path) -> RealmPaths:
    work = RealmPaths(output / WORK_FOLDER)
    work.create()
    return work


@pytest.fixture
def told(work: RealmPaths, tmp_path: Path) -> tuple[Begin, Claim]:
    """What the same command says to its trainer, with a quest id of its own."""
    settings, hero = Settings(), load_hero(work, "seedling")
    record = QuestRecord(
        quest_id="q_20261121_093000_5f2c1ab7", submitted_at=AT, priority="normal", content_hash="a" * 64,
        schema_id="chat_sft_v1", rows=20, original_name="x.jsonl",
    )  # fmt: skip
    begin = begin_of(work, settings, hero, "seedling", QuestBoard(work), [], pause_reason=None)
    return begin, claim_of(hero, settings, Quest(tmp_path / "x.jsonl", record))


def begun(work: RealmPaths, begin: Begin, claim: Claim) -> None:
    """The journal of a run that was interrupted in the middle of its quest."""
    journal = Journal(work.current_model / JOURNAL_NAME)
    journal.append(Genesis(seq=1, at=AT, hero=begin.hero, base_model=begin.base_model, weights="0" * 64))
    journal.append(
        ClaimEntry(
            seq=2, at=AT, ordinal=1, quest_id=claim.quest_id, name=claim.name, content_hash=claim.content_hash,
            schema_id=claim.schema_id, rows=20, settings=claim.settings,
        )
    )  # fmt: skip


def test_the_same_command_goes_on_with_the_quest_that_was_begun(work: RealmPaths, told: tuple[Begin, Claim]) -> None:
    begin, claim = told
    assert begun_quest(work, begin, claim) is None
    begun(work, begin, replace(claim, quest_id="q_20261120_080000_00000000"))
    assert begun_quest(work, begin, claim) == "q_20261120_080000_00000000"


def test_what_the_trainer_filled_in_is_no_difference(work: RealmPaths, told: tuple[Begin, Claim]) -> None:
    begin, claim = told
    filled = replace(claim.settings, micro_batch_tokens=2048, pass_tokens=70, arithmetic=Arithmetic(precision="bf16"))
    begun(work, begin, replace(claim, settings=filled))
    assert begun_quest(work, begin, claim) == claim.quest_id


def test_another_command_is_told_what_differs_and_the_work_is_kept(
    work: RealmPaths, told: tuple[Begin, Claim], output: Path
) -> None:
    begin, claim = told
    begun(work, begin, claim)
    with pytest.raises(DoesNotFit, match="begun with another model, another dataset"):
        begun_quest(work, replace(begin, hero="dio"), replace(claim, content_hash="b" * 64))
    with pytest.raises(DoesNotFit, match="other settings"):
        begun_quest(work, begin, replace(claim, settings=replace(claim.settings, epochs=9)))
    assert set_aside(work) == output / ".realm-1"
    work.create()
    assert set_aside(work) == output / ".realm-2"
    assert (output / ".realm-1" / "current_model" / JOURNAL_NAME).exists()
    check_output(output)


def test_nothing_but_the_work_of_earlier_runs_may_lie_in_the_output(output: Path, work: RealmPaths) -> None:
    check_output(output)
    check_output(output.with_name("new"))
    for lock, who in ((work.lock, "realm train"), (work.current_model / ".lock", "A trainer")):
        held = InstanceLock(lock)
        held.acquire({"base_dir": str(output)})
        with pytest.raises(Conflict, match=who):
            check_output(output)
        held.release()
    (output / "precious.txt").touch()
    with pytest.raises(Conflict, match="is not an empty directory"):
        check_output(output)


async def test_a_run_that_was_killed_while_its_model_was_put_into_place_is_finished_by_the_next(
    paths: RealmPaths, tmp_path: Path, output: Path, work: RealmPaths
) -> None:
    """B21: half a model lay there, and no command went on with it."""
    checkpoint = work.current_model / "checkpoint-7"
    files = ("config.json", "model.safetensors", "tokenizer.json")
    checkpoint.mkdir()
    for name in files:
        (checkpoint / name).write_text(name)
    asked = {"dataset": str(tmp_path / "x.jsonl"), "model": "seedling", "epochs": None, "system_prompt": None}
    result = {"output": str(output), "rows": 7, "steps": 7, "loss": 1.5}
    (output / "tokenizer.json").mkdir()  # here it dies
    with pytest.raises(OSError, match=r"tokenizer\.json"):
        publish(work, checkpoint, {"asked": asked, "result": result})
    (output / "tokenizer.json").rmdir()
    assert (output / "config.json").exists()

    def run(model: str) -> OneOff:
        dataset = tmp_path / "x.jsonl"
        return OneOff(paths=paths, dataset=dataset, model=model, output=output, epochs=None, system_prompt=None)

    assert await run("seedling").run(tell=lambda text: None) == result
    assert sorted(path.name for path in output.iterdir()) == list(files)
    with pytest.raises(Conflict, match="is not an empty directory"):
        await run("seedling").run(tell=lambda text: None)


async def test_another_command_does_not_pass_the_model_of_an_earlier_one_for_its_own(
    paths: RealmPaths, tmp_path: Path, output: Path, work: RealmPaths
) -> None:
    checkpoint = work.current_model / "checkpoint-7"
    checkpoint.mkdir()
    (work.base / PUBLISHING).write_text('{"checkpoint": "checkpoint-7", "asked": {}, "result": {}}')
    job = OneOff(
        paths=paths, dataset=tmp_path / "y.jsonl", model="seedling", output=output, epochs=None, system_prompt=None
    )
    with pytest.raises(Conflict, match="holds the model of an earlier run"):
        await job.run(tell=lambda text: None)

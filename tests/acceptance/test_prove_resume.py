"""`realm prove-resume`: a user's own proof that ends and kills change nothing of what the hero learns (law 3)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from arena.cursor import CURSOR_NAME, Cursor
from arena.heroes import load_hero
from arena.journal import JOURNAL_NAME, ClaimEntry, Genesis, Journal
from arena.trainer.loading.seedling import make_seedling
from core.instance import REALM_UP, InstanceLock
from core.paths import CHECKOUT
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import write_quest
from tests.arena.trainer import tiny_hero
from tests.waiting import wait_until
from vault.adoption import write_trainer_state
from vault.checkpoints import CheckpointStore
from vault.weights import weights_digest

STEP = 7
NAME = f"checkpoint-{STEP}-20261121-0930"


def with_a_checkpoint(realm: LivingRealm, scratch: Path) -> Path:
    """A sprite that was adopted and stands amid a quest whose data are gone."""
    journal = Journal(realm.paths.current_model / JOURNAL_NAME)
    recipe = load_hero(realm.paths, "sprite").recipe or {}
    model = make_seedling(scratch / "model", recipe, seed=3)
    weights = weights_digest(model)
    journal.append(
        Genesis(seq=1, at="2026-11-21", hero="sprite", base_model="seedling", weights=weights, checkpoint=NAME)
    )
    journal.append(
        ClaimEntry(
            seq=2, at="2026-11-21T09:30:00+00:00", ordinal=1, quest_id="q1", name="gone.jsonl", content_hash="0" * 64,
            schema_id="chat_sft_v1", rows=100, settings=tiny_hero.settings(max_length=128),
        )
    )  # fmt: skip
    store = CheckpointStore(realm.paths.current_model)
    staging = store.stage()
    for file in model.iterdir():
        file.rename(staging / file.name)
    write_trainer_state(model, staging, STEP)
    (staging / CURSOR_NAME).write_text(json.dumps(asdict(Cursor(ordinal=1, quest_step=5))))
    (staging / JOURNAL_NAME).write_bytes(journal.path.read_bytes())
    return store.publish(staging, NAME)


def contents(realm: LivingRealm) -> dict[Path, bytes]:
    locks = (".lock", ".realm.lock")
    files = (path for path in realm.paths.base.rglob("*") if path.is_file() and path.name not in locks)
    return {path: path.read_bytes() for path in files}


@pytest.mark.timeout(400)
def test_a_hero_that_is_stopped_and_killed_learns_what_it_learns_straight_on(
    found_realm: Founder, nursery: Nursery, tmp_path: Path
) -> None:
    """Four trainers in turn, from the hero's own checkpoint; all of it on a copy that is gone afterwards."""
    realm = found_realm(nursery=nursery)
    start = with_a_checkpoint(realm, tmp_path)
    dataset = write_quest(tmp_path / "few.jsonl", 11)
    realm.paths.create()
    before = contents(realm)
    answer = realm.cli("--json", "prove-resume", "--steps", "2", "--dataset", str(dataset), timeout=380)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    told = json.loads(answer.stdout)
    assert (told["equal"], told["holds"], told["steps"]) == (True, True, 4)
    assert (told["from_step"], told["checkpoint"], told["dataset"]) == (STEP, NAME, str(dataset))
    assert told["device"] == "cpu, 1 thread"
    for part in ("weights", "optimizer"):
        straight, disturbed = told[part]["digests"]
        assert straight == disturbed
        assert told[part]["first_difference"] is None
        assert told[part]["largest_difference"] == 0.0
        assert told[part]["tensors"] > 10
    assert told["weights"]["digests"][0] != weights_digest(start)
    assert [life.split(",")[0] for life in told["lives"]] == [
        "2 steps", "resumed by a new process", "resumed by a new process from step 9",
    ]  # fmt: skip
    assert "killed with SIGKILL after 1 step," in told["lives"][1]
    assert told["needs"]["parameters"] > 10_000
    assert contents(realm) == before
    assert not list(realm.paths.base.glob(".prove-resume-*"))


def test_it_is_refused_while_a_realm_runs_and_where_nothing_can_be_learned(
    found_realm: Founder, tmp_path: Path
) -> None:
    realm = found_realm()
    realm.paths.create()
    lock = InstanceLock(realm.paths.lock)
    lock.acquire({"what": REALM_UP, "version": "1", "base_dir": str(realm.paths.base)})
    busy = realm.cli("prove-resume")
    assert busy.returncode == 1
    assert f"is in use by process {os.getpid()}" in busy.stderr
    assert "Stop it with `realm down`" in busy.stderr
    lock.release()
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": \n')
    answer = realm.cli("prove-resume", "--dataset", str(bad))
    assert answer.returncode == 1
    assert "bad.jsonl was not let in" in answer.stderr
    assert realm.cli("prove-resume", "--steps", "1").returncode == 2
    assert not list(realm.paths.base.glob(".prove-resume-*"))


@pytest.mark.timeout(200)
def test_ctrl_c_leaves_neither_a_trainer_nor_a_copy_behind(found_realm: Founder) -> None:
    realm = found_realm()
    realm.paths.create()
    command = [*realm.command[:-1], "prove-resume"]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        verb = psutil.Process(process.pid)
        wait_until(verb.children, timeout=60, message="no trainer was started")
        (trainer,) = verb.children()
        assert list(realm.paths.base.glob(".prove-resume-*"))
        assert "prove-resume" in str(InstanceLock.holder(realm.paths.lock))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        told, complaint = process.communicate(timeout=90)
    assert process.returncode == 130, complaint
    assert "on disk, for" in told
    assert "Traceback" not in complaint
    assert not trainer.is_running()
    assert not list(realm.paths.base.glob(".prove-resume-*"))

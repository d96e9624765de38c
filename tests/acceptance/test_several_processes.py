"""A realm whose trainer is several processes: torchrun, the daemon's own child, and each of them killed in turn."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil
import pytest

from arena.command.beginning import begin_of
from arena.journal import JOURNAL_NAME
from arena.protocol import Command, Event, QuestEnded, Stop
from arena.quest_board import QuestBoard
from arena.start_check import read_setup
from core.instance import InstanceLock
from tests.acceptance.conftest import Founder
from tests.acceptance.living_realm import START_SECONDS, LivingRealm
from tests.acceptance.nursery import Nursery
from tests.arena.trainer.driving import Field
from tests.arena.trainer.fighting_here import fight
from tests.replaying import tensor_hashes

PROCESSES = 2
QUESTS = {"first": 40, "long": 960}
LONG = 2
"""Ordinal of the long one."""


def ranks(realm: LivingRealm) -> list[psutil.Process]:
    """The processes that train, the one that the daemon talks to first."""
    here = realm.position()
    torchrun = [child for child in realm._children() if "arena.trainer.scaling" in child.cmdline()]
    found = [rank for child in torchrun for rank in child.children() if "arena.trainer" in rank.cmdline()]
    realm.seen.update(found)
    return sorted(found, key=lambda rank: here is None or rank.pid != here.pid)


def kill(realm: LivingRealm, number: int) -> str:
    """SIGKILL to one of them, upon which the others end; returns what is told of it."""
    told = len(realm.events("trainer_died"))
    before = ranks(realm)
    assert len(before) == PROCESSES
    before[number].kill()
    death = realm.wait(lambda: realm.events("trainer_died")[told:], "the death of the trainer")[0]
    _, alive = psutil.wait_procs(before, timeout=START_SECONDS)
    assert not alive
    return str(death["message"])


def learned_alone(realm: LivingRealm, base: Path) -> dict[str, str]:
    """The weights that one process, undisturbed, makes of the realm's journal."""
    setup = read_setup(realm.paths, {})
    begin = begin_of(realm.paths, setup.settings, setup.hero, setup.base_model, QuestBoard(realm.paths), [], None)
    field = Field(base, Path(setup.base_model))
    (field.paths.current_model / JOURNAL_NAME).write_bytes((realm.paths.current_model / JOURNAL_NAME).read_bytes())

    def stop_after_the_last(event: Event) -> Command | None:
        over = isinstance(event, QuestEnded) and event.ordinal == len(QUESTS)
        return Stop(reason="all is learned") if over else None

    fight(field, answer=stop_after_the_last, **msgspec.structs.asdict(begin) | {"processes": 1})
    return tensor_hashes(field.head)


def forking(nursery: Nursery, folder: Path) -> str:
    """What torchrun calls instead of Python, with `-u` first: the processes are forked, as their imports take long."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nshift\nexec {nursery.python} "$@"\n')
    python.chmod(0o755)
    return str(python)


def fight_and_kill(realm: LivingRealm, python: str) -> None:
    """From the first quest to the end of the realm."""
    realm.wish("pause")
    realm.up(PYTHON_EXEC=python)
    for number, (name, rows) in enumerate(QUESTS.items()):
        realm.drop(name, rows, start=5000 * number)
        realm.wait(lambda waiting=number + 1: len(realm.lane("normal")) == waiting, f"{name} on the board")
    realm.wish("resume")

    here = realm.wait_in_quest(LONG, at_least=20)
    assert "SIGKILL" in kill(realm, 1)
    realm.wait(lambda: (now := realm.position()) is not None and now.pid != here.pid, "a new trainer")
    realm.wait_in_quest(LONG, at_least=here.quest_step + 20)
    assert "SIGKILL" in kill(realm, 0)
    realm.wait_until_done(len(QUESTS))
    assert realm.taught() == [(f"{name}.jsonl", "learned", rows) for name, rows in QUESTS.items()]
    assert [claim.settings.arithmetic.shares for claim in realm.claims() if claim.settings.arithmetic] == [2, 2]

    left = [*ranks(realm), *realm._children()]
    assert realm.stop() == 0
    _, alive = psutil.wait_procs(left, timeout=START_SECONDS)
    assert not alive
    assert InstanceLock.holder(realm.paths.current_model / ".lock") is None


@pytest.mark.timeout(300)
def test_whichever_process_is_killed_all_start_again_and_learn_what_one_alone_learns(
    found_realm: Founder, tmp_path: Path
) -> None:
    """A6: what no checkpoint covers is trained again, once. B13: the end of the realm leaves no process behind."""
    realm = found_realm(distributed={"processes": PROCESSES})
    with Nursery() as nursery:
        fight_and_kill(realm, forking(nursery, tmp_path))
    assert realm.weights()[1] == learned_alone(realm, tmp_path / "alone")

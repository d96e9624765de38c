"""What the daemon leaves undone while the disk lets nothing go on: no file is taken in, refused or lost by it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arena.disk.places import Places
from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.measures.standard_gate import make_ready, prove_file
from arena.start_check import read_setup
from arena.supervision.position_file import Phase, Position
from arena.supervision.trainer_process import Death
from core.errors import Unavailable
from core.http.events import EventHub
from core.paths import RealmPaths
from core.saga import open_saga
from core.scribe import Scribe
from core.status_files import read_status
from core.tasks import TaskCrew
from realm import make_daemon
from tests.acceptance.quest_files import write_quest
from tests.arena.doorstep.one_intake import running_intake
from tests.arena.quest_makers import everything_in, take
from tests.waiting import wait_until_async
from watchtower.doctor.checks import disk as disk_check
from watchtower.doctor.checkup import Patient

NOBODY = 65534


@contextmanager
def without_rights(file: Path) -> Iterator[None]:
    """Nobody may read `file`, and we are nobody: root may read whatever its mode says."""
    file.chmod(0)
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)
        file.chmod(0o644)


def test_a_file_that_the_disk_does_not_let_read_is_judged_by_no_gate(tmp_path: Path) -> None:
    """A28: EACCES and EIO say nothing about what is in a file; it waits, and neither gate rejects it."""
    file = write_quest(tmp_path / "x.jsonl", 3)
    make_ready("seedling", "chatml")
    yardstick = {
        "tokenizer": "seedling", "profile": "chatml", "system_prompt": None, "max_length": 128, "held_out": "",
    }  # fmt: skip
    with without_rights(file):
        with pytest.raises(Unavailable, match="cannot be read: Permission denied"):
            inspect_file(str(file))
        with pytest.raises(Unavailable, match="cannot be read: Permission denied"):
            prove_file(str(file), "chat_sft_v1", 3, yardstick)
    assert inspect_file(str(file))["accepted"]
    assert prove_file(str(file), "chat_sft_v1", 3, yardstick)["accepted"]


async def test_files_stay_in_the_inbox_with_the_reason_until_the_disk_takes_them(paths: RealmPaths) -> None:
    """A23: what would be moved onto a full disk stays with its owner, and the status of the inbox says why."""
    reason: str | None = "disk: it is full"
    write_quest(paths.inbox / "x.jsonl", 3)
    async with running_intake(paths, held=lambda: reason) as intake:
        await wait_until_async(lambda: intake.report()["waiting"] == 1)
        assert intake.report()["blocked"] == reason
        assert everything_in(paths.queue) == []
        reason = None
        await wait_until_async(lambda: list(paths.lane("normal").glob("*.jsonl")), message="it is taken in")
        assert intake.report()["blocked"] is None


async def test_a_realm_whose_model_is_not_mounted_starts_no_trainer_and_begins_no_hero(paths: RealmPaths) -> None:
    """A23, B30: it comes up, says what is missing, stops at once when told to, and has written nothing there."""
    assert Places(paths).look() is None
    paths.current_model.rename(paths.base / "on a disk")
    paths.current_model.mkdir()
    with open_saga(paths) as saga:
        scribe, crew = Scribe(), TaskCrew()
        daemon = make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
        await daemon.bring_in_order()
        await daemon.start(crew)
        try:
            await wait_until_async(lambda: daemon.report.state == "paused", message="it is paused")
            assert str(daemon.report.reason).startswith("disk: current_model/ holds nothing")
            told = paths.training_status
            await wait_until_async(lambda: read_status(told, now=datetime.now(UTC))["status"] == "paused")
            finding = disk_check.check(Patient.at(paths, running_pid=os.getpid(), now=datetime.now(UTC)))
            assert finding.verdict == "failure"
            assert "current_model/ holds nothing of the realm" in finding.message
            assert list(paths.current_model.iterdir()) == []
            assert [event.kind for event in saga.events_after(0)] == ["disk_missing"]
            await asyncio.wait_for(daemon.stop("the test is over"), 10)
        finally:
            await crew.stop(10)
            await scribe.close()
    # A realm that is down is looked at as well.
    finding = disk_check.check(Patient.at(paths, running_pid=None, now=datetime.now(UTC)))
    assert "current_model/ holds nothing of the realm" in finding.message


async def test_a_trainer_that_dies_on_a_full_disk_costs_its_quest_no_strike(paths: RealmPaths) -> None:
    """A28: three deaths for want of room would have withdrawn a good quest."""
    with open_saga(paths) as saga:
        scribe = Scribe()
        setup = read_setup(paths, {"disk": {"reserve_megabytes": 1_000_000_000}}, env={})
        daemon = make_daemon(paths, setup, {}, saga, scribe, EventHub(saga))
        quest = daemon.board.claim(take(daemon.board, "x.jsonl"))
        here = Position(Phase.PREPARING, ordinal=1, quest_step=0, furthest_ordinal=0, furthest_step=0, pid=7, beats=1)
        for _ in range(3):
            await daemon._on_death(Death(pid=7, clean=False, cause="signal SIGBUS", position=here))
        assert daemon.report.disk["state"] == "full"
        running = daemon.board.processing()
        assert running is not None
        assert (running.quest_id, running.record.strikes, running.record.attempts) == (quest.quest_id, [], 1)
        await scribe.close()


async def test_a_trainer_that_cannot_be_started_is_told_once(paths: RealmPaths) -> None:
    """B30: as with a journal that the disk does not let read; it is tried again, and lifted by the next trainer."""
    with open_saga(paths) as saga:
        scribe = Scribe()
        daemon = make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
        death = Death(pid=None, clean=False, cause="The trainer cannot be started: Input/output error", position=None)
        for _ in range(3):
            await daemon._on_death(death)
        assert [event.kind for event in saga.events_after(0)] == ["trainer_blocked"]
        assert (daemon.report.state, daemon.report.reason) == ("crashed", death.cause)
        await scribe.close()

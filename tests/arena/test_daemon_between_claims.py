"""What the daemon does while a quest is learned for days, and what it does not claim."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from arena.daemon import Daemon
from arena.start_check import read_setup
from core.http.events import EventHub
from core.paths import RealmPaths
from core.saga import open_saga
from core.scribe import Scribe
from realm import make_daemon
from tests.arena.quest_makers import take


@pytest_asyncio.fixture
async def daemon(paths: RealmPaths) -> AsyncIterator[Daemon]:
    scribe = Scribe()
    paths.config_file.write_text("gates: {level: quick}\n")
    with open_saga(paths) as saga:
        yield make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
    await scribe.close()


async def test_what_is_kept_by_a_setting_is_kept_from_that_moment_on(daemon: Daemon, paths: RealmPaths) -> None:
    """A24: settings were read at claims only; for three days, a checkpoint that `retention.keep` named could go."""
    paths.config_file.write_text("retention: {total_gigabytes: 7}\n")
    assert daemon.treasury.status()["limit_gb"] == 7
    paths.config_file.write_text("retention: {total_gigabytes: 8}\nbudgets: {failed_days: much}\n")
    await daemon._keep_house()
    (told,) = [event for event in daemon._saga.latest_events(9) if event.kind == "settings_invalid"]
    assert "failed_days" in told.message
    assert daemon.treasury.status()["limit_gb"] == 7


async def test_a_claim_for_a_trainer_that_has_died_meanwhile_is_sent_to_no_other(daemon: Daemon) -> None:
    """The next one has what its journal holds, and is asked for more once that is learned."""
    quest = take(daemon.board, "x.jsonl")
    await daemon._claims._claim_next()
    assert daemon._events.in_trainer == []
    daemon._supervisor.ready = True
    daemon._events.in_trainer = ["q_20261121_093000_00000000"]
    await daemon._claims._claim_next()
    assert daemon._events.in_trainer == ["q_20261121_093000_00000000"]
    daemon._events.in_trainer = []
    await daemon._claims._claim_next()
    assert daemon._events.in_trainer == [quest.quest_id]
    await daemon._claims.follow()
    running = daemon.board.processing()
    assert running is not None
    assert running.record.attempts == 1

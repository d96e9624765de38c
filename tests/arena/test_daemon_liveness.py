"""Which of the daemon's loops count as hung: those that do not come back from their work, and no others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from arena.command.battle_control import BattleControl
from arena.daemon import HUNG_SECONDS, Daemon
from arena.journal import JOURNAL_NAME
from arena.start_check import read_setup
from core.errors import Unavailable
from core.http.events import EventHub
from core.http.standard import health_fields
from core.paths import RealmPaths
from core.saga import Saga, open_saga
from core.scribe import Scribe
from core.tasks import TaskCrew
from realm import make_daemon
from tests.waiting import wait_until_async


@dataclass
class Alive:
    """A daemon whose loops run, without a trainer and without sites."""

    paths: RealmPaths
    crew: TaskCrew


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga


@pytest_asyncio.fixture
async def daemon(paths: RealmPaths, saga: Saga) -> AsyncIterator[Daemon]:
    BattleControl(paths.control).write("stop", "a test needs no trainer", now=datetime.now(UTC))
    scribe = Scribe()
    yield make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
    await scribe.close()


@pytest_asyncio.fixture
async def alive(paths: RealmPaths, daemon: Daemon) -> AsyncIterator[Alive]:
    crew = TaskCrew()
    await daemon.bring_in_order()
    await daemon.start(crew)
    yield Alive(paths, crew)
    await crew.stop(10)


async def test_a_stopped_realm_with_nothing_to_do_is_alive(alive: Alive) -> None:
    """B4: being idle, paused or stopped is no hanging, however long it lasts: each loop beats again or rests."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    # Each loop goes round within a few seconds, and is then due later than one that hung at the beginning.
    await wait_until_async(lambda: loop.time() > begun + 1 and alive.crew.overdue(begun + 1 + HUNG_SECONDS) == [])


async def test_loops_that_do_not_come_back_from_a_dead_disk_are_named(alive: Alive) -> None:
    """The event loop runs on, but every thread waits for a disk that is gone, as calls on a dead network share do."""
    loop = asyncio.get_running_loop()
    disk_is_back = threading.Event()
    begun = loop.time()
    calls = [loop.run_in_executor(None, disk_is_back.wait) for _ in range(64)]
    try:
        # Going round, each would have beaten within these seconds and be due later.
        await wait_until_async(lambda: loop.time() > begun + 4)
        assert {"control", "status"} <= set(alive.crew.overdue(begun + 1 + HUNG_SECONDS))
    finally:
        disk_is_back.set()
        await asyncio.gather(*calls)
    await wait_until_async(lambda: alive.crew.overdue(begun + 1 + HUNG_SECONDS) == [])


def test_a_realm_with_a_hung_loop_says_so_on_its_health_page() -> None:
    """B5: a health check must be able to be green, and to be red."""
    assert "status" not in health_fields("0.1.0", "idle", [])
    assert health_fields("0.1.0", "idle", ["control"])["status"] == "unhealthy"
    assert health_fields("0.1.0", "idle", ["control"])["hung"] == ["control"]


async def test_what_the_disk_does_not_let_read_is_told_and_ends_a_start_with_a_sentence(
    daemon: Daemon, paths: RealmPaths, saga: Saga
) -> None:
    """A28: neither tracebacks with every beat of the status, nor a bug report where the disk is to blame."""
    paths.lane("high").rmdir()
    paths.lane("high").touch()
    await daemon.crier.write()
    assert [event.kind for event in saga.latest_events(5)] == ["status_blocked"]
    paths.lane("high").unlink()
    (paths.current_model / JOURNAL_NAME).mkdir()
    with pytest.raises(Unavailable, match="cannot be brought in order"):
        await daemon.bring_in_order()

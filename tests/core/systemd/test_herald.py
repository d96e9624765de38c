"""What the service manager hears: the truth, and no sign of life from a process whose loops hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.systemd.herald import EXTENSION_SECONDS, SECONDS_BETWEEN_EXTENSIONS, Herald
from core.systemd.sd_notify import Notifier
from core.tasks import TaskCrew, beat, rest
from tests.service_manager import ServiceManager
from tests.waiting import wait_until, wait_until_async

WATCHDOG = 4.0


class Life:
    """What the herald is asked to tell."""

    headline = "starting"
    overdue: list[str]

    def __init__(self, manager: ServiceManager) -> None:
        self.overdue = []
        self.manager = manager
        self.notifier = Notifier(manager.address, WATCHDOG)
        self.herald = Herald(self.notifier, headline=lambda: self.headline, overdue=lambda now: self.overdue)

    def tick(self, now: float) -> None:
        self.manager.catch_up()
        self.herald.tick(now)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify") as manager:
        yield manager


@pytest.fixture
def life(manager: ServiceManager) -> Iterator[Life]:
    life = Life(manager)
    yield life
    life.notifier.close()


def heard(manager: ServiceManager, life: Life) -> list[dict[str, str]]:
    """All messages so far, without those heard before; a marker shows that nothing is under way."""
    wait_until(lambda: life.notifier.status("marker"))
    wait_until(lambda: manager.messages[-1:] == [{"STATUS": "marker"}])
    messages = list(manager.messages[:-1])
    manager.messages.clear()
    return messages


def test_it_is_fed_every_half_watchdog_and_the_status_is_told_when_it_changes(
    manager: ServiceManager, life: Life
) -> None:
    life.headline = "idle"
    life.herald.ready()
    for quarter in range(9):  # two watchdogs and a bit
        life.headline = "idle" if quarter < 4 else "training x.jsonl 40 %"
        life.tick(1000 + quarter)
    assert heard(manager, life) == [
        {"READY": "1", "STATUS": "idle"},
        {"WATCHDOG": "1"},
        {"WATCHDOG": "1"},
        {"STATUS": "training x.jsonl 40 %"},
        {"WATCHDOG": "1"},
        {"WATCHDOG": "1"},
        {"WATCHDOG": "1"},
    ]


def test_a_hung_loop_is_named_and_nothing_is_fed_until_it_comes_back(
    manager: ServiceManager, life: Life, caplog: pytest.LogCaptureFixture
) -> None:
    life.headline = "idle"
    life.herald.ready()
    life.tick(1000)
    heard(manager, life)
    life.overdue = ["control"]
    for second in range(1, 60):
        life.tick(1000 + second)
    assert heard(manager, life) == [{"STATUS": "hung: control"}]
    assert [record.__dict__["tasks"] for record in caplog.records] == [["control"]]
    life.overdue = []
    life.tick(1060)
    assert heard(manager, life) == [{"STATUS": "idle"}, {"WATCHDOG": "1"}]


def test_more_time_is_asked_for_while_it_starts_and_while_it_saves(manager: ServiceManager, life: Life) -> None:
    more = {"EXTEND_TIMEOUT_USEC": str(int(EXTENSION_SECONDS * 1e6))}
    assert EXTENSION_SECONDS > 2 * SECONDS_BETWEEN_EXTENSIONS
    for second in range(int(SECONDS_BETWEEN_EXTENSIONS) + 1):
        life.tick(1000 + second)
    assert [message for message in heard(manager, life) if message == more] == [more, more]
    life.herald.ready()
    for second in range(100):
        life.tick(1100 + second)
    assert more not in heard(manager, life)
    life.herald.stopping("signal SIGTERM")
    life.overdue = ["claims"]  # it was cancelled; that is no hanging
    life.headline = "stopping x.jsonl 40 %: signal SIGTERM"
    for second in range(21):
        life.tick(1200 + second)
    told = heard(manager, life)
    assert told[0] == {"STOPPING": "1", "STATUS": "stopping: signal SIGTERM"}
    assert told.count(more) == 3
    assert {"STATUS": life.headline} in told
    assert {"WATCHDOG": "1"} in told


def test_what_a_busy_manager_does_not_take_is_said_again(tmp_path: Path) -> None:
    """Ten messages wait in the kernel; a READY that got lost makes the manager end a service that runs well."""
    with ServiceManager(tmp_path / "busy") as manager:
        life = Life(manager)
        with manager.asleep():
            while life.notifier.status("noise"):
                pass
            life.headline = "idle"
            life.herald.ready()
            life.herald.tick(1000)
        life.tick(1001)
        assert [message for message in heard(manager, life) if message != {"STATUS": "noise"}] == [
            {"READY": "1", "STATUS": "idle"},
            {"WATCHDOG": "1"},
        ]
        with manager.asleep():
            while life.notifier.status("noise"):
                pass
            life.herald.stopping("Ctrl-C")
        life.tick(1002)
        assert {"STOPPING": "1", "STATUS": "stopping: Ctrl-C"} in heard(manager, life)
        life.notifier.close()


async def test_a_resting_crew_is_alive_and_one_with_a_loop_that_does_not_come_back_is_not(tmp_path: Path) -> None:
    """B4: a watchdog restarted idle and paused daemons; here only a loop that hangs in its work counts as dead."""
    crew = TaskCrew(first_delay=0.01)
    dead_disk = asyncio.Event()
    stuck = asyncio.Event()

    async def idle() -> None:
        beat(0.01)
        rest()
        await asyncio.Event().wait()

    async def control() -> None:
        beat(0.05)
        stuck.set()
        await dead_disk.wait()
        rest()
        await asyncio.Event().wait()

    crew.start("claims", idle)
    await wait_until_async(lambda: crew.names() == ["claims"])
    far_ahead = time.monotonic() + 10_000
    with ServiceManager(tmp_path / "crew") as manager:
        notifier = Notifier(manager.address, 0.04)
        herald = Herald(notifier, headline=lambda: "idle", overdue=crew.overdue)
        herald.ready()
        crew.start("herald", herald.run)
        await wait_until_async(lambda: len(manager.told("WATCHDOG")) > 3)
        assert crew.overdue(far_ahead) == []
        crew.start("control", control)
        await stuck.wait()
        await wait_until_async(lambda: manager.status == "hung: control")
        fed = len(manager.told("WATCHDOG"))
        assert crew.overdue(time.monotonic()) == ["control"]
        herald.tick(far_ahead)
        assert len(manager.told("WATCHDOG")) == fed
        dead_disk.set()
        await wait_until_async(lambda: manager.status == "idle")
        await wait_until_async(lambda: len(manager.told("WATCHDOG")) > fed)
        await crew.stop(5)
        notifier.close()

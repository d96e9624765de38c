"""Supervised tasks: none dies in silence, and the end comes in stages within time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
import pytest_asyncio

from core.tasks import StagedStop, TaskCrew, TaskEnded, comes_within
from tests.waiting import wait_until_async


@pytest_asyncio.fixture
async def crew() -> AsyncIterator[TaskCrew]:
    crew = TaskCrew(first_delay=0.01, longest_delay=0.04)
    yield crew
    await crew.stop(1)


def events_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.__dict__["event"], record.__dict__.get("task", "")) for record in caplog.records]


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_failing_task_is_logged_by_name_and_started_again(
    crew: TaskCrew, caplog: pytest.LogCaptureFixture
) -> None:
    """B30: one unexpected exception ended the daemon's loop."""
    starts = 0

    async def flaky() -> None:
        nonlocal starts
        starts += 1
        if starts < 3:
            raise ValueError("not yet")
        await for_ever()

    crew.start("inbox watch", flaky)
    await wait_until_async(lambda: starts == 3)
    assert events_of(caplog) == [("task_failed", "inbox watch")] * 2
    assert "not yet" in caplog.text
    assert caplog.records[0].exc_info
    assert crew.names() == ["inbox watch"]


async def test_a_task_that_ends_when_it_should_go_on_is_a_failure_too(
    crew: TaskCrew, caplog: pytest.LogCaptureFixture
) -> None:
    starts = 0

    async def ends() -> None:
        nonlocal starts
        starts += 1
        if starts > 1:
            await for_ever()

    crew.start("scan", ends)
    await wait_until_async(lambda: starts == 2)
    assert events_of(caplog) == [("task_failed", "scan")]


async def test_the_pause_before_a_restart_doubles_up_to_its_limit() -> None:
    """A permanent error must not burn a core."""
    loop = asyncio.get_running_loop()
    starts: list[float] = []

    async def fails() -> None:
        starts.append(loop.time())
        raise OSError("disk")

    crew = TaskCrew(first_delay=0.02, longest_delay=0.08)
    crew.start("scan", fails)
    await wait_until_async(lambda: len(starts) >= 6)
    await crew.stop(1)
    pauses = [later - earlier for earlier, later in pairwise(starts)]
    for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.08), strict=False):
        assert pause >= least * 0.95


async def test_a_healthy_stretch_brings_the_pause_back_to_the_first() -> None:
    loop = asyncio.get_running_loop()
    starts: list[float] = []
    ends: list[float] = []

    async def lives_a_little() -> None:
        starts.append(loop.time())
        await asyncio.sleep(0.02)
        ends.append(loop.time())
        raise OSError("disk")

    crew = TaskCrew(first_delay=0.01, longest_delay=100, healthy_after=0.01)
    crew.start("scan", lives_a_little)
    await wait_until_async(lambda: len(starts) >= 12, timeout=20, message="the pause grew although it was healthy")
    await crew.stop(1)


async def test_a_cancellation_that_leaks_from_within_does_not_end_a_task_in_silence(
    crew: TaskCrew, caplog: pytest.LogCaptureFixture
) -> None:
    starts = 0

    async def leaks() -> None:
        nonlocal starts
        starts += 1
        if starts > 1:
            await for_ever()
        inner = asyncio.create_task(for_ever())
        inner.cancel()
        await inner

    crew.start("events", leaks)
    await wait_until_async(lambda: starts == 2)
    assert events_of(caplog) == [("task_failed", "events")]


async def test_stop_cancels_the_latest_first_and_waits_for_their_tidying(
    crew: TaskCrew, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []
    running = 0

    def worker(name: str) -> None:
        async def work() -> None:
            nonlocal running
            running += 1
            try:
                await for_ever()
            finally:
                await asyncio.sleep(0)
                order.append(name)

        crew.start(name, work)

    for name in ("first", "second", "third"):
        worker(name)
    await wait_until_async(lambda: running == 3)
    assert await crew.stop(5) == []
    assert order == ["third", "second", "first"]
    assert crew.names() == []
    assert events_of(caplog) == []


async def test_a_task_that_swallows_its_cancellation_is_not_started_again(crew: TaskCrew) -> None:
    starts = 0

    async def swallows() -> None:
        nonlocal starts
        starts += 1
        try:
            await for_ever()
        except asyncio.CancelledError:
            return

    crew.start("stubborn", swallows)
    await wait_until_async(lambda: starts == 1)
    assert await crew.stop(5) == []
    assert starts == 1


async def test_who_is_stuck_is_named_and_the_stop_goes_on_within_its_budget(
    crew: TaskCrew, caplog: pytest.LogCaptureFixture
) -> None:
    """B13: a stop that waits for work to drain ends in SIGKILL."""
    let_go = asyncio.Event()
    running = asyncio.Event()

    async def stuck() -> None:
        running.set()
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    task = crew.start("stuck one", stuck)
    crew.start("good one", for_ever)
    await running.wait()
    begun = asyncio.get_running_loop().time()
    assert await crew.stop(0.1) == ["stuck one"]
    assert asyncio.get_running_loop().time() - begun < 30
    assert events_of(caplog) == [("task_stuck", "stuck one")]
    let_go.set()
    await asyncio.wait({task}, timeout=5)


async def test_a_name_runs_once_and_nothing_starts_after_stop(crew: TaskCrew) -> None:
    crew.start("scan", for_ever)
    with pytest.raises(RuntimeError, match="'scan' cannot be started: it runs"):
        crew.start("scan", for_ever)
    await crew.stop(5)
    with pytest.raises(RuntimeError, match="stops"):
        crew.start("late", for_ever)


async def test_an_error_while_stopping_is_logged_and_not_restarted(
    crew: TaskCrew, caplog: pytest.LogCaptureFixture
) -> None:
    running = asyncio.Event()

    async def bad_ending() -> None:
        running.set()
        try:
            await for_ever()
        finally:
            raise OSError("could not tidy up")

    crew.start("untidy", bad_ending)
    await running.wait()
    assert await crew.stop(5) == []
    assert events_of(caplog) == [("task_failed", "untidy")]


def test_the_error_of_an_ended_task_is_an_exception_people_can_read() -> None:
    assert "ended" in str(TaskEnded("task x ended"))


# --- staged stop ----------------------------------------------------------------------------------------------


async def test_stages_run_in_order_and_neither_failure_nor_slowness_stops_the_later_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B22: services were ended while training still saved."""
    order: list[str] = []

    async def trainer() -> None:
        order.append("trainer")
        raise OSError("save failed")

    async def sites() -> None:
        order.append("sites")
        await for_ever()

    async def database() -> None:
        order.append("database")

    stop = StagedStop([("trainer", trainer, 5), ("sites", sites, 0.05), ("database", database, 5)])
    assert await stop.run() == ["trainer", "sites"]
    assert order == ["trainer", "sites", "database"]
    assert [(r.__dict__["event"], r.__dict__["stage"]) for r in caplog.records] == [
        ("stop_stage_failed", "trainer"),
        ("stop_stage_stuck", "sites"),
    ]


async def test_a_stage_that_refuses_to_be_cancelled_is_left_behind() -> None:
    let_go = asyncio.Event()

    async def stuck() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    reached: list[str] = []

    async def last() -> None:
        reached.append("last")

    stop = StagedStop([("stuck", stuck, 0.05), ("last", last, 1)])
    assert await asyncio.wait_for(stop.run(), 30) == ["stuck"]
    assert reached == ["last"]
    let_go.set()


async def test_a_second_stop_joins_the_first_and_a_cancelled_waiter_does_not_cut_it_short() -> None:
    runs = 0
    go_on = asyncio.Event()

    async def stage() -> None:
        nonlocal runs
        runs += 1
        await go_on.wait()

    stop = StagedStop([("only", stage, 5)])
    first = asyncio.create_task(stop.run())
    await wait_until_async(lambda: runs == 1)
    first.cancel()
    second = asyncio.create_task(stop.run())
    go_on.set()
    assert await second == []
    assert runs == 1
    await asyncio.wait({first})
    assert first.cancelled()


async def test_a_wait_that_is_cancelled_in_the_moment_of_its_event_ends() -> None:
    """B3: a loop that was told to end just as its news came went on for ever, and the stop waited for it in vain."""
    event = asyncio.Event()
    waiting = asyncio.create_task(comes_within(60, event))
    await asyncio.sleep(0)
    event.set()
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()


async def test_a_wait_tells_whether_its_event_came() -> None:
    event = asyncio.Event()
    assert await comes_within(0.0, event) is False
    event.set()
    assert await comes_within(0.0, event) is True
    assert await comes_within(None, event) is True

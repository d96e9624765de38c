"""Signs of life of the loops in a task crew, and the interval at which they go round."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest_asyncio

from core.tasks import TaskCrew, beat, every, rest
from tests.waiting import wait_until_async

FAR = 1e9


@pytest_asyncio.fixture
async def crew() -> AsyncIterator[TaskCrew]:
    crew = TaskCrew(first_delay=30.0)
    yield crew
    await crew.stop(1)


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_task_is_overdue_once_its_beat_is_late_and_not_before(crew: TaskCrew) -> None:
    begun = now()

    async def work() -> None:
        beat(5.0)
        await asyncio.Event().wait()

    crew.start("scan", work)
    await wait_until_async(lambda: crew.overdue(FAR) == ["scan"])
    assert crew.overdue(begun + 4.9) == []
    assert crew.overdue(now() + 5.1) == ["scan"]


async def test_each_task_has_a_deadline_of_its_own(crew: TaskCrew) -> None:
    async def hangs() -> None:
        beat(1.0)
        await asyncio.Event().wait()

    async def rests() -> None:
        beat(1.0)
        rest()
        await asyncio.Event().wait()

    async def silent() -> None:
        await asyncio.Event().wait()

    for name, work in (("hangs", hangs), ("rests", rests), ("silent", silent)):
        crew.start(name, work)
    await wait_until_async(lambda: crew.overdue(FAR) == ["hangs"])


async def test_a_task_that_failed_and_waits_for_its_next_start_does_not_hang(crew: TaskCrew) -> None:
    failed = asyncio.Event()

    async def fails() -> None:
        beat(0.001)
        failed.set()
        raise OSError("the disk is gone")

    crew.start("scan", fails)
    await failed.wait()
    await wait_until_async(lambda: crew.overdue(FAR) == [])
    assert crew.names() == ["scan"]


def test_a_beat_outside_of_a_crew_says_nothing() -> None:
    async def alone() -> None:
        beat(1.0)
        rest()

    asyncio.run(alone())


async def test_the_time_that_work_takes_is_part_of_the_interval() -> None:
    """B29: the loop's interval ignored the time its work took, so that a slow round delayed all later ones."""
    begins: list[float] = []

    async def work() -> None:
        begins.append(now())
        await asyncio.sleep(0.1)

    task = asyncio.create_task(every(0.2, work, within=1.0))
    # On a busy machine many intervals are longer; were the work added to them, none would ever be below 0.3 s.
    await wait_until_async(lambda: any(later - earlier < 0.28 for earlier, later in pairwise(begins)))
    task.cancel()


async def test_the_interval_may_change_from_round_to_round() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1

    task = asyncio.create_task(every(lambda: 0.001 if rounds < 5 else 1000.0, work, within=1.0))
    await wait_until_async(lambda: rounds == 5)
    begun = now()
    await wait_until_async(lambda: now() > begun + 0.1)
    assert rounds == 5
    task.cancel()


async def test_work_that_is_always_late_leaves_room_for_others() -> None:
    """B29: without a pause, a round that takes longer than its interval keeps the loop busy for ever."""
    rounds = 0
    others = 0

    async def late() -> None:
        nonlocal rounds
        rounds += 1

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(every(0.0001, late, within=1.0)), asyncio.create_task(other())]
    await wait_until_async(lambda: rounds > 20 and others > 20)
    for task in tasks:
        task.cancel()


async def test_a_round_counts_as_hung_only_while_it_works(crew: TaskCrew) -> None:
    at_work = asyncio.Event()
    go_on = asyncio.Event()

    async def work() -> None:
        at_work.set()
        await go_on.wait()

    async def loop() -> None:
        await every(1000.0, work, within=5.0)

    crew.start("housekeeping", loop)
    await at_work.wait()
    assert crew.overdue(now() + 6) == ["housekeeping"]
    go_on.set()
    await wait_until_async(lambda: crew.overdue(FAR) == [])

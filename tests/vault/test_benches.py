"""The vault's own threads: long work takes none of those that the process lives on, and nobody waits for their end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest

from core.errors import Conflict, Unavailable
from core.own_threads import OwnThreads
from core.paths import CHECKOUT

HANGS = """
import asyncio, threading
from vault.benches import Benches

async def main():
    asyncio.ensure_future(Benches().hauls.run(threading.Event().wait))
    await asyncio.sleep(0)
    print("the realm is down")

asyncio.run(main())
"""


async def test_a_bench_that_is_full_says_when_to_ask_again_and_the_rest_of_the_process_goes_on() -> None:
    """Six requests to a NAS that was off kept the daemon from booking what its trainer said."""
    bench, end = OwnThreads("errands", 2, waiting=1), threading.Event()
    tasks = [asyncio.create_task(bench.run(end.wait, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="2 errands run already") as full:
        await bench.run(end.is_set)
    assert full.value.details["retry_after_seconds"] > 0
    assert await asyncio.to_thread(lambda: "booked") == "booked"
    end.set()
    assert await asyncio.gather(*tasks) == [True] * 3
    assert await bench.run(end.is_set)


async def test_what_the_work_raises_is_raised_where_it_was_asked_for() -> None:
    def refuse() -> None:
        raise Conflict("taken")

    with pytest.raises(Conflict, match="taken"):
        await OwnThreads("errands", 1).run(refuse)


async def test_who_hears_that_it_is_done_may_ask_for_the_next_at_once() -> None:
    threads = OwnThreads("errands", 1)
    assert [await threads.run(int, "7") for _ in range(300)] == [7] * 300


def test_a_thread_that_has_nothing_to_do_takes_the_next_work() -> None:
    threads = OwnThreads("pieces", 4)
    names = {threads.start(lambda: threading.current_thread().ident).result(10) for _ in range(20)}
    assert len(names) <= 2


def test_all_of_many_pieces_are_done_whoever_comes_when() -> None:
    threads, done = OwnThreads("pieces", 3, waiting=1000), []
    futures: list[Future[None]] = [threads.start(lambda number=number: done.append(number)) for number in range(500)]
    for future in futures:
        future.result(10)
    assert sorted(done) == list(range(500))


def test_a_process_ends_while_a_share_hangs() -> None:
    """`realm down` was over, and the process went on for hours."""
    done = subprocess.run(
        [sys.executable, "-c", HANGS], cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "the realm is down\n"), done.stderr

"""Long work has threads of its own: so many and no more, and no process waits for them at its end."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from core.errors import Conflict
from core.own_threads import OwnThreads
from core.paths import CHECKOUT
from tests.waiting import wait_until

ENDING = """
import asyncio, threading
from core.own_threads import OwnThreads

async def main():
    OwnThreads("transfers", 1).start(lambda: threading.Event().wait())

asyncio.run(main())
"""


async def test_so_much_runs_at_once_and_what_is_too_much_is_refused() -> None:
    let_go = threading.Event()
    threads = OwnThreads("transfers", 2, waiting=1, refusal=Conflict)
    under_way = [threads.start(lambda: let_go.wait(20)) for _ in range(3)]
    wait_until(lambda: sum(each.running() for each in under_way) == 2)
    with pytest.raises(Conflict, match="2 transfers run already"):
        await threads.run(int)
    let_go.set()
    assert [each.result(20) for each in under_way] == [True] * 3
    with pytest.raises(ZeroDivisionError):
        await threads.run(divmod, 1, 0)
    assert await threads.run(divmod, 7, 2) == (3, 1)


def test_a_process_ends_while_something_is_still_under_way() -> None:
    """`realm down` was over, and the process went on for hours with a transfer."""
    subprocess.run([sys.executable, "-c", ENDING], cwd=CHECKOUT, timeout=20, check=True)

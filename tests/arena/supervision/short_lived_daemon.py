"""Starts a puppet, forks a process that inherits the socket to it, and waits to be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from arena.protocol import State
from arena.supervision.trainer_process import TrainerProcess
from core.paths import RealmPaths
from tests.arena.supervision.puppet import PLOT
from tests.arena.supervision.test_child_endings import BEGIN


async def main(paths: RealmPaths) -> None:
    process = TrainerProcess(paths, module="tests.arena.supervision.puppet")
    await process.start(BEGIN, environment={PLOT: "fight"})
    while await process.next_event() != State(state="in place"):
        pass
    heir = os.fork()
    if heir == 0:
        os.close(1)
        signal.pause()
    sys.stdout.write(f"{process.pid} {heir}\n")
    sys.stdout.flush()
    await process.wait()


if __name__ == "__main__":
    asyncio.run(main(RealmPaths(Path(sys.argv[1]))))

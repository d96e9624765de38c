"""The sites of a whole realm on real ports, in a thread of their own, for tests that ask them from outside.

Everything is composed as `realm up` does it, with checkpoints, quests and a battle that is being reported; only the
loops and the trainer do not run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from arena.daemon import Daemon
from arena.protocol import Claimed, Progress, Ready, StepPoint
from core.http.site import Site
from docs.make_reference import idle_realm
from tests.arena.quest_makers import take
from tests.vault.making import publish
from tests.waiting import wait_until
from vault.checkpoints import CheckpointStore


@contextmanager
def served_realm(folder: Path) -> Iterator[list[Site]]:
    """The open sites, for as long as the `with` lasts."""
    served: list[Site] = []
    up, down = threading.Event(), threading.Event()

    async def serve() -> None:
        with idle_realm(folder) as (daemon, sites):
            await furnish(daemon)
            try:
                for site in sites:
                    await site.start()
                served.extend(sites)
                up.set()
                await asyncio.to_thread(down.wait)
            finally:
                for site in sites:
                    await site.stop()

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="served realm") as pool:
        life = pool.submit(lambda: asyncio.run(serve()))
        try:
            wait_until(lambda: up.is_set() or life.done(), message="the sites are not open")
            if life.done():
                life.result()
            yield served
        finally:
            down.set()
        life.result(30)


async def furnish(daemon: Daemon) -> None:
    """Two checkpoints, quests in three lanes, and a battle under way."""
    store = CheckpointStore(daemon.paths.current_model)
    publish(store, "checkpoint-1000-20261121-0900", train_loss=0.5, skill_name="bin", accuracy=0.2)
    publish(store, "checkpoint-2000-20261121-0930", train_loss=0.25, quest_id="q_20261121_093000_5f2c1ab7", ordinal=3)
    for name, priority in (("first.jsonl", "high"), ("second.jsonl", "normal"), ("third.jsonl", "low")):
        take(daemon.board, name, priority)
    fallen = take(daemon.board, "fallen.jsonl")
    now = datetime.now(UTC)
    daemon.board.fail(fallen.quest_id, outcome="withdrawn", reason="three strikes", now=now)
    running = daemon.board.claim(take(daemon.board, "running.jsonl"))
    report_battle(daemon, running.quest_id, now)
    await daemon.crier.write()


def report_battle(daemon: Daemon, quest_id: str, now: datetime) -> None:
    """What a trainer says in the middle of a quest of 80 rows."""
    report = daemon.report
    latest = "checkpoint-2000-20261121-0930"
    report.note_ready(Ready(step=2000, checkpoint=latest, parameters=623104, device="cpu", replay=[], covered=[]))
    claimed = Claimed(quest_id=quest_id, ordinal=4, rows=80, epochs=1, steps=10, first_step=2000)
    report.note_claimed(claimed, "running.jsonl", now)
    report.enter("training", now)
    points = [
        StepPoint(step=2001, loss=0.4, learning_rate=0.002, grad_norm=1.0, tokens=512, seconds=0.1),
        StepPoint(step=2002, loss=None, learning_rate=0.002, grad_norm=None, tokens=512, seconds=0.1),
    ]
    report.note_progress(
        Progress(step=2002, quest_id=quest_id, epoch=0, quest_step=2, quest_steps=10, rows_learned=16, rows_total=80,
                 replaying=False, points=points)
    )  # fmt: skip

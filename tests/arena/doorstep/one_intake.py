"""The intake of one realm in a process of its own, to be killed: `python -m tests.arena.doorstep.one_intake BASE`.

Does what the daemon does at its start, and ends by itself once the inbox has been empty for a moment.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.doorstep.inbox import Inbox
from arena.doorstep.intake import Intake
from arena.quest_board import QuestBoard
from core.db import Database
from core.files import DISK, Files
from core.paths import RealmPaths
from core.saga import Saga
from core.scribe import Scribe
from core.settings import BudgetSettings
from tests.waiting import wait_until_async

MIGRATIONS = Path("core/migrations")


@asynccontextmanager
async def running_intake(
    paths: RealmPaths,
    *,
    files: Files = DISK,
    settle_seconds: float = 0.0,
    incomplete_seconds: float = 60.0,
    inbox: Inbox | None = None,
    **options: Any,
) -> AsyncIterator[Intake]:
    """Sweep the lanes, then take in what lies in the inbox until the context is left; `options` are the intake's."""
    paths.create()
    board = QuestBoard(paths, files)
    board.sweep(now=datetime.now(UTC))
    scribe = Scribe()
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        wanted = {"scan_seconds": 0.05, "on_admitted": lambda: None, "retry_seconds": 0.05, **options}
        inbox = inbox or Inbox(paths.inbox, settle_seconds, incomplete_seconds)
        saga = Saga(database, BudgetSettings())
        intake = Intake(inbox, board, scribe, saga, files=files, **wanted)
        task = asyncio.create_task(intake.run())
        try:
            yield intake
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await scribe.close()


async def take_everything(paths: RealmPaths, *, incomplete_seconds: float = 60.0) -> None:
    """Run an intake until no data file lies in the inbox."""
    async with running_intake(paths, incomplete_seconds=incomplete_seconds):
        await wait_until_async(lambda: not any(path.is_file() for path in paths.inbox.rglob("*")), timeout=30)


if __name__ == "__main__":
    asyncio.run(take_everything(RealmPaths(Path(sys.argv[1]))))

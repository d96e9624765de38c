"""News of a disk that refuses: each event is told once, by whoever comes first."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from datetime import datetime
from typing import Any

from arena.blockade import LateNews
from core.db import Database
from core.paths import RealmPaths
from core.saga import MIGRATIONS, Event, Saga
from core.settings import BudgetSettings


class SlowSaga(Saga):
    """On a disk that takes its time."""

    def append(self, kind: str, message: str, *, now: datetime, data: dict[str, Any] | None = None) -> Event:
        threading.Event().wait(0.05)
        return super().append(kind, message, now=now, data=data)


async def test_two_that_tell_at_once_tell_everything_once(paths: RealmPaths) -> None:
    """The trainer's task and housekeeping both told the first event, and the second of them failed."""
    with closing(Database(paths.saga_db, MIGRATIONS)) as database:
        saga = SlowSaga(database, BudgetSettings())
        news = LateNews(saga, kept=2)
        await asyncio.gather(news.tell("a", "first"), news.tell("b", "second"), news.catch_up())
        assert [event.kind for event in saga.events_after(0)] == ["a", "b"]

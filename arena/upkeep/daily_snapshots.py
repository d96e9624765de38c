"""Has the snapshot of each day taken once its time has passed, by a scribe of its own.

Hashing a large checkpoint takes minutes; quests that are dropped meanwhile must not wait for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from arena.blockade import Blockade
from core.errors import RealmError
from core.paths import RealmPaths
from core.saga import News, Saga
from core.scribe import Scribe
from core.settings import RetentionSettings
from core.tasks import beat, rest
from vault.snapshots import check_snapshot, due_day

LOOK_SECONDS = 60.0
HUNG_SECONDS = 60.0
"""A look at a few small files is late after so long; the scribe's work is waited for however long it takes."""
LONGEST_SECONDS = 4 * 3600.0
"""For hundreds of gigabytes on a slow disk."""
RETRY = timedelta(hours=1)
"""A snapshot that failed is not tried again before: gigabytes may have to be hashed each time."""


class DailySnapshots:
    """Knows which snapshot is due in one realm, and whether it is there."""

    def __init__(self, paths: RealmPaths, saga: Saga, settings: Callable[[], RetentionSettings]) -> None:
        self._paths = paths
        self._saga = saga
        self._settings = settings
        self._trouble = Blockade(saga, "snapshot")
        self._failed_at: datetime | None = None

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold snapshots up."""
        return [self._trouble]

    async def run(self) -> None:
        """Look every minute, for the first time a minute after the start, which has other work."""
        while True:
            rest()
            await asyncio.sleep(LOOK_SECONDS)
            beat(HUNG_SECONDS)
            await self.look(now=datetime.now(UTC))

    async def look(self, *, now: datetime) -> None:
        """Take the snapshot that is due, unless a whole one is there."""
        settings = self._settings()
        # Either way: after a clock was set back, an hour is not a year.
        waits = self._failed_at is not None and abs(now - self._failed_at) < RETRY
        if not settings.snapshots or waits:
            return
        day = due_day(now, settings.snapshot_time)
        folder = self._paths.snapshots / day.isoformat()
        try:
            if folder.is_dir() and not await asyncio.to_thread(check_snapshot, folder, deep=False):
                return
            if not (self._paths.current_model / "HEAD").exists():
                return
            taken = await self._take(day.isoformat(), now)
        except (OSError, RealmError) as error:
            self._failed_at = now
            await self._trouble.raise_up(f"The snapshot of {day} cannot be taken: {error}")
            return
        self._failed_at = None
        await self._trouble.lift("Snapshots are taken again")
        if taken is not None:
            message = f"The snapshot of {day} holds {taken['checkpoint']}"
            await asyncio.to_thread(self._saga.tell, [News("snapshot_taken", message, taken)], now=now)

    async def _take(self, day: str, now: datetime) -> dict[str, object] | None:
        scribe = Scribe()
        rest()
        try:
            told = {"base": str(self._paths.base), "day": day, "now": now.isoformat()}
            taken: dict[str, object] | None = await scribe.run("vault.snapshots:take_daily", told, LONGEST_SECONDS)
            return taken
        finally:
            await scribe.close()

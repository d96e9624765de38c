"""A disk that refuses is told once, and once more when it gives way: not with every try in between."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from core.errors import RealmError
from core.saga import Saga

logger = logging.getLogger(__name__)


class LateNews:
    """Events for a saga that may lie on the disk they tell of: told now, else as soon as it can be written."""

    def __init__(self, saga: Saga, kept: int) -> None:
        """The newest `kept` events wait; older ones stand in the log only."""
        self._saga = saga
        self._kept = kept
        self._untold: list[tuple[str, str, dict[str, Any] | None, datetime]] = []
        self._telling = asyncio.Lock()

    async def tell(self, kind: str, message: str, data: dict[str, Any] | None = None) -> None:
        self._untold.append((kind, message, data, datetime.now(UTC)))
        await self.catch_up()

    async def catch_up(self) -> None:
        """Tell what waits, if anything."""
        async with self._telling:  # two at once told an event twice
            if not self._untold:
                return
            try:
                await asyncio.to_thread(self._tell_all)
            except RealmError as error:
                kind = self._untold[0][0]
                logger.warning("event %s is not in the saga yet: %s", kind, error, extra={"event": "saga_failed"})
                del self._untold[: -self._kept]

    def _tell_all(self) -> None:
        while self._untold:
            kind, message, data, at = self._untold[0]
            self._saga.append(kind, message, now=at, data=data)
            del self._untold[0]


class Blockade:
    """One kind of work that may come to a halt. Told in the log, and in the saga as soon as that can be written."""

    def __init__(self, saga: Saga, kind: str) -> None:
        """`kind` names the events: `{kind}_blocked` and `{kind}_goes_on`."""
        # Of a disk that is full again and again, the last two turns will do.
        self._news = LateNews(saga, kept=2)
        self.kind = kind
        self.message: str | None = None
        """Why the work halts; None while it goes on."""
        self.since: datetime | None = None
        """Since when it does."""

    @property
    def is_up(self) -> bool:
        return self.message is not None

    async def raise_up(self, message: str) -> None:
        """The work halts; nothing is said when it was halted before."""
        if not self.is_up:
            self.message, self.since = message, datetime.now(UTC)
            logger.warning("%s", message, extra={"event": f"{self.kind}_blocked"})
            await self._news.tell(f"{self.kind}_blocked", message)

    async def lift(self, message: str) -> None:
        """The work goes on; nothing is said when it was not halted."""
        if self.is_up:
            self.message = self.since = None
            logger.info("%s", message, extra={"event": f"{self.kind}_goes_on"})
            await self._news.tell(f"{self.kind}_goes_on", message)

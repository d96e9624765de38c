"""Keeps one trainer child alive while training is wanted: start, listen, explain its death, pause, start again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from arena.protocol import Begin, Command, Event, Ready, Stop
from arena.supervision.heartbeat_watch import HeartbeatWatch
from arena.supervision.trainer_process import Death, TrainerProcess
from core.errors import RealmError, Unavailable
from core.paths import RealmPaths
from core.tasks import beat, rest

logger = logging.getLogger(__name__)

LEAST_BACKOFF_SECONDS = 0.5
"""Before the second start in a row that brought nothing new, also where the first pause is set to 0."""
LONGEST_BACKOFF_SECONDS = 60.0
MOURNING_SECONDS = 60.0
"""For what follows from the end of a child."""
HUNG_SECONDS = 600.0
"""Handling one event may delete an old checkpoint; what takes longer than this hangs."""


class TrainerSupervisor:
    """One child at a time. `run()` is the task; everything else may be called from the same loop."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        begin: Callable[[], Awaitable[Begin]],
        on_event: Callable[[Event], Awaitable[None]],
        on_death: Callable[[Death], Awaitable[None]],
        backoff_seconds: float,
        log_megabytes: int,
        hung_seconds: float,
    ) -> None:
        self._paths = paths
        self._begin = begin
        self._on_event = on_event
        self._on_death = on_death
        self._first_backoff = backoff_seconds
        self._log_megabytes = log_megabytes
        self._watch = HeartbeatWatch(hung_seconds)
        self._wanted = asyncio.Event()
        self._wanted.set()
        self._process: TrainerProcess | None = None
        self._gone = asyncio.Event()
        self._gone.set()
        self._mourned = asyncio.Event()
        self._mourned.set()
        """Whether all has been done that follows from the end of the last child."""
        self._free = asyncio.Event()
        self._free.set()
        """Unset while somebody else works on the model."""
        self._furthest = (0, 0)
        self._backoff = backoff_seconds
        self._dismissed = False
        self.next_start_at: datetime | None = None
        """While a pause is made before the next start."""
        self.ready = False
        """True while a child has its model loaded."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def wanted(self) -> bool:
        return self._wanted.is_set()

    def want(self) -> None:
        """Start a child when there is none."""
        self._wanted.set()

    def forget_progress(self) -> None:
        """The history was turned: how far a child came before tells nothing of the next one."""
        self._furthest, self._backoff = (0, 0), self._first_backoff

    async def send(self, command: Command) -> None:
        if self._process is not None:
            await self._process.send(command)

    async def retire(self, reason: str) -> None:
        """Ask the child to save and exit, and start no other."""
        self._wanted.clear()
        await self.send(Stop(reason=reason))

    async def stop(self, reason: str, grace_seconds: float) -> None:
        """`retire`, and wait; after `grace_seconds` the child is killed, which costs time but no training."""
        await self.retire(reason)
        if self._process is not None and not self.ready:
            # It is still loading and holds nothing that could be lost.
            self._dismissed = True
            await self._process.end(grace_seconds=5.0)
        try:
            await asyncio.wait_for(self._gone.wait(), grace_seconds)
        except TimeoutError:
            if self._process is not None:
                await self._process.end(grace_seconds=5.0)

    @asynccontextmanager
    async def standing_down(self, reason: str, grace_seconds: float) -> AsyncIterator[None]:
        """Until the end of the block, no child works on the model: the last one has saved and is gone, and no other
        starts. Then all is as it was, or as it was wished meanwhile. Raises `Unavailable` where a child does not end.
        """
        was_wanted = self.wanted
        self._free.clear()
        try:
            await self.stop(reason, grace_seconds)
            try:
                await asyncio.wait_for(self._mourned.wait(), MOURNING_SECONDS)
            except TimeoutError as error:
                raise Unavailable("The trainer does not end.", hint="Try again when training goes on.") from error
            yield
        finally:
            self._dismissed = False
            self._free.set()
            if was_wanted:
                self._wanted.set()

    async def run(self) -> None:
        """The supervising task; never returns."""
        while True:
            rest()
            await self._wanted.wait()
            await self._free.wait()
            if not self._wanted.is_set():
                continue
            death = await self._one_life()
            rest()
            if not death.clean and not death.interrupted:
                await self._rest(death)

    async def _one_life(self) -> Death:
        beat(HUNG_SECONDS)
        self._gone.clear()
        self._mourned.clear()
        process = TrainerProcess(self._paths, log_megabytes=self._log_megabytes, watch=self._watch)
        self._process = process
        try:
            death = await self._start_and_hear(process)
            if self._dismissed:
                death = replace(death, clean=True, cause="it was sent away while it was still loading")
        except BaseException:  # cancelled, or a bug in a handler: a child without a listener must not live on
            await process.end(grace_seconds=30.0)
            if process.pid is not None:
                await process.wait()
            raise
        finally:
            self.ready = False
            self._process = None
            self._gone.set()
        await self._on_death(death)
        self._mourned.set()
        return death

    async def _start_and_hear(self, process: TrainerProcess) -> Death:
        """Start the child, and act on what it says until it is gone."""
        try:
            await process.start(await self._begin())
        except (OSError, RealmError) as error:
            return Death(pid=None, clean=False, cause=f"The trainer cannot be started: {error}", position=None)
        if self._dismissed:
            await process.end(grace_seconds=5.0)
        while (event := await self._next_event(process)) is not None:
            if isinstance(event, Ready):
                self.ready = True
                if not self._wanted.is_set():
                    # The wish to stop came before the child listened.
                    await process.send(Stop(reason="stopped while it was loading"))
            await self._on_event(event)
        return await process.wait()

    async def _next_event(self, process: TrainerProcess) -> Event | None:
        # A trainer may be silent for hours: it is paused, idle, or making tokens of a large quest.
        rest()
        event = await process.next_event()
        beat(HUNG_SECONDS)
        return event

    async def _rest(self, death: Death) -> None:
        """Back off before the next start: longer with each death that brought nothing new."""
        position = death.position
        furthest = (position.furthest_ordinal, position.furthest_step) if position else (0, 0)
        if furthest > self._furthest:
            self._furthest = furthest
            self._backoff = self._first_backoff
        logger.info("next start of the trainer in %.1f s", self._backoff, extra={"event": "trainer_backoff"})
        self.next_start_at = datetime.now(UTC) + timedelta(seconds=self._backoff)
        await asyncio.sleep(self._backoff)
        self.next_start_at = None
        self._backoff = min(max(self._backoff * 2, LEAST_BACKOFF_SECONDS), LONGEST_BACKOFF_SECONDS)

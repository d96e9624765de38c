"""The raven post: tells every target of the news, each event once, and never keeps the realm from its work.

One task per target, so that a service that is away holds up nobody else. What happens within `gather_seconds`, or while
a service is away, goes out as one message. Sending is done by a process of its own (`arena.ravens.flight`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.ravens.bookings import Booking, Bookings, key_of
from arena.ravens.kinds import wanted_kinds
from arena.ravens.letters import Letter, Pile, trial_letter
from core.crash_points import crash_point
from core.errors import NotFound, RealmError
from core.masking import masked
from core.saga import Event, News, Saga
from core.scribe import Scribe, ScribeBug
from core.settings import NotificationSettings
from core.tasks import rest

logger = logging.getLogger(__name__)

FLIGHT = "arena.ravens.flight:fly"
CHECK = "arena.ravens.flight:check"
FLIGHT_SECONDS = 20.0
"""One message may take so long; then nobody knows whether it arrived, and it counts as not sent."""
LOOK_SECONDS = 10.0
"""Between two looks at who is to be told; changes in the Armory are heard of at once."""
PAGE = 500
FAREWELL_SECONDS = 3.0
"""How long the end of the realm waits for a message that is under way."""

Send = Callable[[str, Letter], Awaitable[str | None]]
"""Sends a letter to an address; returns why it was not taken, None when it was. Raises `RealmError` when nobody can
tell."""


class NotTaken(Exception):
    """The target did not take a message."""


@dataclass(frozen=True)
class Patience:
    """How often a message is tried, and the pauses between: 5, 10, 20 s and so on, about 20 minutes in all."""

    tries: int = 8
    first_pause: float = 5.0
    longest_pause: float = 600.0


class Target:
    """Somebody who is told, and how that went."""

    def __init__(self, address: str, place: int) -> None:
        self.address = address
        self.place = place
        self.key = key_of(address)
        self.wake = asyncio.Event()
        self.wake.set()  # something may have happened while nobody was there to tell of it
        self.sent_at: str | None = None
        self.trouble: str | None = None

    @property
    def shown(self) -> str:
        return masked(self.address)

    def to_json(self) -> dict[str, Any]:
        return {"id": self.key, "shown": self.shown, "sent_at": self.sent_at, "trouble": self.trouble}


class RavenPost:
    """One per daemon; `run` is its loop, the rest answers the web."""

    def __init__(
        self,
        file: Path,
        saga: Saga,
        settings: Callable[[], NotificationSettings],
        *,
        send: Send | None = None,
        patience: Patience = Patience(),
    ) -> None:
        """`settings` looks up those in force, on the disk; it is asked in threads."""
        self._bookings = Bookings(file)
        self._saga = saga
        self._settings = settings
        self._wanted = NotificationSettings()
        self._scribe: Scribe | None = None
        self._send = send or self._fly
        self._patience = patience
        self._targets: dict[str, Target] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed: asyncio.Event | None = None
        self._kinds: frozenset[str] = frozenset()

    # --- the loop ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Tell whoever the settings name, for ever."""
        loop = asyncio.get_running_loop()
        changed = self._changed = asyncio.Event()

        def hear(event: Event) -> None:
            if event.kind in self._kinds:
                with contextlib.suppress(RuntimeError):  # the loop may be closed already
                    loop.call_soon_threadsafe(self._wake_all)

        unsubscribe = self._saga.subscribe(hear)
        try:
            while True:
                changed.clear()
                await self._look()
                rest()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS):
                        await changed.wait()
        finally:
            unsubscribe()
            await self._end()

    def note_settings(self) -> None:
        """The settings have changed; to be called in the loop's thread."""
        if self._changed is not None:
            self._changed.set()

    def _wake_all(self) -> None:
        for target in self._targets.values():
            target.wake.set()

    async def _look(self) -> None:
        """Begin with targets that are new in the settings, and let go of those that are not there any more."""
        wanted = self._wanted = await asyncio.to_thread(self._settings)
        names = tuple(sorted(wanted.events))
        self._kinds = wanted_kinds(names) if wanted.targets else frozenset()
        present = {key_of(address): (place, address) for place, address in enumerate(wanted.targets, 1)}
        for key in self._tasks.keys() - present.keys():
            await self._dismiss(key)
        await asyncio.to_thread(self._bookings.keep, set(present))
        for key, (place, address) in present.items():
            if not self._is_at_work(key):
                target = self._targets[key] = Target(address, place)
                await asyncio.to_thread(self._begin, target, names)
                self._tasks[key] = asyncio.create_task(self._carry(target), name=f"raven {place}")
            elif (booked := self._bookings.of(key)) is None or booked.names != names:
                await asyncio.to_thread(self._begin, self._targets[key], names)

    def _is_at_work(self, key: str) -> bool:
        task = self._tasks.get(key)
        if task is not None and task.done() and not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a raven was lost: %s", error, exc_info=error, extra={"event": "raven_lost"})
        return task is not None and not task.done()

    def _begin(self, target: Target, names: tuple[str, ...]) -> None:
        """Where telling goes on: from what is booked, or, for a new target or other wishes, from now on."""
        booked = self._bookings.of(target.key)
        if booked is not None and booked.names == names:
            if self._is_of_this_saga(booked):
                return
            self._bookings.put(target.key, Booking(0, None, names))
            return
        latest = self._saga.latest_events(1)
        newest = latest[-1] if latest else None
        self._bookings.put(target.key, Booking(newest.id if newest else 0, newest.at if newest else None, names))

    def _is_of_this_saga(self, booked: Booking) -> bool:
        """False when the database was lost and ids began anew."""
        if booked.settled == 0:
            return True
        found = self._saga.events_after(booked.settled - 1, limit=1)
        if not found or found[0].id < booked.settled:
            return False
        return found[0].id > booked.settled or booked.at in (None, found[0].at)

    async def _carry(self, target: Target) -> None:
        while True:
            await target.wake.wait()
            await asyncio.sleep(self._wanted.gather_seconds)
            target.wake.clear()
            try:
                await self._deliver(target)
            except RealmError as error:  # the saga cannot be read: it is tried again with the next event
                logger.warning("no news can be told: %s", error, extra={"event": "ravens_held"})

    async def _deliver(self, target: Target) -> None:
        """Send one message with everything that the target has not been told of."""
        booked = self._bookings.of(target.key)
        if booked is None:
            return
        if booked.sending is not None:
            # Cut off between sending and booking: that very message once more, and then what came after it.
            target.wake.set()
        pile, last = await asyncio.to_thread(self._gather, booked)
        if last is None:
            if booked.sending is not None:  # what it told of is deleted
                await asyncio.to_thread(self._bookings.set_sending, target.key, None)
            return
        done = Booking(last.id, last.at, booked.names)
        if pile.counts:
            letter = pile.letter(again=booked.sending is not None)
            if not await self._send_patiently(target, letter, last.id):
                await self._drop(target, pile)
            crash_point("notice.sent")
        # Other wishes may have been booked meanwhile: what they begin with stands.
        present = self._bookings.of(target.key)
        if present is not None and present.names == booked.names:
            await asyncio.to_thread(self._bookings.put, target.key, done)

    def _gather(self, booked: Booking) -> tuple[Pile, Event | None]:
        """What is new, and the last event that was looked at."""
        pile, last, after = Pile(), None, booked.settled
        upto = booked.sending
        while page := [event for event in self._saga.events_after(after, PAGE) if upto is None or event.id <= upto]:
            for event in page:
                pile.add(event, booked.names)
            last, after = page[-1], page[-1].id
        return pile, last

    async def _send_patiently(self, target: Target, letter: Letter, last_id: int) -> bool:
        # Loaded once there is somebody to tell.
        from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

        patience = self._patience
        tries = AsyncRetrying(
            stop=stop_after_attempt(patience.tries),
            wait=wait_exponential(multiplier=patience.first_pause, max=patience.longest_pause),
            retry=retry_if_exception_type(NotTaken),
            reraise=True,
        )
        try:
            async for attempt in tries:
                with attempt:
                    await self._try(target, letter, last_id)
        except NotTaken:
            return False
        return True

    async def _try(self, target: Target, letter: Letter, last_id: int) -> None:
        await asyncio.to_thread(self._bookings.set_sending, target.key, last_id)
        crash_point("notice.sending")
        try:
            refusal = await self._uncut(self._send(target.address, letter), target.key, last_id)
        except RealmError as error:
            target.trouble = error.message
            raise NotTaken from error
        if refusal is not None:
            target.trouble = refusal
            await asyncio.to_thread(self._bookings.set_sending, target.key, None)
            logger.info("%s: %s", target.shown, refusal, extra={"event": "notice_refused"})
            raise NotTaken
        target.trouble, target.sent_at = None, datetime.now(UTC).isoformat()

    async def _uncut(self, sending: Awaitable[str | None], key: str, last_id: int) -> str | None:
        """Cancelled, wait a little for what has left already: otherwise it is sent once more after the next start."""
        task = asyncio.ensure_future(sending)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task}, timeout=FAREWELL_SECONDS)
            if task.done() and not task.cancelled() and task.exception() is None:
                await asyncio.to_thread(self._book_last, key, last_id, task.result())
            task.cancel()
            raise

    def _book_last(self, key: str, last_id: int, refusal: str | None) -> None:
        """What became of a message whose sender does not go on."""
        booked = self._bookings.of(key)
        if booked is None or booked.sending != last_id:
            return
        done = replace(booked, sending=None) if refusal is not None else Booking(last_id, None, booked.names)
        self._bookings.put(key, done)

    async def _drop(self, target: Target, pile: Pile) -> None:
        count = pile.counts.total()
        message = (
            f"{count} news could not be sent to target {target.place} ({target.shown}) in {self._patience.tries} "
            f"tries and {'is' if count == 1 else 'are'} not tried any more: {target.trouble}"
        )
        news = News("notification_dropped", message, {"target": target.key, "count": count})
        await asyncio.to_thread(self._saga.tell, [news], now=datetime.now(UTC))

    async def _dismiss(self, key: str) -> None:
        task = self._tasks.pop(key)
        self._targets.pop(key, None)
        task.cancel()
        await asyncio.wait({task})

    async def _end(self) -> None:
        for key in list(self._tasks):
            self._tasks[key].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=FAREWELL_SECONDS + 1)
        self._tasks.clear()
        await self.close()

    async def close(self) -> None:
        """End the process that sends."""
        scribe, self._scribe = self._scribe, None
        if scribe is not None:
            await scribe.close()

    # --- sending ----------------------------------------------------------------------------------------------

    async def _fly(self, address: str, letter: Letter) -> str | None:
        """Raises `Unavailable` when it takes too long: the message may have arrived all the same."""
        told = {"address": address, "title": letter.title, "body": letter.body, "is_trouble": letter.is_trouble}
        try:
            answer = await self._worker().run(FLIGHT, told)
        except ScribeBug as bug:  # apprise has a hundred services, and each may fail in its own way
            logger.warning("apprise failed: %s", type(bug).__name__, extra={"event": "apprise_failed"})
            return "apprise failed at it"
        return None if answer["taken"] else str(answer["why"])

    async def check(self, address: str) -> str | None:
        """What is wrong with an address, as far as can be told without calling anybody."""
        try:
            found: str | None = await self._worker().run(CHECK, {"address": address})
        except (RealmError, ScribeBug):
            return None
        return found

    def _worker(self) -> Scribe:
        if self._scribe is None:
            self._scribe = Scribe(timeout_seconds=FLIGHT_SECONDS)
        return self._scribe

    # --- what the web asks -------------------------------------------------------------------------------------

    async def view(self) -> dict[str, Any]:
        """Who is told of what, and how that went; addresses are masked."""
        wanted = await asyncio.to_thread(self._settings)
        known = (self._targets.get(key_of(address)) or Target(address, 0) for address in wanted.targets)
        return {"events": list(wanted.events), "targets": [target.to_json() for target in known]}

    async def test(self, target: str | None, address: str | None) -> list[dict[str, Any]]:
        """Send a test message now, to an address that need not be set, to one target, or to all of them."""
        wanted = await asyncio.to_thread(self._settings)
        addresses = [address] if address else [each for each in wanted.targets if target in (None, key_of(each))]
        if target is not None and not address and not addresses:
            raise NotFound("There is no such target.", hint="`GET /api/notifications` lists them.")
        return [await self._test_one(each) for each in addresses]

    async def _test_one(self, address: str) -> dict[str, Any]:
        try:
            refusal = await self._send(address, trial_letter())
        except RealmError as error:
            refusal = error.message
        return {"id": key_of(address), "shown": masked(address), "taken": refusal is None, "why": refusal}

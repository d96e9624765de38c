"""Live updates by server-sent events: durable events with ids and replay, and coalesced progress frames.

    id: 17                          a durable event of the saga, `data` = its JSON; replayed after Last-Event-ID
    event: progress                 where training stands; at most five a second, only the newest, never replayed
    event: reset                    what was missed cannot be told any more (a new database, or too long ago): take a
                                    fresh snapshot; events go on from the newest
    : keep-alive                    every 15 s of silence

A viewer that does not read is dropped, never waited for: the browser comes back and is told what it missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aiohttp import web

from core.errors import InvalidInput, Unavailable
from core.http.answers import json_text
from core.http.metrics import Reading

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.2
RETRY_SECONDS = 5
RETRY = b"retry: 2000\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Progress = Callable[[], Mapping[str, Any]]
"""Tells where training stands at the moment of the call."""


class StoredEvent(Protocol):
    @property
    def id(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


class EventSource(Protocol):
    """What the hub needs of `core.saga.Saga`: subscribers hear events in the order of their ids, in whatever thread
    appended them, and reads are safe from any thread."""

    def events_after(self, last_id: int, limit: int = 500) -> Sequence[StoredEvent]: ...

    def latest_events(self, limit: int) -> Sequence[StoredEvent]: ...

    def subscribe(self, callback: Callable[[StoredEvent], None]) -> Callable[[], None]: ...


class _Viewer:
    """One open stream and what it has still to be told."""

    def __init__(self, transport: asyncio.Transport, cursor: int) -> None:
        self.transport = transport
        self.cursor = cursor
        """Id of the last durable event that was written."""
        self.events: deque[tuple[int, bytes]] = deque()
        self.progress: bytes | None = None
        self.wake = asyncio.Event()
        self.done = asyncio.Event()

    def take(self) -> bytes:
        """All that waits, as one write; the durable events first."""
        self.wake.clear()
        frames = []
        while self.events:
            event_id, frame = self.events.popleft()
            if event_id > self.cursor:
                self.cursor = event_id
                frames.append(frame)
        if self.progress is not None:
            frames.append(self.progress)
            self.progress = None
        return b"".join(frames)


class EventHub:
    """Fans the saga's events and the newest progress out to every viewer."""

    def __init__(
        self,
        source: EventSource,
        *,
        max_viewers: int = 200,
        queue_size: int = 256,
        keep_alive_seconds: float = 15.0,
        stall_seconds: float = 30.0,
    ) -> None:
        """Make it inside the running loop; it subscribes to `source` at once.

        A viewer is dropped when more than `queue_size` events wait for it or one write takes `stall_seconds`.
        """
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._max_viewers = max_viewers
        self._queue_size = queue_size
        self._keep_alive_seconds = keep_alive_seconds
        self._stall_seconds = stall_seconds
        self._viewers: set[_Viewer] = set()
        self._closed = False
        self._progress: Progress = dict
        self._progress_timer: asyncio.TimerHandle | None = None
        self._progress_due = 0.0
        # Subscribed before the newest id is read: an event in between is then seen twice, not lost.
        self._unsubscribe = source.subscribe(self.publish_event)
        self._newest = self._newest_stored()

    @property
    def viewers(self) -> int:
        return len(self._viewers)

    def readings(self) -> list[Reading]:
        """What Prometheus is told."""
        return [Reading("realm_event_viewers", "Open event streams.", lambda: self.viewers)]

    def publish_event(self, event: StoredEvent) -> None:
        """Tell every viewer of a committed event; may be called from any thread."""
        if not self._closed:
            # A thread may still commit while the loop is being closed; then there is nobody left to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._accept, event)

    def publish_progress(self, progress: Progress) -> None:
        """Show within 0.2 s what `progress` gives then, unless a newer one replaces it; call it in the loop's thread.

        Where nobody watches it is not asked: making a frame takes longer than the news that it is made of.
        """
        self._progress = progress
        if self._progress_timer is None and not self._closed:
            delay = max(0.0, self._progress_due - self._loop.time())
            self._progress_timer = self._loop.call_later(delay, self._send_progress)

    async def serve(self, request: web.Request, since: int | None = None) -> web.StreamResponse:
        """Answer with the stream until the viewer leaves, is dropped, or the hub closes.

        Replay starts after the event of the header `Last-Event-ID`, else after `since` (a browser cannot set the header
        on its first connect), else with the next event.
        """
        since = _last_event_id(request, since)
        if self._closed or len(self._viewers) >= self._max_viewers or request.transport is None:
            raise Unavailable(
                "No more viewers can be served at the moment.",
                hint=f"Try again in {RETRY_SECONDS} s.",
                retry_after_seconds=RETRY_SECONDS,
            )
        response = web.StreamResponse(headers=HEADERS)
        viewer = _Viewer(request.transport, self._newest if since is None else since)
        # Attached before the replay is read, so that nothing falls between replay and live.
        self._viewers.add(viewer)
        try:
            await response.prepare(request)
            await self._write(viewer, response, RETRY)
            if since is not None:
                await self._replay(viewer, response)
            await self._follow(viewer, response)
        except (ConnectionError, TimeoutError):
            logger.debug("a viewer left", extra={"event": "viewer_left"})
            viewer.transport.abort()
        finally:
            self._viewers.discard(viewer)
            viewer.done.set()
        return response

    async def close(self) -> None:
        """End every stream within a second; later calls of `serve` are refused."""
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        if self._progress_timer is not None:
            self._progress_timer.cancel()
        viewers = list(self._viewers)
        for viewer in viewers:
            viewer.wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                for viewer in viewers:
                    await viewer.done.wait()
        for viewer in list(self._viewers):
            viewer.transport.abort()

    def _newest_stored(self) -> int:
        latest = self._source.latest_events(1)
        return latest[-1].id if latest else 0

    def _accept(self, event: StoredEvent) -> None:
        if self._closed or event.id <= self._newest:
            return
        self._newest = event.id
        if not self._viewers:
            return
        frame = _event_frame(event)
        for viewer in self._viewers:
            viewer.events.append((event.id, frame))
            viewer.wake.set()
            if len(viewer.events) > self._queue_size:
                logger.info("a viewer does not read and is dropped", extra={"event": "viewer_dropped"})
                viewer.events.clear()
                viewer.transport.abort()

    def _send_progress(self) -> None:
        self._progress_timer = None
        self._progress_due = self._loop.time() + PROGRESS_SECONDS
        if not self._viewers:
            return
        frame = f"event: progress\ndata: {json_text(self._progress())}\n\n".encode()
        for viewer in self._viewers:
            viewer.progress = frame
            viewer.wake.set()

    async def _replay(self, viewer: _Viewer, response: web.StreamResponse) -> None:
        if viewer.cursor > self._newest and viewer.cursor > await asyncio.to_thread(self._newest_stored):
            # Ids began anew with a new database: what the viewer has seen is of another history.
            await self._reset(viewer, response)
            return
        while missed := await asyncio.to_thread(self._source.events_after, viewer.cursor):
            if 0 < viewer.cursor < missed[0].id - 1:
                # The viewer was away for so long that what it missed is deleted. 0 asks for whatever there is.
                await self._reset(viewer, response)
                return
            await self._write(viewer, response, b"".join(_event_frame(event) for event in missed))
            viewer.cursor = missed[-1].id

    async def _reset(self, viewer: _Viewer, response: web.StreamResponse) -> None:
        viewer.cursor = await asyncio.to_thread(self._newest_stored)
        told = json_text({"last_event_id": viewer.cursor})
        await self._write(viewer, response, f"event: reset\ndata: {told}\n\n".encode())

    async def _follow(self, viewer: _Viewer, response: web.StreamResponse) -> None:
        while not (self._closed or viewer.transport.is_closing()):
            if frames := viewer.take():
                await self._write(viewer, response, frames)
                continue
            try:
                async with asyncio.timeout(self._keep_alive_seconds):
                    await viewer.wake.wait()
            except TimeoutError:
                await self._write(viewer, response, KEEP_ALIVE)

    async def _write(self, viewer: _Viewer, response: web.StreamResponse, frames: bytes) -> None:
        async with asyncio.timeout(self._stall_seconds):
            await response.write(frames)


def _event_frame(event: StoredEvent) -> bytes:
    return f"id: {event.id}\ndata: {json_text(event.to_json())}\n\n".encode()


def _last_event_id(request: web.Request, otherwise: int | None) -> int | None:
    text = request.headers.get("Last-Event-ID")
    if not text:
        return otherwise
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidInput("Last-Event-ID must be the id of an event, a whole number.", found=text[:40])
    return int(text)

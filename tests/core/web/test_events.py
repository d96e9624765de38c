"""The event hub over real sockets and a real saga: order, replay, coalescing, slow viewers, the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from core.db import Database
from core.http.events import EventHub
from core.http.site import Site, make_app
from core.saga import MIGRATIONS, Event, Saga
from core.settings import BudgetSettings
from tests.waiting import PATIENCE_SECONDS, wait_until_async

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Frame:
    name: str
    id: int | None
    data: Any


class Stream:
    """An open event stream, read frame by frame."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0
        self.retry: int | None = None

    async def next(self, timeout: float = PATIENCE_SECONDS) -> Frame:
        """The next frame with data; comments and `retry` are noted on the way."""
        async with asyncio.timeout(timeout):
            name, event_id = "message", None
            while True:
                raw = await self.response.content.readline()
                if not raw:
                    raise EOFError
                key, _, value = raw.decode().rstrip("\n").partition(": ")
                if raw.startswith(b":"):
                    self.comments += 1
                elif key == "retry":
                    self.retry = int(value)
                elif key == "event":
                    name = value
                elif key == "id":
                    event_id = int(value)
                elif key == "data":
                    return Frame(name, event_id, json.loads(value))

    async def ids(self, count: int) -> list[int | None]:
        return [(await self.next()).id for _ in range(count)]


class Stage:
    """A hub on a site of its own, and the saga behind it."""

    def __init__(self, saga: Saga, hub: EventHub, site: Site, session: aiohttp.ClientSession) -> None:
        self.saga = saga
        self.hub = hub
        self.site = site
        self.session = session

    @asynccontextmanager
    async def watching(self, query: str = "", headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
        # The answer begins only after the viewer is attached.
        async with self.session.get(f"{self.site.url}/stream{query}", headers=headers) as response:
            assert response.status == 200
            yield Stream(response)

    def tell(self, message: str) -> Event:
        return self.saga.append("test", message, now=NOW)


@pytest.fixture
def saga(tmp_path: Path) -> Iterator[Saga]:
    with contextlib.closing(Database(tmp_path / "saga.db", MIGRATIONS)) as database:
        yield Saga(database, BudgetSettings())


@asynccontextmanager
async def staged(saga: Saga, **options: Any) -> AsyncIterator[Stage]:
    hub = EventHub(saga, **options)

    async def stream(request: web.Request) -> web.StreamResponse:
        since = request.query.get("last_event_id")
        return await hub.serve(request, None if since is None else int(since))

    routes = [web.get("/stream", stream, allow_head=False)]
    site = Site(make_app(routes, service="test", health=dict, closing=[hub.close]), "127.0.0.1", 0, "test")
    await site.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Stage(saga, hub, site, session)
    finally:
        await site.stop()


async def test_every_viewer_hears_every_event_in_order(saga: Saga) -> None:
    async with staged(saga) as stage, stage.watching() as first, stage.watching() as second:
        for number in range(5):
            stage.tell(f"event {number}")
        assert await first.ids(5) == await second.ids(5) == [1, 2, 3, 4, 5]
        assert first.retry == 2000


async def test_an_event_carries_its_whole_story(saga: Saga) -> None:
    async with staged(saga) as stage, stage.watching() as stream:
        saga.append("quest_completed", "x.jsonl\nis learned – ü", now=NOW, data={"loss": float("nan")})
        frame = await stream.next()
    assert frame.name == "message"
    assert (frame.data["id"], frame.data["kind"]) == (1, "quest_completed")
    assert frame.data["message"] == "x.jsonl\nis learned – ü"
    assert frame.data["data"] == {"loss": None}


@pytest.mark.parametrize("way", ["header", "query"])
async def test_what_was_missed_is_replayed_then_life_goes_on(saga: Saga, way: str) -> None:
    """F7: after a reconnect nothing is missing and nothing comes twice."""
    async with staged(saga) as stage:
        for number in range(1200):
            stage.tell(f"event {number}")
        query = "?last_event_id=3" if way == "query" else "?last_event_id=1"
        headers = {"Last-Event-ID": "3"} if way == "header" else None
        async with stage.watching(query, headers) as stream:
            stage.tell("live")
            assert await stream.ids(1198) == list(range(4, 1202))


async def test_without_a_last_event_only_news_are_told(saga: Saga) -> None:
    saga.append("test", "old", now=NOW)
    async with staged(saga) as stage, stage.watching() as stream:
        stage.tell("new")
        assert (await stream.next()).data["message"] == "new"


async def test_events_of_many_threads_arrive_once_each_and_in_order(saga: Saga) -> None:
    async with staged(saga) as stage, stage.watching("?last_event_id=0") as stream:
        barrier = threading.Barrier(4)

        def tell_many() -> None:
            barrier.wait()
            for number in range(25):
                stage.tell(f"{threading.get_ident()} {number}")

        threads = [threading.Thread(target=tell_many) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert await stream.ids(100) == list(range(1, 101))
        for thread in threads:
            thread.join()


class BusySaga(Saga):
    """Something happens right before every read, as it may in a busy realm."""

    def events_after(self, last_id: int, limit: int = 500) -> list[Event]:
        if last_id < 5:
            self.append("test", "during the replay", now=NOW)
        return super().events_after(last_id, limit)


async def test_what_happens_during_the_replay_is_told_once(saga: Saga) -> None:
    """Between replay and live there is neither a gap nor an echo."""
    busy = BusySaga(saga.db, BudgetSettings())
    async with staged(busy) as stage:
        for number in range(3):
            stage.tell(f"event {number}")
        async with stage.watching("?last_event_id=0") as stream:
            assert await stream.ids(4) == [1, 2, 3, 4]
            assert await stream.ids(1) == [5]
            stage.tell("live")
            assert await stream.ids(1) == [6]


async def test_ids_of_a_lost_database_lead_to_a_reset(saga: Saga) -> None:
    async with staged(saga) as stage:
        stage.tell("first of the new history")
        async with stage.watching("?last_event_id=900") as stream:
            frame = await stream.next()
            assert (frame.name, frame.id, frame.data) == ("reset", None, {"last_event_id": 1})
            stage.tell("second")
            assert (await stream.next()).id == 2


async def test_whoever_was_away_for_too_long_takes_a_fresh_snapshot(saga: Saga) -> None:
    """Law 9 deletes old events: a gap in what is replayed would go unseen."""
    thrifty = Saga(saga.db, BudgetSettings(events=100))
    async with staged(thrifty) as stage:
        for number in range(150):
            stage.tell(f"event {number}")
        thrifty.trim()
        async with stage.watching("?last_event_id=49") as stream:
            frame = await stream.next()
            assert (frame.name, frame.data) == ("reset", {"last_event_id": 150})
            stage.tell("live")
            assert (await stream.next()).id == 151
        for asked in (0, 50):
            async with stage.watching(f"?last_event_id={asked}") as stream:
                assert await stream.ids(3) == [51, 52, 53], "nothing is missing here"


@pytest.mark.parametrize("bad", ["x", "-1", "1.5", "9" * 30, "\u00b2"], ids=ascii)
async def test_a_last_event_id_that_is_no_id_is_refused(saga: Saga, bad: str) -> None:
    headers = {"Last-Event-ID": bad}
    async with staged(saga) as stage, stage.session.get(f"{stage.site.url}/stream", headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"] == "invalid_input"


async def test_progress_is_thinned_to_five_a_second_and_the_newest_wins(saga: Saga) -> None:
    """F17: steps are not events; a thousand of them are a few frames without an id."""
    async with staged(saga) as stage, stage.watching() as stream:
        started = time.monotonic()
        for step in range(1, 1001):
            stage.hub.publish_progress(partial(dict, step=step))
            if step % 10 == 0:
                await asyncio.sleep(0.01)
        frames: list[Frame] = []
        while not frames or frames[-1].data["step"] < 1000:
            frames.append(await stream.next())
        elapsed = time.monotonic() - started
    assert {(frame.name, frame.id) for frame in frames} == {("progress", None)}
    assert [frame.data["step"] for frame in frames] == sorted({frame.data["step"] for frame in frames})
    assert len(frames) <= elapsed / 0.2 + 2


async def test_no_frame_is_made_where_nobody_watches(saga: Saga) -> None:
    """A realm without an open page has a trainer to listen to, five times a second."""
    asked: list[int] = []

    def progress() -> dict[str, int]:
        asked.append(len(asked))
        return {"step": 1}

    async with staged(saga) as stage:
        stage.hub.publish_progress(progress)
        await wait_until_async(lambda: stage.hub._progress_timer is None, message="it was not its turn")
        assert asked == []
        async with stage.watching() as stream:
            stage.hub.publish_progress(progress)
            assert (await stream.next()).data == {"step": 1}
    assert asked == [0]


async def test_progress_is_never_replayed(saga: Saga) -> None:
    async with staged(saga) as stage:
        async with stage.watching() as stream:
            stage.hub.publish_progress(partial(dict, step=1))
            assert (await stream.next()).data == {"step": 1}
        stage.tell("event")
        async with stage.watching("?last_event_id=0") as stream:
            assert (await stream.next()).name == "message"
            stage.hub.publish_progress(partial(dict, step=float("nan")))
            assert (await stream.next()).data == {"step": None}


async def test_silence_is_filled_with_comments(saga: Saga) -> None:
    async with staged(saga, keep_alive_seconds=0.05) as stage, stage.watching() as stream:
        reading = asyncio.create_task(stream.next())
        await wait_until_async(lambda: stream.comments >= 3, message="no keep-alive came")
        stage.tell("after the silence")
        assert (await reading).id == 1


async def test_a_viewer_that_does_not_read_is_dropped_and_the_others_go_on(saga: Saga) -> None:
    """F19: one slow reader neither freezes the others nor fills the memory."""
    async with staged(saga, queue_size=8) as stage, stage.watching() as healthy:
        _reader, writer = await asyncio.open_connection("127.0.0.1", stage.site.port, limit=1024)
        writer.write(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_until_async(lambda: stage.hub.viewers == 2, message="the slow viewer was not attached")
        told = 0
        while stage.hub.viewers == 2 and told < 500:
            told += 1
            stage.saga.append("test", "x" * 200_000, now=NOW)
            assert (await healthy.next()).id == told
        assert stage.hub.viewers == 1
        stage.tell("the healthy one goes on")
        assert (await healthy.next()).id == told + 1
        writer.transport.abort()


async def test_a_write_that_stalls_ends_the_viewer(saga: Saga) -> None:
    async with staged(saga, stall_seconds=0.1) as stage:
        _reader, writer = await asyncio.open_connection("127.0.0.1", stage.site.port, limit=1024)
        writer.write(b"GET /stream?last_event_id=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_until_async(lambda: stage.hub.viewers == 1, message="the viewer was not attached")
        for _ in range(40):
            stage.saga.append("test", "x" * 400_000, now=NOW)
        await wait_until_async(lambda: stage.hub.viewers == 0, message="the stalled viewer was kept")
        writer.transport.abort()


async def test_a_viewer_that_left_is_forgotten(saga: Saga) -> None:
    async with staged(saga, keep_alive_seconds=0.05) as stage:
        async with stage.watching() as stream:
            stream.response.close()
        await wait_until_async(lambda: stage.hub.viewers == 0, message="the viewer was kept")


async def test_more_viewers_than_allowed_are_asked_to_come_later(saga: Saga) -> None:
    async with staged(saga, max_viewers=1) as stage, stage.watching():
        response = await stage.session.get(f"{stage.site.url}/stream")
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (await response.json())["error"] == "unavailable"


async def test_a_hundred_viewers_see_the_same_and_the_site_still_answers(saga: Saga) -> None:
    """F19: one thread per viewer is not needed, and one more than a hundred is told so."""
    async with (
        staged(saga, max_viewers=100) as stage,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as crowd,
        contextlib.AsyncExitStack() as stack,
    ):
        url = f"{stage.site.url}/stream"
        answers = [await stack.enter_async_context(crowd.get(url)) for _ in range(100)]
        assert stage.hub.viewers == 100
        async with crowd.get(url) as refused:
            assert refused.status == 503

        async def read(stream: Stream) -> tuple[list[int], int]:
            ids, step, frames = [], 0, 0
            while len(ids) < 20 or step < 2000:
                frame = await stream.next()
                if frame.id is None:
                    frames, step = frames + 1, frame.data["step"]
                else:
                    ids.append(frame.id)
            return ids, frames

        reading = [asyncio.create_task(read(Stream(answer))) for answer in answers]
        started = time.monotonic()
        for step in range(1, 2001):
            stage.hub.publish_progress(partial(dict, step=step))
            if step % 100 == 0:
                stage.tell(f"event {step}")
                async with asyncio.timeout(10.0), stage.session.get(f"{stage.site.url}/healthz") as health:
                    assert health.status == 200
        seen = await asyncio.gather(*reading)
        elapsed = time.monotonic() - started
        assert {tuple(ids) for ids, _ in seen} == {tuple(range(1, 21))}
        assert max(frames for _, frames in seen) <= elapsed / 0.2 + 2


async def test_stopping_the_site_ends_open_streams_at_once(saga: Saga, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told to end; what is not is waited for."""
    monkeypatch.setattr("core.http.site.STOP_SECONDS", 60.0)
    async with staged(saga) as stage, stage.watching() as first, stage.watching() as second:
        started = time.monotonic()
        await stage.site.stop()
        assert time.monotonic() - started < 30.0
        for stream in (first, second):
            with pytest.raises(EOFError):
                await stream.next()
        assert stage.hub.viewers == 0


async def test_a_stuck_viewer_does_not_hold_up_the_close(saga: Saga) -> None:
    async with staged(saga) as stage:
        _reader, writer = await asyncio.open_connection("127.0.0.1", stage.site.port, limit=1024)
        writer.write(b"GET /stream?last_event_id=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wait_until_async(lambda: stage.hub.viewers == 1, message="the viewer was not attached")
        for _ in range(40):
            stage.saga.append("test", "x" * 400_000, now=NOW)
        async with asyncio.timeout(20.0):
            await stage.hub.close()
        await wait_until_async(lambda: stage.hub.viewers == 0, message="the stuck viewer was kept")
        writer.transport.abort()


async def test_a_closed_hub_is_deaf_and_serves_nobody(saga: Saga) -> None:
    async with staged(saga) as stage:
        await stage.hub.close()
        await stage.hub.close()
        stage.tell("nobody listens")
        stage.hub.publish_progress(partial(dict, step=1))
        async with stage.session.get(f"{stage.site.url}/stream") as response:
            assert response.status == 503

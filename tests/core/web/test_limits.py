"""What one caller may cost a site, over real sockets: slow and endless requests, crowds, and what is no HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from core.http.answers import json_response
from core.http.limits import MAX_BODY_BYTES, Limits
from tests.serving import Visitor, serving
from tests.waiting import PATIENCE_SECONDS

HEAD = b"POST /echo HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def hello(request: web.Request) -> web.Response:
    return json_response({"hello": "world"})


async def echo(request: web.Request) -> web.Response:
    return json_response({"bytes": len(await request.read())})


async def flood(request: web.Request) -> web.Response:
    return web.Response(body=b"x" * (32 << 20))


ROUTES = [web.get("/hello", hello), web.post("/echo", echo), web.get("/flood", flood)]


class Line:
    """One bare connection to a site."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def status(self) -> int:
        """Of the next answer, whose body is dropped; 0 when the connection ended instead."""
        return (await self.answer())[0]

    async def answer(self, timeout: float = PATIENCE_SECONDS) -> tuple[int, dict[str, str], Any]:
        async with asyncio.timeout(timeout):
            first = await self.reader.readline()
            if not first:
                return 0, {}, None
            headers = {}
            while (line := (await self.reader.readline()).decode().rstrip("\r\n")) != "":
                name, _, value = line.partition(": ")
                headers[name] = value
            body = await self.reader.readexactly(int(headers.get("Content-Length", 0)))
            return int(first.split()[1]), headers, json.loads(body) if body else None

    async def ended(self, timeout: float = PATIENCE_SECONDS) -> bool:
        """True once the other side has closed."""
        async with asyncio.timeout(timeout):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


@asynccontextmanager
async def line_to(visitor: Visitor, **options: Any) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", visitor.site.port, **options)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def tight(**limits: Any) -> Any:
    return serving(ROUTES, limits=Limits(**limits), held_to_models=False)


# --- slow -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beginning", [b"G", b"GET /hello HTTP/1.1\r\n", b"GET /hello HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_head_that_does_not_end_is_given_up(beginning: bytes) -> None:
    """F19: slowloris."""
    async with tight(head_seconds=0.2) as visitor, line_to(visitor) as line:
        line.send(beginning)
        status, headers, body = await line.answer()
        assert (status, body["error"]) == (408, "request_timeout")
        assert (headers["Connection"], headers["X-Frame-Options"]) == ("close", "DENY")
        assert await line.ended()


async def test_a_head_that_trickles_is_given_up_too(caplog: pytest.LogCaptureFixture) -> None:
    """F19: a byte now and then does not start the time anew; also in the second request of a connection."""
    async with tight(head_seconds=0.3) as visitor, line_to(visitor) as line:
        line.send(GET)
        assert await line.status() == 200
        started = time.monotonic()
        answer = asyncio.create_task(line.status())
        line.send(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: ")
        while not answer.done():
            line.send(b"y")
            await asyncio.wait([answer], timeout=0.02)
        assert await answer == 408
        assert time.monotonic() - started < PATIENCE_SECONDS, "each byte starts the time anew"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_body_that_does_not_come_is_given_up() -> None:
    """F19: slow POST."""
    async with tight(body_seconds=0.2, linger_seconds=0.1) as visitor, line_to(visitor) as line:
        line.send(HEAD + b"Content-Length: 100\r\n\r\nhalf of it")
        status, headers, body = await line.answer()
        assert (status, body["error"], headers["Connection"]) == (408, "request_timeout", "close")
        assert await line.ended()


async def test_an_idle_connection_is_closed_without_a_word() -> None:
    async with tight(idle_seconds=0.2) as visitor:
        async with line_to(visitor) as line:
            assert await line.ended()
        async with line_to(visitor) as line:
            line.send(GET)
            assert await line.status() == 200
            assert await line.ended()


async def test_whoever_does_not_read_its_answer_is_dropped() -> None:
    """F19: a slow reader neither holds its connection nor the memory of its answer."""
    async with tight(unread_seconds=0.2, connections=1) as visitor, line_to(visitor, limit=1024) as line:
        line.send(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await line.reader.readline()
        # The only place is free again: the connection is gone while nobody reads.
        await wait_for_place(visitor)


async def wait_for_place(visitor: Visitor) -> None:
    async def admitted() -> bool:
        async with line_to(visitor) as line:
            line.send(GET)
            return await line.status() == 200

    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await admitted():
            await asyncio.sleep(0.02)


async def test_slow_requests_never_block_the_others() -> None:
    """F19: a single-threaded server froze behind one slow request."""
    async with tight() as visitor:
        lines = [await asyncio.open_connection("127.0.0.1", visitor.site.port) for _ in range(60)]
        for number, (_, writer) in enumerate(lines):
            writer.write([b"GET /he", HEAD + b"Content-Length: 9\r\n\r\nhalf"][number % 2])
        times = []
        for _ in range(20):
            started = time.monotonic()
            assert (await visitor.get("/hello")).status == 200
            times.append(time.monotonic() - started)
        for _, writer in lines:
            writer.transport.abort()
    # Whoever stands behind a slow one waits until that is given up.
    assert sorted(times)[10] < Limits().head_seconds / 2


# --- many and large -------------------------------------------------------------------------------------------------


async def test_a_crowd_is_asked_to_come_later_and_leaves_room_when_it_goes() -> None:
    async with tight(connections=5, connections_per_caller=5) as visitor:
        lines = [await asyncio.open_connection("127.0.0.1", visitor.site.port) for _ in range(5)]
        async with line_to(visitor) as line:
            status, headers, body = await line.answer()
            assert (status, body["error"], headers["Retry-After"]) == (503, "unavailable", "5")
            assert await line.ended()
        for _, writer in lines:
            writer.transport.abort()
        await wait_for_place(visitor)


async def test_one_caller_cannot_take_every_place() -> None:
    async with serving(ROUTES, limits=Limits(connections=6, connections_per_caller=3)) as visitor:
        lines = [await asyncio.open_connection("127.0.0.1", visitor.site.port) for _ in range(3)]
        async with line_to(visitor) as line:
            assert await line.status() == 503
        other = await asyncio.open_connection("127.0.0.1", visitor.site.port, local_addr=("127.0.0.9", 0))
        other[1].write(GET)
        assert await Line(*other).status() == 200
        for _, writer in [*lines, other]:
            writer.transport.abort()


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET /hello HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"GET /hello HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X%d: %s\r\n" % (n, b"x" * 4000) for n in range(60)),
    ],
    ids=["request line", "one header", "many headers", "many large headers without an end"],
)
async def test_a_head_over_the_limits_is_refused(head: bytes) -> None:
    async with tight() as visitor, line_to(visitor) as line:
        # In pieces, as over a network: no single one is large.
        for start in range(0, len(head), 8000):
            line.send(head[start : start + 8000])
            await asyncio.sleep(0)
        status, _, body = await line.answer()
        assert status in {400, 431}
        assert set(body) == {"error", "message", "details"}
        assert await line.ended()


@pytest.mark.parametrize("announced", [True, False], ids=["Content-Length", "chunked"])
async def test_a_body_over_the_limit_is_refused_before_it_has_come(announced: bool) -> None:
    async with tight(linger_seconds=0.1) as visitor, line_to(visitor) as line:
        if announced:
            line.send(HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1))
        else:
            line.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
            for _ in range(MAX_BODY_BYTES // 0x10000 + 1):
                line.send(chunk)
        status, _, body = await line.answer()
        assert (status, body["error"]) == (413, "request_entity_too_large")


async def test_a_refused_body_is_told_how_much_this_site_takes() -> None:
    async with tight(body_bytes=2000, linger_seconds=0.1) as visitor, line_to(visitor) as line:
        line.send(HEAD + b"Content-Length: 2001\r\n\r\n")
        assert (await line.answer())[2]["message"] == "This site takes bodies of at most 2,000 bytes."


async def test_a_body_within_the_limits_is_taken_in_pieces() -> None:
    async with tight() as visitor, line_to(visitor) as line:
        line.send(HEAD + b"Content-Length: %d\r\n\r\n" % MAX_BODY_BYTES)
        for _ in range(16):
            line.send(b"x" * (MAX_BODY_BYTES // 16))
            await line.writer.drain()
        assert (await line.answer())[2] == {"bytes": MAX_BODY_BYTES}


async def test_a_compressed_body_is_refused_unopened() -> None:
    """A kilobyte may hold a gigabyte."""
    async with tight() as visitor, line_to(visitor) as line:
        line.send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")
        status, _, body = await line.answer()
        assert (status, body["error"]) == (415, "unsupported_media_type")


# --- no HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), b"\0" * 100, b"SSH-2.0-x\r\n\r\n", b"{}\r\n"],
    ids=["TLS", "zeros", "SSH", "JSON"],
)
async def test_what_is_no_http_gets_the_one_error_shape(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with tight() as visitor, line_to(visitor) as line:
            line.send(garbage)
            status, headers, body = await line.answer()
            assert (status, body["error"]) == (400, "bad_request")
            assert headers["Content-Type"].startswith("application/json")
            assert await line.ended()
    assert not caplog.records, "a stranger must not fill the log"


async def test_a_chunk_that_lies_about_its_size_is_a_plain_error(caplog: pytest.LogCaptureFixture) -> None:
    async with tight() as visitor, line_to(visitor) as line:
        line.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\nnonsense\r\n")
        status, _, body = await line.answer()
        assert (status, body["error"]) == (400, "bad_request")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_strange_expectation_is_an_error_of_the_same_shape() -> None:
    async with tight() as visitor:
        answer = await visitor.get("/hello", headers={"Expect": "miracles"})
    assert (answer.status, answer.body["error"]) == (417, "expectation_failed")


async def test_a_caller_that_hangs_up_in_mid_request_leaves_no_trace(caplog: pytest.LogCaptureFixture) -> None:
    async with tight() as visitor:
        for beginning in (b"GET /he", HEAD + b"Content-Length: 100\r\n\r\nhalf of it"):
            async with line_to(visitor) as line:
                line.send(beginning)
                await line.writer.drain()
        assert (await visitor.get("/hello")).status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_bug_after_half_an_answer_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def stumble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise RuntimeError("a bug")

    async with serving([web.get("/stumble", stumble)]) as visitor, line_to(visitor) as line:
        line.send(b"GET /stumble HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            text = await line.reader.read()
    assert text.endswith(b"4\r\nhalf\r\n"), "what follows half an answer would be taken for a part of it"
    (record,) = [record for record in caplog.records if record.exc_info]
    assert getattr(record, "event", "") == "http_handler_failed"

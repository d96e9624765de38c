"""Callers of a site: one who waits for its first page, some who ask again and again, and viewers of its event stream.

They are plain sockets: whoever measures takes the same processors as what is measured.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 0.005
PATIENCE_SECONDS = 120.0
VIEWERS_PER_ADDRESS = 100
"""A site takes 128 connections from one address."""
AGAIN_SECONDS = 0.25
SMALL_BUFFER = 4096
_OK = b"HTTP/1.1 200 "
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
_STEP = re.compile(rb'"batch_step":(\d+)')
_KIND = re.compile(rb'"kind":"(\w+)"')


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for_pages(ports: Sequence[int], is_alive: Callable[[], bool]) -> None:
    """Return once each port has answered with a whole page; raises `RuntimeError` when whoever is asked has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for port in ports:
        while not _shows_page(port):
            if not is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"nobody answered on port {port}")
            time.sleep(LOOK_SECONDS)


def _shows_page(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=10)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return bool(answer.read()) and answer.status == http.HTTPStatus.OK
    except ConnectionRefusedError:
        return False
    finally:
        connection.close()


async def ask_again_and_again(
    port: int, path: str, *, callers: int, seconds: float, body: bytes | None = None
) -> list[float]:
    """How long each answer took, in seconds; each caller has a connection and asks as soon as it was answered. With a
    `body` of JSON it is a POST."""
    until = time.perf_counter() + seconds
    taken: list[float] = []
    await asyncio.gather(*(_ask(port, _request(port, path, body), until, taken) for _ in range(callers)))
    return taken


async def _ask(port: int, request: bytes, until: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        while (begun := time.perf_counter()) < until:
            writer.write(request)
            head = await reader.readuntil(_HEAD_END)
            length = _LENGTH.search(head)
            if not head.startswith(_OK) or length is None:
                raise RuntimeError(f"{request!r} was answered with {head!r}")
            await reader.readexactly(int(length[1]))
            taken.append(time.perf_counter() - begun)
    finally:
        writer.close()


class Viewer(asyncio.Protocol):
    """An open event stream, and when what came on it came (`time.perf_counter`)."""

    def __init__(self, request: bytes, *, reads: bool) -> None:
        """One that does not read takes what the system's buffers take."""
        self._request = request
        self._reads = reads
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self.attached = asyncio.Event()
        """Its stream has begun."""
        self.steps: list[tuple[int, float]] = []
        """Steps of the running quest that are done, as each progress frame tells them."""
        self.events: dict[str, list[float]] = {}
        """Of each kind of durable event, one after the other."""
        self.is_gone = False
        """It was refused, or sent away."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.attached.is_set():
            self.is_gone = not data.startswith(_OK)
            self.attached.set()
            if not self._reads and self._transport is not None:
                self._transport.pause_reading()
        *frames, self._rest = (self._rest + data).split(b"\n\n")
        for frame in frames:
            if step := _STEP.search(frame):
                self.steps.append((int(step[1]), now))
            elif kind := _KIND.search(frame):
                self.events.setdefault(kind[1].decode(), []).append(now)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = True
        self.attached.set()

    def leave(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def watching(port: int, path: str, readers: int, idlers: int = 0) -> AsyncIterator[list[Viewer]]:
    """Viewers for as long as the block lasts; gives those who read. Raises `RuntimeError` when one is sent away."""
    viewers = [await _attach(port, path, number, reads=number < readers) for number in range(readers + idlers)]
    try:
        yield viewers[:readers]
        if lost := sum(viewer.is_gone for viewer in viewers[:readers]):
            raise RuntimeError(f"{lost} of {readers} viewers were sent away")
    finally:
        for viewer in viewers:
            viewer.leave()


async def _attach(port: int, path: str, number: int, *, reads: bool) -> Viewer:
    """Those who have just left may still be counted: whoever is refused asks again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (viewer := await _come(port, path, number, reads=reads)).is_gone:
        viewer.leave()
        if time.monotonic() > deadline:
            raise RuntimeError(f"viewer {number + 1} was refused")
        await asyncio.sleep(AGAIN_SECONDS)
    return viewer


async def _come(port: int, path: str, number: int, *, reads: bool) -> Viewer:
    place = socket.socket()
    if not reads:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    # All of 127.0.0.0/8 is this machine.
    place.bind((f"127.0.0.{2 + number // VIEWERS_PER_ADDRESS}", 0))
    place.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(place, (LOOPBACK, port))
    _, viewer = await loop.create_connection(lambda: Viewer(_request(port, path), reads=reads), sock=place)
    await asyncio.wait_for(viewer.attached.wait(), PATIENCE_SECONDS)
    return viewer


def _request(port: int, path: str, body: bytes | None = None) -> bytes:
    method = "GET" if body is None else "POST"
    of_body = "" if body is None else f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\n{of_body}\r\n".encode() + (body or b"")

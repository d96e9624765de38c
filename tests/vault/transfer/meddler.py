"""A proxy between a puller and a byte service that does what networks do: cuts links, flips bytes, falls silent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.vault.transfer.loops import running

FLIPPED_FROM = 20_000
"""A byte is flipped in the middle of a piece of at least this size: that is never in a header."""


class Meddler:
    """Relays connections to `target`; every wish is counted down as it is fulfilled. All of it runs in one loop."""

    def __init__(self, target: str, seed: int = 1) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 0))
        self._random = random.Random(seed)
        self.url = ""
        self.cuts_left = 0
        self.mean_bytes = 100_000
        """Between two cuts, of what goes to the puller over all connections."""
        self.cuts_made = 0
        self.flips_left = 0
        self.stalls_left = 0
        self.relayed = 0
        self._until_cut = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self, times: int, mean_bytes: int) -> None:
        self.cuts_left, self.mean_bytes = times, mean_bytes
        self._until_cut = self._random.randrange(1, 2 * mean_bytes)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        up = asyncio.create_task(_relay(reader, upstream_writer))
        try:
            await self._down(upstream_reader, writer)
        except OSError:
            pass
        finally:
            up.cancel()
            for each in (writer, upstream_writer):
                each.transport.abort()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(64 << 10):
            if self.stalls_left:
                self.stalls_left -= 1
                writer.write(data[: len(data) // 2])
                await asyncio.Event().wait()
            if self.flips_left and len(data) >= FLIPPED_FROM:
                self.flips_left -= 1
                middle = len(data) // 2
                data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
            if self.cuts_left and self._until_cut <= len(data):
                await self._cut(writer, data)
                return
            self._until_cut -= len(data)
            self.relayed += len(data)
            writer.write(data)
            await writer.drain()

    async def _cut(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        part = data[: self._until_cut]
        self.relayed += len(part)
        writer.write(part)
        await writer.drain()
        self.cuts_left -= 1
        self.cuts_made += 1
        self._until_cut = self._random.randrange(1, 2 * self.mean_bytes)
        if self._random.random() < 0.5:
            # An orderly end, after which nothing is missing to the eye of the system.
            writer.write_eof()
            with suppress(OSError):
                await writer.drain()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(64 << 10):
            writer.write(data)
            await writer.drain()


@contextmanager
def meddling(target: str, seed: int = 1) -> Iterator[Meddler]:
    """A meddler in front of `target`, on a thread of its own."""
    meddler = Meddler(target, seed)
    with running(meddler.start, meddler.stop):
        yield meddler

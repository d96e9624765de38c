"""Bytes from a file into a socket, past everything that waits: slow callers, gone callers, files that shrink."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from core.own_threads import OwnThreads
from vault.bytes.sending import PIECE_BYTES, send_file

THREADS = OwnThreads("reads of files", 2, waiting=8)
CONTENT = os.urandom(1 << 20) * 3
FULL = 64 << 20
"""More than the buffers of two sockets take."""


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A transport of this loop, and the socket at its other end."""
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
    theirs.setblocking(False)
    try:
        yield transport, theirs
    finally:
        transport.abort()
        theirs.close()
        await asyncio.sleep(0)


async def received(theirs: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        data += await asyncio.get_running_loop().sock_recv(theirs, 70_000)
    return bytes(data)


@pytest.fixture
def fd(tmp_path: Path) -> int:
    (tmp_path / "file").write_bytes(CONTENT)
    return os.open(tmp_path / "file", os.O_RDWR)


@pytest.mark.parametrize("sendfile", [True, False])
async def test_a_slow_caller_gets_every_byte_in_order(fd: int, sendfile: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: int) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    if not sendfile:  # as on a file system that has none
        monkeypatch.setattr(os, "sendfile", refuse)
    async with connected() as (transport, theirs):
        sending = asyncio.create_task(send_file(transport, fd, 5, len(CONTENT) - 7, unread_seconds=10, threads=THREADS))
        assert await received(theirs, len(CONTENT) - 12) == CONTENT[5:-7]
        assert await sending == len(CONTENT) - 7
    os.close(fd)


async def test_more_than_one_piece_is_sent_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "sparse").touch()
    fd = os.open(tmp_path / "sparse", os.O_RDWR)
    size = PIECE_BYTES + 12_345
    os.ftruncate(fd, size)
    os.pwrite(fd, b"the end", size - 7)
    async with connected() as (transport, theirs):
        sending = asyncio.create_task(send_file(transport, fd, 0, size, unread_seconds=10, threads=THREADS))
        assert (await received(theirs, size))[-7:] == b"the end"
        assert await sending == size
    os.close(fd)


async def test_a_file_that_became_shorter_ends_early(fd: int) -> None:
    os.ftruncate(fd, 1000)
    async with connected() as (transport, _):
        assert await send_file(transport, fd, 100, len(CONTENT), unread_seconds=10, threads=THREADS) == 1000
    os.close(fd)


async def test_a_caller_that_reads_nothing_is_given_up(fd: int) -> None:
    """Many that stop reading must not hold threads and files for ever."""
    os.ftruncate(fd, FULL)
    async with connected() as (transport, _):
        with pytest.raises(ConnectionAbortedError, match="reads nothing"):
            await send_file(transport, fd, 0, FULL, unread_seconds=0.1, threads=THREADS)
    os.close(fd)


async def test_a_caller_that_is_gone_ends_it(fd: int) -> None:
    os.ftruncate(fd, FULL)
    async with connected() as (transport, theirs):
        sending = asyncio.create_task(send_file(transport, fd, 0, FULL, unread_seconds=10, threads=THREADS))
        await received(theirs, 1000)
        theirs.close()
        with pytest.raises(ConnectionError):
            await sending
    os.close(fd)


async def test_cancelled_it_lets_go_of_the_file_first(fd: int) -> None:
    """Numbers of files that are closed while a thread uses them become those of other files."""
    os.ftruncate(fd, FULL)
    async with connected() as (transport, _):
        sending = asyncio.create_task(send_file(transport, fd, 0, FULL, unread_seconds=10, threads=THREADS))
        await asyncio.sleep(0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    os.close(fd)

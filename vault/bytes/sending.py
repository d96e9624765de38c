"""Bytes of a file into a connection: from the kernel's memory to its socket, and through none of ours.

A read may wait for the disk, so that is done in threads, a piece at a time; it is the event loop that waits for a slow
caller, as threads are few.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket

from core.own_threads import OwnThreads

PIECE_BYTES = 16 << 20
"""After so many, others get the thread."""
READ_BYTES = 256 << 10
_NO_SENDFILE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""Some file systems have no pages to send from."""


async def send_file(
    transport: asyncio.Transport, fd: int, start: int, end: int, *, unread_seconds: float, threads: OwnThreads
) -> int:
    """Send what lies from `start` to before `end` in a file; returns where it ended, before `end` where the file has
    become shorter.

    All that was written to `transport` has left its buffer, and it is no TLS. Raises `ConnectionError` when the caller
    is gone, or takes nothing for `unread_seconds`.
    """
    assert transport.get_extra_info("sslcontext") is None, "these bytes go beside the transport"
    # A number of its own for the same socket: the loop lets nobody wait for that of a transport.
    with transport.get_extra_info("socket").dup() as out:
        while start < end:
            last = min(end, start + PIECE_BYTES)
            start, is_full = await _in_thread(threads, out, fd, start, last)
            if is_full:
                await _until_writable(out, unread_seconds)
            elif start < last:
                break
    return start


async def _in_thread(threads: OwnThreads, out: socket.socket, fd: int, start: int, end: int) -> tuple[int, bool]:
    work = asyncio.ensure_future(threads.run(_send, out, fd, start, end))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        # Closed while the thread uses them, the numbers of file and socket may become those of others.
        await asyncio.wait([work])
        raise


def _send(out: socket.socket, fd: int, start: int, end: int) -> tuple[int, bool]:
    """How far it came, and whether the socket takes no more for now."""
    try:
        while start < end and (count := _push(out, fd, start, end - start)):
            start += count
    except BlockingIOError:
        return start, True
    return start, False


def _push(out: socket.socket, fd: int, start: int, count: int) -> int:
    try:
        return os.sendfile(out.fileno(), fd, start, count)
    except OSError as error:
        if error.errno not in _NO_SENDFILE:
            raise
    return out.send(os.pread(fd, min(count, READ_BYTES), start))


async def _until_writable(out: socket.socket, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    loop.add_writer(out.fileno(), writable.set)
    try:
        async with asyncio.timeout(seconds):
            await writable.wait()
    except TimeoutError as error:
        raise ConnectionAbortedError("the caller reads nothing") from error
    finally:
        loop.remove_writer(out.fileno())

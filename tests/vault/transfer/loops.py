"""An event loop on a thread of its own, for servers that a test talks to from its own thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

SECONDS = 10.0
TURNS = 20
"""Of the loop; until what was accepted has a transport it takes three."""


@contextmanager
def running(start: Callable[[], Awaitable[object]], stop: Callable[[], Awaitable[object]]) -> Iterator[None]:
    """Between `start` and `stop`, both of which run in that loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def do(work: Callable[[], Awaitable[object]]) -> None:
        await work()

    async def end() -> None:
        await stop()
        # What was accepted in the very moment of the stop is known to nobody but the loop, and a few turns later.
        for _ in range(TURNS):
            for transport in list(getattr(loop, "_transports", {}).values()):
                transport.abort()
            await asyncio.sleep(0)
        # Transports that were closed or aborted let go of their sockets in a moment.
        await asyncio.sleep(0.05)

    try:
        asyncio.run_coroutine_threadsafe(do(start), loop).result(SECONDS)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()

"""An answer that is the same for everybody who asks at the same time: made once, written as JSON once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

from aiohttp.web import Response

from core.http.answers import json_text


class SharedAnswer:
    """Two hundred pages that come back at once are served by two builds: one under way, and one begun after all of
    them had asked. Nobody is told of a state from before the question."""

    def __init__(self, make: Callable[[], Awaitable[Any]]) -> None:
        self._make = make
        self._running: asyncio.Task[bytes] | None = None
        self._next: asyncio.Task[bytes] | None = None
        """Not begun: whoever asks now is served by it."""

    @property
    def is_busy(self) -> bool:
        """Whether somebody is still to be answered."""
        return self._running is not None or self._next is not None

    async def get(self) -> Response:
        if self._next is None:
            self._next = asyncio.create_task(self._build(self._running), name="shared answer")
        # Shielded: one who leaves must not take the answer from the others.
        return Response(body=await asyncio.shield(self._next), content_type="application/json", charset="utf-8")

    async def _build(self, before: asyncio.Task[bytes] | None) -> bytes:
        if before is not None:
            await asyncio.wait([before])
        self._running, self._next = self._next, None
        try:
            made = await self._make()
            return (await asyncio.to_thread(json_text, made)).encode()
        finally:
            self._running = None


class SharedAnswers:
    """The same for questions that differ, each with a key of its own."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, SharedAnswer] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[Any]]) -> Response:
        """What `make` gives, or what it is giving already to others who ask with this key."""
        answer = self._answers.setdefault(key, SharedAnswer(make))
        try:
            return await answer.get()
        finally:
            if not answer.is_busy:
                self._answers.pop(key, None)

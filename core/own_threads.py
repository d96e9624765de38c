"""Threads for long work whose end nobody waits for: a bounded number of them, and they end with the process.

`asyncio.to_thread` has a handful of threads that everything in a process shares, and which a process waits for when it
ends. What waits for other hosts for hours, or for a disk that may never answer, or reads gigabytes, is done here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from core.errors import RealmError, Unavailable

T = TypeVar("T")
P = ParamSpec("P")

RETRY_SECONDS = 5
"""After which it is worth asking again."""
LINGER_SECONDS = 10.0
"""How long a thread waits for more work: to begin one takes as long as reading a piece of a file."""


class OwnThreads:
    """At most `most` at work at once, and so much `waiting` work behind them; thread-safe."""

    def __init__(self, name: str, most: int, *, waiting: int = 0, refusal: type[RealmError] = Unavailable) -> None:
        """`name` says in the plural what is done, such as `transfers`; `refusal` is raised when it is too much."""
        self._name = name
        self._refusal = refusal
        self._most = most
        self._waiting_most = waiting
        self._change = threading.Condition()
        self._threads = 0
        self._idle = 0
        self._at_work = 0
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Begin it, or have it wait for its turn; raises the refusal when too much waits already."""
        future: Future[T] = Future()
        with self._change:
            if self._at_work + len(self._waiting) >= self._most + self._waiting_most:
                raise self._refusal(
                    f"{self._most} {self._name} run already.",
                    hint="Ask again when one has ended.",
                    retry_after_seconds=RETRY_SECONDS,
                )
            self._waiting.append((future, work))
            if len(self._waiting) <= self._idle:
                self._change.notify()
            elif self._threads < self._most:
                # Daemons: a process that ends waits for none of them.
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._threads += 1
        return future

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`start` for coroutines; cancelled, it waits no longer, while what was begun goes on."""
        return await asyncio.wrap_future(self.start(partial(work, *args, **kwargs)))

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            future, work = taken
            is_wanted, result, error = future.set_running_or_notify_cancel(), None, None
            if is_wanted:
                try:
                    result = work()
                except BaseException as raised:  # noqa: BLE001 - whatever it is, it is raised where it was asked for
                    error = raised
            with self._change:
                # Before anybody is told: who hears that it is done may ask for the next at once.
                self._at_work -= 1
            if error is not None:
                future.set_exception(error)
            elif is_wanted:
                future.set_result(result)
            del taken, future, work, result, error

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """Work to do; None when there was none for a while, and the thread is to end."""
        with self._change:
            if not self._waiting:
                self._idle += 1
                self._change.wait_for(lambda: bool(self._waiting), LINGER_SECONDS)
                self._idle -= 1
            if not self._waiting:
                self._threads -= 1
                return None
            self._at_work += 1
            return self._waiting.popleft()

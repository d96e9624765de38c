"""Calls that may never return, such as any look at a dead network mount: each in a thread of its own, within a time.

A thread that hangs in the kernel cannot be ended. So there is one of each name at most: while it hangs, whoever asks
again is told so at once instead of leaving a second one behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from core.errors import Unavailable

T = TypeVar("T")


class Knocker:
    """Knocks at doors by name; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out: dict[str, _Knock] = {}

    def ask(self, name: str, work: Callable[[], T], seconds: float) -> T:
        """What `work` returns or raises; `Unavailable` when it takes longer, or one of this name still hangs."""
        answer = self.ask_all({name: work}, seconds)[name]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def ask_all(self, works: Mapping[str, Callable[[], T]], seconds: float) -> dict[str, T | BaseException]:
        """All at once: by name what each has returned or raised, `Unavailable` for those that take longer."""
        until = time.monotonic() + seconds
        knocks = {name: self._knock(name, work, until) for name, work in works.items()}
        return {name: _answer(name, knock, until, seconds) for name, knock in knocks.items()}

    def _knock(self, name: str, work: Callable[[], Any], until: float) -> _Knock | None:
        """None where one of this name does not come back."""
        while True:
            with self._lock:
                before = self._out.get(name)
                if before is None or not before.thread.is_alive():
                    knock = self._out[name] = _Knock(name, work, until)
                    return knock
            # Somebody else's may be answered in a moment; one that is overdue is not waited for a second time.
            before.thread.join(max(min(until, before.until) - time.monotonic(), 0.0))
            if before.thread.is_alive():
                return None


class _Knock:
    """One call on its way."""

    def __init__(self, name: str, work: Callable[[], Any], until: float) -> None:
        self._work = work
        self.until = until
        self.answer: Any = None
        # A daemon: a process that ends waits for no mount.
        self.thread = threading.Thread(target=self._run, name=f"knock: {name}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.answer = self._work()
        except BaseException as error:  # noqa: BLE001 - whoever asked gets to see it, in his own thread
            self.answer = error


def _answer(name: str, knock: _Knock | None, until: float, seconds: float) -> Any:
    if knock is not None:
        knock.thread.join(max(until - time.monotonic(), 0.0))
        if not knock.thread.is_alive():
            return knock.answer
    return Unavailable(f"{name} has not answered within {seconds:g} s.", hint="Is its mount, or its host, alive?")

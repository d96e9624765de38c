"""Wait for a predicate instead of sleeping: tests end as soon as the thing is true and fail saying what was not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE_SECONDS = 40.0
"""What takes a moment alone takes many beside the tests of two other workers on two cores."""


def wait_until(
    predicate: Callable[[], object],
    timeout: float = PATIENCE_SECONDS,
    message: str = "the predicate never held",
    every: float = 0.02,
) -> None:
    """Poll `predicate` `every` so many seconds until it is truthy; fails with `message` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s: {message}")
        time.sleep(every)


async def wait_until_async(
    predicate: Callable[[], object], timeout: float = PATIENCE_SECONDS, message: str = "the predicate never held"
) -> None:
    """`wait_until` that lets the event loop run in between."""
    deadline = time.monotonic() + timeout
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s: {message}")
        await asyncio.sleep(0.02)

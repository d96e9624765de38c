"""How much room there is on the disk that a directory lies on, told often and cheaply, also where that disk hangs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from core.checkpoint_records import BYTES_PER_GB
from core.errors import Unavailable
from core.knocking import Knocker

ANSWER_SECONDS = 1.0
"""For a disk to tell; a dead mount never does."""
FRESH_SECONDS = 2.0
"""So long an answer is told again."""


class Usage(Protocol):
    """What `shutil.disk_usage` returns, in bytes."""

    @property
    def total(self) -> int: ...
    @property
    def used(self) -> int: ...
    @property
    def free(self) -> int: ...


class Room:
    """That of one directory; thread-safe."""

    def __init__(
        self,
        folder: Path,
        look: Callable[[Path], Usage] = shutil.disk_usage,
        *,
        answer_seconds: float = ANSWER_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
    ) -> None:
        self._folder = folder
        self._look = look
        self._answer_seconds = answer_seconds
        self._fresh_seconds = fresh_seconds
        self._knocker = Knocker()
        self._told: tuple[float, dict[str, float | None]] | None = None

    def told(self) -> dict[str, float | None]:
        """`{free_gb, total_gb, used_pct}` (spec 1.11); raises `Unavailable` where the disk does not tell in time."""
        told = self._told
        if told is None or time.monotonic() - told[0] > self._fresh_seconds:
            try:
                usage = self._knocker.ask(str(self._folder), lambda: self._look(self._folder), self._answer_seconds)
            except OSError as error:
                raise Unavailable(
                    f"{self._folder} cannot be looked at: {error.strerror}.", hint="Is it mounted?"
                ) from error
            told = self._told = (time.monotonic(), _gigabytes(usage))
        return dict(told[1])


def _gigabytes(usage: Usage) -> dict[str, float | None]:
    return {
        "free_gb": usage.free / BYTES_PER_GB,
        "total_gb": usage.total / BYTES_PER_GB,
        "used_pct": 100.0 * usage.used / usage.total if usage.total else None,
    }

"""A cap on bytes per second, shared by all connections of a transfer."""

from __future__ import annotations

import threading
import time

PIECE_BYTES = 1 << 20
"""Read at once without a cap."""

BURST_SECONDS = 0.25
"""What may be taken at once after a pause, in seconds' worth."""


class Pace:
    """Says how long to wait after so many bytes; None is no cap."""

    def __init__(self, bytes_per_second: int | None) -> None:
        self._rate = bytes_per_second
        self._lock = threading.Lock()
        self._paid_until = 0.0

    @property
    def piece_bytes(self) -> int:
        """How much to read at once, so that a slow pace is an even one."""
        return PIECE_BYTES if self._rate is None else max(1, min(PIECE_BYTES, self._rate // 10))

    def wait_for(self, count: int) -> float:
        """Seconds to wait now that `count` bytes have come."""
        if self._rate is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            self._paid_until = max(self._paid_until, now - BURST_SECONDS) + count / self._rate
            return max(0.0, self._paid_until - now)

"""Slows down whoever shows one wrong token after the other, by address, in bounded memory."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

FREE_FAILURES = 5
"""A person may mistype that often before waiting."""
LONGEST_WAIT = 60.0
FORGET_SECONDS = 900.0
MOST_CALLERS = 1024


@dataclass
class _Record:
    failures: int
    last: float
    """When the last one failed, monotonic seconds."""

    def wait(self) -> float:
        """Seconds that have to pass after the last failure: 1, 2, 4 … 60."""
        over = self.failures - FREE_FAILURES
        return 0.0 if over < 0 else min(LONGEST_WAIT, 2.0 ** min(over, 16))


class Attempts:
    """Failures per caller; every method takes the present in monotonic seconds."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def wait(self, caller: str, now: float) -> float:
        """Seconds until this caller may try again; 0 when it may now."""
        record = self._records.get(caller)
        return max(0.0, record.last + record.wait() - now) if record else 0.0

    def failed(self, caller: str, now: float) -> None:
        record = self._records.pop(caller, None)
        if record is None or now - record.last > FORGET_SECONDS:
            record = _Record(0, now)
        record.failures += 1
        record.last = now
        if len(self._records) >= MOST_CALLERS:
            # In the order of their last failure: the first has been quiet for the longest.
            del self._records[next(iter(self._records))]
        self._records[caller] = record

    def succeeded(self, caller: str) -> None:
        self._records.pop(caller, None)

    def __len__(self) -> int:
        return len(self._records)


def caller_address(peername: Any) -> str:
    """Who is at the other end of a socket, for counting: its IPv4 address, or its IPv6 network of 64 bits, in which
    one host may take any address it likes."""
    if not isinstance(peername, tuple) or not peername:
        return "unknown"
    try:
        address = ipaddress.ip_address(str(peername[0]))
    except ValueError:
        return str(peername[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address)

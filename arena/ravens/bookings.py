"""How far each target has been told of what happened: `status/notices.json`, durable before and after each message.

`sending` is written before a message leaves and struck out after it has arrived. Found at a start, nobody knows whether
that message arrived: it is sent once more, and says so. Everything else is told exactly once.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from core.files import DISK, Files, read_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Booking:
    """Of one target."""

    settled: int
    """Id of the last event that it needs no more word of."""
    at: str | None
    """When that event happened: a saga that was made anew has another one of that id."""
    names: tuple[str, ...]
    """What it was told of; what it was not, is not made up for when somebody asks for more later."""
    sending: int | None = None
    """Id of the last event in a message that is under way."""


class Bookings:
    """All targets of a realm; one writer."""

    def __init__(self, file: Path, *, files: Files = DISK) -> None:
        self._file = file
        self._files = files
        self._all = _read(file)
        self._writing = threading.RLock()

    def of(self, target: str) -> Booking | None:
        return self._all.get(target)

    def put(self, target: str, booking: Booking) -> None:
        """Write it down. On a disk that refuses, it holds until the process ends: news of a full disk must get out."""
        with self._writing:
            self._all[target] = booking
            self._write()

    def set_sending(self, target: str, event_id: int | None) -> None:
        """A message is about to leave, or has certainly not arrived (None)."""
        with self._writing:
            if booking := self._all.get(target):
                self.put(target, replace(booking, sending=event_id))

    def keep(self, targets: set[str]) -> None:
        """Forget all others: set again one day, they begin with what happens then."""
        with self._writing:
            if self._all.keys() - targets:
                self._all = {name: booking for name, booking in self._all.items() if name in targets}
                self._write()

    def _write(self) -> None:
        body = {"targets": {name: asdict(booking) for name, booking in self._all.items()}}
        try:
            self._files.write_json(self._file, body, durable=True)
        except OSError as error:
            logger.warning("%s is not written: %s", self._file, error, extra={"event": "notices_unwritten"})


def key_of(address: str) -> str:
    """A name for a target that does not tell its address."""
    return sha256(address.encode()).hexdigest()[:16]


def _read(file: Path) -> dict[str, Booking]:
    body = read_json(file)
    found = body.get("targets") if isinstance(body, dict) else None
    entries = found.items() if isinstance(found, dict) else ()
    return {name: booking for name, entry in entries if (booking := _booking(entry)) is not None}


def _booking(entry: Any) -> Booking | None:
    match entry:
        case {"settled": int(settled), "at": str() | None as at, "names": list(names), "sending": int() | None as last}:
            return Booking(settled, at, tuple(map(str, names)), last)
    return None

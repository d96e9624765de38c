"""The side of systemd that a service talks to: a notification socket that keeps what it was told."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.waiting import wait_until


class ServiceManager:
    """Listens on a path, or on `@name` in the abstract namespace; messages are the `KEY=value` lines of a datagram."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.messages: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)
        self._awake = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> ServiceManager:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes the reader
        self._reader.join(5)
        self._socket.close()

    def environment(self, watchdog_seconds: float | None = None) -> dict[str, str]:
        """What the service finds in its environment."""
        found = {"NOTIFY_SOCKET": self.address}
        if watchdog_seconds is not None:
            found["WATCHDOG_USEC"] = str(int(watchdog_seconds * 1e6))
        return found

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """Read nothing for a while, as a busy manager does."""
        with self._awake:
            yield

    def catch_up(self) -> None:
        """Wait until everything sent so far was read: the kernel refuses an eleventh message."""
        wait_until(lambda: not select.select([self._socket], [], [], 0)[0])

    def told(self, key: str) -> list[str]:
        """Everything that was said under `key`, oldest first."""
        return [message[key] for message in list(self.messages) if key in message]

    @property
    def status(self) -> str:
        """The newest status line, "" before there is one."""
        return next(reversed(self.told("STATUS")), "")

    def _read(self) -> None:
        while True:
            select.select([self._socket], [], [])
            with self._awake:
                data = self._socket.recv(1 << 16)
            if not data:
                return
            self.messages.append(dict(line.split("=", 1) for line in data.decode().splitlines()))

"""systemd's notification protocol: one datagram of `KEY=value` lines to the socket named in `NOTIFY_SOCKET`.

See sd_notify(3). Without that variable every call does nothing, so callers need not ask who started them.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import MutableMapping

logger = logging.getLogger(__name__)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Talks to the service manager; a manager that does not listen is logged once and stops nobody.

    Each message says whether the manager took it: its queue holds ten by default (`net.unix.max_dgram_qlen`), and a
    busy one does not empty it at once. What must arrive is said again by the caller.
    """

    def __init__(self, address: str | None = None, watchdog_seconds: float | None = None) -> None:
        """`address` is a path, or `@name` in Linux' abstract namespace; None for nobody."""
        self.watchdog_seconds = watchdog_seconds
        """The service manager ends a process that sends no `alive` for so long; None when it does not."""
        # A leading zero byte is how the kernel spells the abstract namespace.
        self._address = f"\0{address[1:]}" if address is not None and address.startswith("@") else address
        self._socket = None if address is None else socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if self._socket is not None:
            # A manager that does not read must not block the event loop.
            self._socket.setblocking(False)
        self._complained = False

    @classmethod
    def from_environment(cls, env: MutableMapping[str, str] = os.environ) -> Notifier:
        """Read the manager's variables and remove them: a child that inherits them would speak in our name."""
        address, microseconds, pid = (env.pop(name, None) for name in VARIABLES)
        if address is not None and not address.startswith(("/", "@")):
            logger.warning("NOTIFY_SOCKET=%s is not understood", address, extra={"event": "notify_ignored"})
            address = None
        if pid is not None and pid != str(os.getpid()):
            microseconds = None  # meant for the process that started us
        valid = microseconds is not None and microseconds.isdecimal() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if microseconds and valid else None)

    @property
    def listening(self) -> bool:
        """True when there is somebody to tell."""
        return self._socket is not None

    def ready(self, status: str) -> bool:
        """The start is over."""
        return self._send("READY=1", f"STATUS={_one_line(status)}")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(f"STATUS={_one_line(text)}")

    def alive(self) -> bool:
        """Keep the watchdog from biting for another `watchdog_seconds`."""
        return self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> bool:
        """Start or stop may take so many seconds more; repeat it before they are over."""
        return self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self, status: str) -> bool:
        """The end has begun."""
        return self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> bool:
        if self._socket is None or self._address is None:
            return True
        try:
            self._socket.sendto("\n".join(lines).encode("utf-8", errors="replace"), self._address)
        except OSError as error:
            if not self._complained:
                self._complained = True
                logger.warning("the service manager does not listen: %s", error, extra={"event": "notify_failed"})
            return False
        return True


def _one_line(text: str) -> str:
    """A newline in a file name would begin a new assignment, `STOPPING=1` for example."""
    return " ".join(text.split())

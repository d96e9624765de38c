"""A terminal of its own for one command: what is typed reaches it as from a keyboard, and it can be closed on it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import threading
from collections.abc import Sequence
from contextlib import suppress

from core.paths import CHECKOUT
from tests.waiting import wait_until


class PseudoTerminal:
    """Runs `command` as the foreground process of a new session on a pseudo terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        self._ours, theirs = pty.openpty()
        self._seen = b""
        self._closing = threading.Event()

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            # Tests that run under `nohup` hand on that it is ignored, which the realm heeds.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

        self.process = subprocess.Popen(
            command, cwd=CHECKOUT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=take_terminal,
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def wait_for(self, text: str, timeout: float = 60.0) -> None:
        """Wait until the command has printed `text`."""
        wait_until(lambda: text in self.text, timeout, f"{text!r} not on the terminal:\n{self.text}", every=0.05)

    def type(self, keys: str) -> None:
        """Press keys; `\\x03` is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP, and whatever is printed from now on fails."""
        self._closing.set()
        self._reader.join(10)

    def end(self) -> None:
        """Close it and end what still runs."""
        self.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        # Closed here: the kernel sends no SIGHUP while some thread still reads.
        with open(self._ours, "rb", buffering=0) as ours, suppress(OSError):  # EIO once the command has ended
            while not self._closing.is_set():
                if select.select([ours], [], [], 0.05)[0]:
                    self._seen += ours.read(4096)

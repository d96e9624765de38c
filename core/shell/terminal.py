"""Speaking to the terminal that started a long-running process, without ever waiting for it.

A terminal may be stopped (Ctrl-S, a sleeping laptop behind ssh) or gone. Printing into the one blocks, into the other
fails; neither may hold up a loop of the daemon or change its exit code.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading

LONGEST_BACKLOG = 1000
"""Lines that wait for a stopped terminal; what comes after them is not printed (it is in the saga and the log)."""


# What a file name may smuggle into a message must not move the reader's cursor or colour his terminal.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}
# Bytes of a file name that are no UTF-8 (PEP 383): the terminal's encoding would refuse them.
_CONTROL |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}


def printable(text: str) -> str:
    """The text with its control characters, but for newline and tab, and its lone surrogates spelled out."""
    return text.translate(_CONTROL)


class Terminal:
    """Lines are written by a thread of its own, which dies with the process wherever it is stuck."""

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._lines: queue.Queue[str | None] = queue.Queue(LONGEST_BACKLOG)
        self._writer = threading.Thread(target=self._write, name="terminal", daemon=True)
        self._writer.start()

    def say(self, text: str) -> None:
        """Print a line some time soon, or never; returns at once."""
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(text)

    def close(self, seconds: float = 1.0) -> None:
        """Wait for what was said, but not longer than this."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._writer.join(seconds)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            # Not through sys.stdout: its lock, held by a stuck thread, aborts the interpreter at its end.
            rest = f"{printable(text)}\n".encode(errors="replace")
            try:
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
            except OSError:
                return  # nobody reads any more; the backlog fills up and is forgotten

"""The child's end of the socket to the daemon: a reader thread, a writer thread, and a coalescing queue.

Nothing here ever blocks a step: a daemon that is slow, stopped or gone costs the trainer a queue entry at most.
Progress frames are merged while they wait, hold so many points at most, and leave at most five times a second;
everything else is rare, is never dropped and keeps its order.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import threading
import time
from collections import deque

import msgspec

from arena.protocol import Command, Event, Progress, decode_command, encode

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL_SECONDS = 0.2
KEPT_POINTS = 5_000
"""Step points that wait for a stalled daemon at most; older ones are dropped first."""


class DaemonLink:
    """Events up, commands down."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._outbox: deque[Event] = deque()
        self._changed = threading.Condition()
        self._ending = False
        self._parent = os.getppid()
        self._hung_up = False
        self._writer = threading.Thread(target=self._write, name="link-writer", daemon=True)
        self._writer.start()
        threading.Thread(target=self._read, name="link-reader", daemon=True).start()

    @classmethod
    def connect(cls, socket_path: str) -> DaemonLink:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(socket_path)
        return cls(connection)

    @property
    def closed(self) -> bool:
        """True when the daemon is gone.

        The socket alone may not tell: a process that the daemon has forked may keep its end of it open.
        """
        return self._hung_up or os.getppid() != self._parent

    def send(self, event: Event) -> None:
        """Queue an event; never blocks."""
        with self._changed:
            last = self._outbox[-1] if self._outbox else None
            if isinstance(event, Progress) and isinstance(last, Progress) and last.quest_id == event.quest_id:
                points = (last.points + event.points)[-KEPT_POINTS:]
                self._outbox[-1] = msgspec.structs.replace(event, points=points)
            else:
                self._outbox.append(event)
            self._changed.notify()

    def receive(self, timeout: float) -> Command | None:
        """The next command, or None after `timeout` seconds (0 only looks) and when the daemon is gone."""
        try:
            return self._commands.get(block=timeout > 0, timeout=timeout or None)
        except queue.Empty:
            return None

    def wake(self) -> None:
        """Make a waiting `receive` return now; safe in a signal handler."""
        self._commands.put(None)

    def close(self, timeout: float = 2.0) -> None:
        """Send what is queued, as far as the daemon takes it within `timeout` seconds, and close."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._writer.join(timeout)
        # Closing alone leaves the connection open for as long as the reader thread sits in it.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self) -> None:
        try:
            with self._socket.makefile("rb") as stream:
                for line in stream:
                    self._commands.put(decode_command(line))
        except (OSError, ValueError, msgspec.DecodeError) as error:
            if not self._ending:
                logger.warning("lost the daemon: %s", error, extra={"event": "link_lost"})
        self._hung_up = True
        self._commands.put(None)

    def _write(self) -> None:
        last_progress = float("-inf")
        while True:
            with self._changed:
                while not self._outbox and not self._ending:
                    self._changed.wait()
                if not self._outbox:
                    return
                wait = last_progress + PROGRESS_INTERVAL_SECONDS - time.monotonic()
                alone = len(self._outbox) == 1 and isinstance(self._outbox[0], Progress)
                if alone and wait > 0 and not self._ending:
                    # It stays in the queue meanwhile, so that later steps can still merge into it.
                    self._changed.wait(wait)
                    continue
                event = self._outbox.popleft()
            if isinstance(event, Progress):
                last_progress = time.monotonic()
            try:
                self._socket.sendall(encode(event) + b"\n")
            except OSError:
                return

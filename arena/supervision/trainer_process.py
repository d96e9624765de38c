"""One trainer child as its parent sees it: started, spoken to over a Unix socket, and its death explained."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from arena.protocol import PROTOCOL_VERSION, SOCKET_VARIABLE, Begin, Command, Event, Hello, decode_event, encode
from arena.supervision.exit_record import read_exit_record
from arena.supervision.position_file import Position, read_position
from core.paths import CHECKOUT, RealmPaths

logger = logging.getLogger(__name__)

LINE_LIMIT = 64 << 20
"""Bytes of one protocol line at most; a Begin with many open quests is the longest."""
LAST_LINES = 5


@dataclass(frozen=True)
class Death:
    """How a trainer child ended."""

    pid: int
    clean: bool
    """It saved everything and meant to go."""
    cause: str
    """One or two sentences for people."""
    position: Position | None
    """Where it stood; None when it left no trace."""


class TrainerProcess:
    """Starts `python -m arena.trainer` in its own process group; single use."""

    def __init__(self, paths: RealmPaths, *, log_megabytes: int = 64) -> None:
        self._paths = paths
        self._log_megabytes = log_megabytes
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._oom_kills_before = _oom_kills()
        self._output = paths.logs / "trainer-output.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self, begin: Begin) -> None:
        """Spawn the child and answer its hello with `begin`; events then flow into `events()`."""
        # A folder of its own under /tmp: a Unix socket path is limited to 107 bytes, base directories are not.
        self._socket_dir = tempfile.mkdtemp(prefix="realm-")
        socket_path = os.path.join(self._socket_dir, "trainer.sock")
        self._begin = begin
        self._server = await asyncio.start_unix_server(self._serve, socket_path, limit=LINE_LIMIT)
        env = os.environ | {SOCKET_VARIABLE: socket_path, "PYTHONUNBUFFERED": "1"}
        with self._open_output() as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "arena.trainer", "--base-dir", str(self._paths.base),
                "--log-megabytes", str(self._log_megabytes),
                cwd=CHECKOUT, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._watch = asyncio.create_task(self._end_events_at_exit(), name="trainer-exit")
        logger.info("started the trainer", extra={"event": "trainer_started", "trainer_pid": self.pid})

    async def send(self, command: Command) -> None:
        """Send a command; a child that is gone is noticed by `wait`, not here."""
        if self._writer is None:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._writer.write(encode(command) + b"\n")
            await self._writer.drain()

    async def next_event(self) -> Event | None:
        """The next event; None once the child is gone and everything it said has been delivered."""
        return await self._events.get()

    async def wait(self) -> Death:
        """Wait for the end of the process and explain it."""
        if self._process is None:
            raise RuntimeError("the trainer was never started")
        code = await self._process.wait()
        self._close()
        return self._explain(self._process.pid, code)

    async def end(self, *, grace_seconds: float) -> None:
        """SIGTERM to the child, SIGKILL to its process group when it is still there after `grace_seconds`."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        except TimeoutError:
            logger.error("the trainer did not end in %s s", grace_seconds, extra={"event": "trainer_killed"})
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = decode_event(await reader.readline())
            if not isinstance(hello, Hello) or hello.version != PROTOCOL_VERSION or hello.pid != self.pid:
                logger.error("something else spoke on the trainer's socket", extra={"event": "trainer_bad_hello"})
                return
            self._writer = writer
            await self.send(self._begin)
            while line := await reader.readline():
                self._events.put_nowait(decode_event(line))
        except (ConnectionError, ValueError, msgspec.DecodeError) as error:
            logger.warning("the trainer's socket broke: %s", error, extra={"event": "trainer_link_broke"})
        finally:
            writer.close()

    async def _end_events_at_exit(self) -> None:
        if self._process is None:
            return
        await self._process.wait()
        if self._server is not None:
            self._server.close()
            # Everything that the child wrote before it died is still in the socket: let the reader finish.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._server.wait_closed(), 2.0)
        self._events.put_nowait(None)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._server is not None:
            self._server.close()
        shutil.rmtree(self._socket_dir, ignore_errors=True)

    def _open_output(self) -> IO[bytes]:
        self._output.parent.mkdir(parents=True, exist_ok=True)
        return self._output.open("ab")

    def _explain(self, pid: int, code: int) -> Death:
        record = read_exit_record(self._paths.current_model, pid)
        position = read_position(self._paths.current_model / ".position")
        if position is not None and position.pid != pid:
            position = None
        if record is not None:
            return Death(pid=pid, clean=record.clean and code == 0, cause=record.reason, position=position)
        if code < 0:
            name = signal.Signals(-code).name
            cause = f"The trainer was ended by signal {name}"
            if name == "SIGKILL":
                killed_for_memory = _oom_kills() > self._oom_kills_before
                cause += ": the system ran out of memory." if killed_for_memory else " (kill -9, or out of memory)."
            else:
                cause += f". {self._last_lines()}"
        else:
            cause = f"The trainer ended with exit code {code}. {self._last_lines()}"
        return Death(pid=pid, clean=False, cause=cause.strip(), position=position)

    def _last_lines(self) -> str:
        try:
            with self._output.open("rb") as stream:
                stream.seek(max(0, self._output.stat().st_size - 4096))
                lines = stream.read().decode("utf-8", errors="replace").splitlines()[-LAST_LINES:]
        except OSError:
            return ""
        return "Its last lines: " + " | ".join(lines) if lines else ""


def _oom_kills() -> int:
    """Kills by the kernel's out-of-memory killer so far, in this control group or on this machine."""
    for file, key in ((Path("/sys/fs/cgroup/memory.events"), "oom_kill"), (Path("/proc/vmstat"), "oom_kill")):
        with contextlib.suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
    return 0

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
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import IO

import msgspec

from arena.protocol import PROTOCOL_VERSION, SOCKET_VARIABLE, Begin, Command, Event, Hello, decode_event, encode
from arena.supervision.child_guard import ChildGuard
from arena.supervision.exit_record import EXIT_RECORD, read_exit_record
from arena.supervision.heartbeat_watch import HeartbeatWatch
from arena.supervision.memory_kills import MemoryKills
from arena.supervision.position_file import Position, read_position
from core.files import read_json
from core.paths import CHECKOUT, RealmPaths

logger = logging.getLogger(__name__)

LINE_LIMIT = 64 << 20
"""Bytes of one protocol line at most; a Begin with many open quests is the longest."""
SOCKET_NAME = "trainer.sock"
LONGEST_SOCKET_PATH = 107
"""Bytes, `sun_path` of Linux less its end."""
LAST_LINES = 5
SCALING_MODULE = "arena.trainer.scaling"
"""Torchrun, around several processes of a trainer."""
HUNG_SECONDS = 120.0
"""Of silence, for whoever has no settings at hand; `trainer.hung_seconds` is the daemon's."""


@dataclass(frozen=True)
class Death:
    """How a trainer child ended."""

    pid: int | None
    """None when it could not even be started."""
    clean: bool
    """It saved everything and meant to go."""
    cause: str
    """One or two sentences for people."""
    position: Position | None
    """Where it stood; None when it left no trace."""
    out_of_memory: bool = False
    """The machine, or the accelerator, had no more memory for it."""
    interrupted: bool = False
    """It did not go in time when it was told to, so that we killed it: nothing has failed, nobody is to blame."""


class TrainerProcess:
    """Starts `python -m arena.trainer` in its own process group, or torchrun around several; single use."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        log_megabytes: int = 64,
        watch: HeartbeatWatch | None = None,
        module: str = "arena.trainer",
    ) -> None:
        """`watch` tells when the child hangs; one that is kept learns from each child how slow things are here.

        `module` is what the child runs.
        """
        self._paths = paths
        self._module = module
        self._heartbeats = watch or HeartbeatWatch(HUNG_SECONDS)
        self._log_megabytes = log_megabytes
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._guard: ChildGuard | None = None
        self._guarding: asyncio.Task[None] | None = None
        self._misfit: str | None = None
        """Why the two of us cannot speak with each other."""
        self._death: Death | None = None
        self._processes = 1
        self._told_to_end = False
        self._given_up: str | None = None
        """Why we killed it, when it did not hang."""
        self._output = paths.logs / "trainer-output.log"
        self._position_file = paths.current_model / ".position"
        # What an earlier child left, which may have had the same pid.
        self._before = (read_json(paths.current_model / EXIT_RECORD), read_position(self._position_file))

    @property
    def pid(self) -> int | None:
        """The trainer's own: of several processes, the first one's once it has said hello, until then torchrun's."""
        if self._guard is not None:
            return self._guard.pid
        return self._process.pid if self._process else None

    async def start(self, begin: Begin, *, environment: Mapping[str, str] | None = None) -> None:
        """Spawn the child and answer its hello with `begin`; events then flow into `events()`.

        `environment` is added to what it inherits.
        """
        self._socket_dir = _short_folder()
        socket_path = os.path.join(self._socket_dir, SOCKET_NAME)
        self._begin, self._processes = begin, begin.processes
        try:
            self._server = await asyncio.start_unix_server(self._serve, socket_path, limit=LINE_LIMIT)
            env = os.environ | {SOCKET_VARIABLE: socket_path, "PYTHONUNBUFFERED": "1"} | dict(environment or {})
            with self._open_output() as output:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", *self._command(), "--base-dir", str(self._paths.base),
                    "--log-megabytes", str(self._log_megabytes),
                    cwd=CHECKOUT, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                )  # fmt: skip
            pid = self._process.pid
            self._kills = MemoryKills(pid)
            self._guard = ChildGuard(
                pid, position=self._position_file, output=self._output, watch=self._heartbeats, kills=self._kills,
                tell=self._events.put_nowait,
            )  # fmt: skip
        except OSError:  # no memory for another process, no file handles, a full disk
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
            self._close()
            raise
        self._guarding = asyncio.create_task(self._guard.run(), name="trainer-guard")
        self._watch = asyncio.create_task(self._end_events_at_exit(), name="trainer-exit")
        logger.info("started the trainer", extra={"event": "trainer_started", "trainer_pid": pid})

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
        if self._process is None or self._guard is None:
            raise RuntimeError("the trainer was never started")
        code = await self._process.wait()
        if self._death is None:
            self._death = await asyncio.to_thread(self._explain, self._guard, code)
            self._close()
        return self._death

    async def end(self, *, grace_seconds: float) -> None:
        """SIGTERM to the child, SIGKILL to its process group when it is still there after `grace_seconds`."""
        if self._process is None or self._guard is None or self._process.returncode is not None:
            return
        self._told_to_end = True
        self._guard.send(signal.SIGTERM)
        # One that somebody has stopped hears of nothing else.
        self._guard.send(signal.SIGCONT)
        try:
            await asyncio.wait_for(self._process.wait(), grace_seconds)
        except TimeoutError:
            logger.error("the trainer did not end in %s s", grace_seconds, extra={"event": "trainer_killed"})
            self._given_up = f"it was told to end, did not within {grace_seconds:g} s, and was killed"
            self._guard.kill_group()
            await self._process.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = decode_event(await reader.readline())
            if not isinstance(hello, Hello) or not self._take_for_ours(hello.pid):
                logger.error("something else spoke on the trainer's socket", extra={"event": "trainer_bad_hello"})
                return
            if hello.version != PROTOCOL_VERSION:
                spoken = f"version {hello.version} of the protocol, this process version {PROTOCOL_VERSION}"
                self._misfit = f"The trainer speaks {spoken}: the code was changed meanwhile. Start the realm again."
                return
            self._writer = writer
            if self._processes == 1:
                # Nobody else is to connect. Killed from here on, this process leaves nothing behind in /tmp.
                shutil.rmtree(self._socket_dir, ignore_errors=True)
            await self.send(self._begin)
            while line := await reader.readline():
                self._events.put_nowait(decode_event(line))
        except (ValueError, msgspec.DecodeError) as error:
            self._misfit = f"The trainer said what this process does not understand: {error}"
            logger.error("%s", self._misfit, extra={"event": "trainer_bad_message"})
        except ConnectionError as error:
            logger.warning("the trainer's socket broke: %s", error, extra={"event": "trainer_link_broke"})
        finally:
            writer.close()

    def _command(self) -> list[str]:
        """The module to run, and for several processes torchrun around it."""
        if self._processes == 1:
            return [self._module]
        return [SCALING_MODULE, "--processes", str(self._processes), "--meeting-place", self._socket_dir]

    def _take_for_ours(self, pid: int) -> bool:
        """Whether the child itself says hello, or one that it has started as torchrun; that one is guarded then."""
        if pid == self.pid:
            return True
        return self._processes > 1 and self._guard is not None and self._guard.follow(pid)

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
        if self._guarding is not None:
            self._guarding.cancel()
        if self._guard is not None:
            self._guard.close()
        shutil.rmtree(self._socket_dir, ignore_errors=True)

    def _open_output(self) -> IO[bytes]:
        self._output.parent.mkdir(parents=True, exist_ok=True)
        return self._output.open("ab")

    def _explain(self, guard: ChildGuard, code: int) -> Death:
        record_before, position_before = self._before
        record = read_exit_record(self._paths.current_model, guard.pid)
        if record is not None and asdict(record) == record_before:
            record = None
        position = read_position(self._position_file)
        if position is not None and (position.pid != guard.pid or position == position_before):
            position = None
        death = Death(pid=guard.pid, clean=False, cause="", position=position)
        if self._misfit is not None:
            return replace(death, cause=self._misfit)
        killed_by_us = guard.verdict is not None or self._given_up is not None
        # One that was told to stop had saved before another one was killed; a signal comes from torchrun, for that one.
        had_saved = record is not None and record.clean and not record.reason.startswith("signal ")
        another_killed = self._processes > 1 and code == -signal.SIGKILL and not killed_by_us and not had_saved
        if record is not None and record.clean and not another_killed:
            if code:  # a library that breaks while the interpreter is taken down has nothing left to harm
                logger.warning("the trainer saved, and ended with code %d", code, extra={"event": "trainer_exit_code"})
            obeyed = guard.asked is not None and record.reason.startswith("signal SIGTERM")
            cause = f"{guard.asked}; asked to end, it saved and did" if obeyed else record.reason
            return replace(death, clean=True, cause=cause)
        if guard.verdict is not None:
            return replace(death, cause=guard.verdict)
        if another_killed and record is not None:
            # The first process has noticed, or was ended by torchrun for it.
            kill = self._explain_kill(death)
            return replace(kill, cause=f"{kill.cause} {record.reason}")
        if record is not None:
            return replace(death, cause=record.reason, out_of_memory=record.out_of_memory)
        if self._given_up is not None or (self._told_to_end and code == -signal.SIGTERM):
            return replace(death, cause=self._given_up or "it was told to end before it had begun", interrupted=True)
        if code == -signal.SIGKILL:
            return self._explain_kill(death)
        how = f"was ended by signal {_name_of(-code)}" if code < 0 else f"ended with exit code {code}"
        return replace(death, cause=f"The trainer {how}. {self._last_lines()}".strip())

    def _explain_kill(self, death: Death) -> Death:
        cause = "The trainer was ended by signal SIGKILL"
        if self._kills.happened():
            return replace(death, cause=f"{cause}: the kernel had no memory left for it.", out_of_memory=True)
        if not self._kills.counted:
            return replace(death, cause=f"{cause} (kill -9, or out of memory).")
        # earlyoom and systemd-oomd are such guards; the kernel does not count what they kill.
        return replace(death, cause=f"{cause} (kill -9, or a guard of the memory; the kernel itself had some left).")

    def _last_lines(self) -> str:
        try:
            with self._output.open("rb") as stream:
                stream.seek(max(0, self._output.stat().st_size - 4096))
                lines = stream.read().decode("utf-8", errors="replace").splitlines()[-LAST_LINES:]
        except OSError:
            return ""
        return "Its last lines: " + " | ".join(lines) if lines else ""


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return str(number)


def _short_folder() -> str:
    """A folder of its own for the socket; base directories and TMPDIR may be longer than its path can be."""
    folder = tempfile.mkdtemp(prefix="realm-")
    if len(os.fsencode(os.path.join(folder, SOCKET_NAME))) <= LONGEST_SOCKET_PATH:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="realm-", dir="/tmp")

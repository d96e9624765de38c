"""Looks after a running trainer child: says when something holds it, and ends it when it hangs (ADR 0013).

The ladder for a hung child: SIGTERM (one that only is slow saves and ends), SIGUSR1 (its stacks go into the log),
SIGKILL to its process group. Signals go through a pidfd, which never leads to a stranger (law 10).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from arena.protocol import Trouble
from arena.supervision.heartbeat_watch import WORDS, Finding, Glance, HeartbeatWatch, describe_hang
from arena.supervision.memory_kills import MemoryKills
from arena.supervision.position_file import Phase, read_position
from core.paths import CHECKOUT
from core.processes import look_at

if TYPE_CHECKING:
    import psutil

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
TOLD_AFTER_SECONDS = 5.0
"""A debugger or profiler that looks in for a moment is not worth an event."""
ASK_SECONDS = 10.0
"""Given to a child that was asked to end, until it is ended; a sign of life ends the ladder."""
DUMP_SECONDS = 3.0
"""Given to a child to write its stacks."""

DUMP_SIGNAL = signal.SIGUSR1
"""Makes the child write the stacks of all its threads to its output, wherever it hangs (`faulthandler.register`)."""

HELD = "trainer_held"
SILENT = "trainer_silent"
HOLDS = (HELD, SILENT)
GOES_ON = "trainer_goes_on"
"""After either of them."""

WHAT_TO_DO = {
    Finding.STOPPED: "is stopped by a signal (SIGSTOP, Ctrl-Z); `kill -CONT {pid}` lets it go on",
    Finding.TRACED: "is held by a debugger or tracer, which lets it go on when it leaves",
    Finding.DISK: "has been waiting for a disk or a network share for {seconds:.0f} s; look at `dmesg` and the mounts",
}

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)')


class ChildGuard:
    """Guards one child from its start to its end."""

    def __init__(
        self,
        pid: int,
        *,
        position: Path,
        output: Path,
        watch: HeartbeatWatch,
        kills: MemoryKills,
        tell: Callable[[Trouble], None],
    ) -> None:
        """`position` is the child's own record, `output` where its stdout and stderr go."""
        self.pid = pid
        self._handle = self._leader_handle = os.pidfd_open(pid)
        self._leader = pid
        """The process that was started: the child, or torchrun around it."""
        self._position = position
        self._output = output
        self._watch = watch
        self._kills = kills
        self._tell = tell
        self._held: str | None = None
        """What it was told to be: stopped, silent and the like."""
        self.asked: str | None = None
        """Why the child was asked to end; None when it was not."""
        self.verdict: str | None = None
        """Why it was killed."""

    async def run(self) -> None:
        """Guard until the child is gone."""
        self._watch.begin()
        while (glance := await asyncio.to_thread(self._glance)) is not None:
            finding = self._watch.look(glance, time.monotonic())
            self._tell_of_hold(finding, glance.phase)
            if finding is Finding.HUNG and await asyncio.to_thread(self._can_note):
                await self._end(glance)
            await asyncio.sleep(LOOK_SECONDS)

    def close(self) -> None:
        """The child is gone. May be called more than once."""
        for handle in {self._handle, self._leader_handle} - {-1}:
            os.close(handle)
        self._handle = self._leader_handle = -1

    def send(self, number: signal.Signals) -> bool:
        """Signal the child, and no other process; False when it is gone."""
        if self._handle < 0:
            return False
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return False
        return True

    def follow(self, pid: int) -> bool:
        """Guard, from now on, the process `pid` that the one it was made for has started; False when it has not."""
        import psutil  # seldom needed: a start takes less without it

        try:
            if psutil.Process(pid).ppid() != self._leader:
                return False
            self._handle = os.pidfd_open(pid)
        except (psutil.Error, OSError):
            return False
        self.pid = pid
        self._watch.begin()
        return True

    def kill_group(self) -> None:
        """SIGKILL to the child and whatever it, or torchrun around it, has started."""
        with suppress(ProcessLookupError):
            # As long as the child is there, its number is that of no other group.
            signal.pidfd_send_signal(self._leader_handle, 0)
            others = _below(self._leader)
            os.killpg(self._leader, signal.SIGKILL)
            _kill(others)  # torchrun gives each process a group of its own

    def _glance(self) -> Glance | None:
        process = look_at(self.pid)
        if process is None or process.state in ("Z", "X"):
            return None
        self._kills.note()
        position = read_position(self._position)
        return Glance(position if position is not None and position.pid == self.pid else None, process)

    def _can_note(self) -> bool:
        """Whether the child's beats reach the disk at all: where it is read-only now, silence means nothing."""
        try:
            os.close(os.open(self._position, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError:
            return self._position.parent.is_dir()
        except OSError:
            return False
        return True

    def _tell_of_hold(self, finding: Finding, phase: Phase | None) -> None:
        watch, patience = self._watch, self._watch.patience(phase)
        if finding in WHAT_TO_DO:
            if watch.held >= (patience if finding is Finding.DISK else TOLD_AFTER_SECONDS):
                self._hold(HELD, finding.value, WHAT_TO_DO[finding].format(pid=self.pid, seconds=watch.held))
        elif finding is Finding.HUNG:
            pass  # its death tells of it
        elif watch.silent >= patience:
            for_seconds = f"has given no sign of life for {watch.silent:.0f} s {WORDS[phase]}"
            self._hold(SILENT, "silent", f"{for_seconds}; after {watch.deadline(phase):.0f} s without one it is ended")
        elif self._held is not None:
            held, self._held = self._held, None
            self._tell(Trouble(what=GOES_ON, message=f"The trainer goes on; it was {held}."))

    def _hold(self, kind: str, held: str, what: str) -> None:
        """Tell why it does not go on, once for each reason."""
        if self._held != held:
            self._held = held
            self._tell(Trouble(what=kind, message=f"The trainer (pid {self.pid}) {what}."))

    async def _end(self, glance: Glance) -> None:
        """Down the ladder; a child that stirs on the way was slow, not hung: it saves and ends by itself."""
        hang = describe_hang(self._watch, glance, None)
        logger.error("the trainer is %s; it is asked to end", hang, extra={"event": "trainer_hung"})
        self.asked = hang
        self.send(signal.SIGTERM)
        if await self._stirs(glance, ASK_SECONDS):
            return
        self.verdict = describe_hang(self._watch, glance, await self._dump())
        self.kill_group()

    async def _stirs(self, before: Glance, seconds: float) -> bool:
        """Whether the child ends or beats within so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS / 4)
            now = await asyncio.to_thread(self._glance)
            if now is None or now.position != before.position:
                return True
        return False

    async def _dump(self) -> str | None:
        """Have the child write its stacks into the log; the place where its main thread stands."""
        begin = _size(self._output)
        if not self.send(DUMP_SIGNAL):
            return None
        until, seen = time.monotonic() + DUMP_SECONDS, begin
        while time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS / 4)
            size = _size(self._output)
            if size == seen > begin:
                break
            seen = size
        return await asyncio.to_thread(_place_in, self._output, begin)


def _below(pid: int) -> list[psutil.Process]:
    import psutil

    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _kill(processes: list[psutil.Process]) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _place_in(output: Path, begin: int) -> str | None:
    """The innermost frame of the stacks behind byte `begin`, and the one of our code that led there.

    Such as `_VF.py:41 (lstm) in target_loss.py:30 (summed_loss)`; None when there are no stacks.
    """
    try:
        with output.open("rb") as stream:
            stream.seek(begin)
            text = stream.read(1 << 20).decode(errors="replace")
    except OSError:
        return None
    _, _, current = text.partition("Current thread")
    frames = list(_FRAME.finditer(current))
    if not frames:
        return None
    ours = next((frame for frame in frames if _is_ours(frame["file"])), None)
    told = [frames[0], *([ours] if ours is not None and ours is not frames[0] else [])]
    return " in ".join(f"{Path(frame['file']).name}:{frame['line']} ({frame['name']})" for frame in told)


def _is_ours(file: str) -> bool:
    # The virtual environment may lie in the checkout.
    return file.startswith(f"{CHECKOUT}/") and "site-packages" not in file

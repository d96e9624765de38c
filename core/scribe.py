"""The scribe: parsing, hashing and rendering in a torch-free worker process, so that the event loop does only I/O.

The worker starts with the first job, runs jobs one at a time in the order they came, and ends when it has been
idle. A job may make it die (out of memory on a monstrous file): it is tried once more on a fresh worker. It has a
low CPU priority, and the time for which it had to wait for a CPU does not count against a job.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.errors import RealmError, Unavailable
from core.paths import CHECKOUT

logger = logging.getLogger(__name__)

WORKER_COMMAND = (sys.executable, "-m", "core.scribe_worker")
PROMPT_COMMAND = (*WORKER_COMMAND, "5")
"""Of a worker whose jobs are small and somebody waits for: a quarter of a CPU that training wants too."""

LONGEST_ANSWER = 256 << 20
"""Bytes of one answer line at most."""

FAREWELL_SECONDS = 5.0
"""How long a worker may take to end after its stdin is closed."""

LAST_WORDS_SECONDS = 0.5
"""How long stderr is read on after the worker has ended."""


class ScribeBug(RuntimeError):
    """A job raised something that is not a `RealmError`: a bug in the job. The note holds its traceback."""


class WorkerDied(Exception):
    """The worker ended in the middle of a job; the message says how."""


class Scribe:
    """One worker process on demand. Make it inside the running event loop; `close` it before the loop ends."""

    def __init__(
        self, idle_seconds: float = 30.0, timeout_seconds: float = 600.0, *, command: Sequence[str] = WORKER_COMMAND
    ) -> None:
        self._command = command
        self._idle_seconds = idle_seconds
        self._timeout_seconds = timeout_seconds
        self._turn = asyncio.Lock()
        self._worker: _Worker | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._farewells: set[asyncio.Task[None]] = set()
        self._closed = False
        self.jobs = 0
        """Jobs begun so far."""

    @property
    def worker_pid(self) -> int | None:
        """Pid of the worker while there is one."""
        return self._worker.pid if self._worker else None

    async def run(self, target: str, kwargs: dict[str, Any], timeout: float | None = None) -> Any:
        """Call `package.module:function(**kwargs)` in the worker; arguments and result are JSON.

        A `RealmError` of the job is raised here as the same class. Raises `Unavailable` when the job takes longer
        than `timeout` seconds (waiting for its turn or for a CPU not counted) or kills two workers, `ScribeBug` for
        other errors.
        """
        async with self._turn:
            if self._closed:
                raise Unavailable("The scribe is closed.")
            if self._idle_timer is not None:
                self._idle_timer.cancel()
                self._idle_timer = None
            self.jobs += 1
            try:
                return await self._try_twice(target, kwargs, timeout or self._timeout_seconds)
            finally:
                if self._worker is not None:
                    loop = asyncio.get_running_loop()
                    self._idle_timer = loop.call_later(self._idle_seconds, self._dismiss)

    def caller(self) -> Callable[[str, dict[str, Any]], Any]:
        """`run` for the threads of the event loop that this is called in; they wait for the answer."""
        loop = asyncio.get_running_loop()
        return lambda target, kwargs: asyncio.run_coroutine_threadsafe(self.run(target, kwargs), loop).result()

    async def close(self) -> None:
        """End the worker; a job that runs is cut off. May be called more than once."""
        self._closed = True
        if self._turn.locked() and self._worker is not None:
            self._worker.kill()
        async with self._turn:
            if self._idle_timer is not None:
                self._idle_timer.cancel()
            self._dismiss()
        if self._farewells:
            await asyncio.wait(self._farewells)

    async def _try_twice(self, target: str, kwargs: dict[str, Any], timeout: float) -> Any:
        for attempt in (1, 2):
            try:
                return await self._try_once(target, kwargs, timeout)
            except WorkerDied as death:
                logger.warning(
                    "the scribe's worker died on %s: %s",
                    target,
                    death,
                    extra={"event": "scribe_worker_died", "target": target, "attempt": attempt},
                )
                if self._closed:
                    raise Unavailable("The scribe was closed while it worked.") from death
                cause = death
        raise Unavailable(f"{target} ended its worker process twice: {cause}.", target=target) from cause

    async def _try_once(self, target: str, kwargs: dict[str, Any], timeout: float) -> Any:
        if self._worker is not None and self._worker.ended:
            self._dismiss()
        if self._worker is None:
            self._worker = await _Worker.start(self._command)
        if self._closed:
            raise Unavailable("The scribe is closed.")
        worker = self._worker
        try:
            answer = await worker.ask_within(timeout, target, kwargs)
        except TimeoutError as error:
            await self._abandon(worker)
            raise Unavailable(f"{target} took longer than {timeout:g} s and was ended.", target=target) from error
        except (WorkerDied, asyncio.CancelledError):
            # Cancelled in mid-job: its answer would still come, and be taken for the next job's.
            await self._abandon(worker)
            raise
        return _unpack(answer)

    async def _abandon(self, worker: _Worker) -> None:
        self._worker = None
        worker.kill()
        await asyncio.shield(self._see_off(worker))

    def _dismiss(self) -> None:
        if self._worker is not None:
            self._see_off(self._worker)
            self._worker = None

    def _see_off(self, worker: _Worker) -> asyncio.Task[None]:
        task = asyncio.create_task(worker.end(), name="scribe farewell")
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)
        return task


class _Worker:
    """A running `python -m core.scribe_worker` and the last lines of its stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._last_lines: deque[str] = deque(maxlen=5)
        self._listener = asyncio.create_task(self._listen(), name="scribe stderr")
        self._jobs = 0

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=CHECKOUT,
            limit=LONGEST_ANSWER,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None

    async def ask_within(self, seconds: float, target: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        """`ask`, but raise `TimeoutError` after so many seconds in which the worker could have worked."""
        loop = asyncio.get_running_loop()
        begun = loop.time() - self._seconds_without_cpu()
        asking = asyncio.create_task(self.ask(target, kwargs), name="scribe job")
        try:
            while (left := begun + self._seconds_without_cpu() + seconds - loop.time()) > 0:
                done, _ = await asyncio.wait({asking}, timeout=left)
                if done:
                    return asking.result()
        finally:
            asking.cancel()
        raise TimeoutError

    def _seconds_without_cpu(self) -> float:
        """For how long the worker was ready to run while others had the CPU; 0 where the kernel does not tell."""
        try:
            _, waited_ns, _ = Path(f"/proc/{self.pid}/schedstat").read_text().split()
        except (OSError, ValueError):
            return 0.0
        return int(waited_ns) / 1e9

    async def ask(self, target: str, kwargs: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._jobs += 1
        job = json.dumps({"id": self._jobs, "target": target, "kwargs": kwargs}).encode() + b"\n"
        try:
            self._process.stdin.write(job)
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        except ConnectionError:
            line = b""
        except ValueError as error:
            raise WorkerDied(f"its answer was longer than {LONGEST_ANSWER >> 20} MB") from error
        if not line.endswith(b"\n"):
            raise WorkerDied(await self._cause_of_death())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        """End the worker, if it has not ended, and whatever its jobs have started: it leads its own process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Close its stdin and wait; kill it when that does not end it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), FAREWELL_SECONDS)
        except TimeoutError:
            logger.warning("the scribe's worker did not end by itself", extra={"event": "scribe_worker_killed"})
        self.kill()
        await self._process.wait()
        await self._hear_out()

    async def _cause_of_death(self) -> str:
        # First the group: `wait` also waits for stderr to close, which a child of the job may hold open.
        self.kill()
        code = await self._process.wait()
        await self._hear_out()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{how}, last words: {' / '.join(self._last_lines)}" if self._last_lines else how

    async def _hear_out(self) -> None:
        """Wait for the rest of stderr; a process that left the group may hold it open for ever."""
        await asyncio.wait({self._listener}, timeout=LAST_WORDS_SECONDS)
        self._listener.cancel()

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for raw in self._process.stderr:
            line = raw.decode("utf-8", errors="replace").rstrip()
            self._last_lines.append(line)
            logger.info("scribe: %s", line, extra={"event": "scribe_output"})


def _unpack(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise _rebuilt(answer["error"])
    if "bug" in answer:
        bug = ScribeBug(answer["bug"]["message"])
        bug.add_note(answer["bug"]["traceback"])
        raise bug
    return answer["value"]


def _rebuilt(told: dict[str, Any]) -> RealmError:
    """The error as it was in the worker; a class that this process has not loaded becomes its nearest base."""
    kind = RealmError
    for place in told["classes"]:
        module, _, name = place.partition(":")
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type) and issubclass(found, RealmError):
            kind = found
            break
    # Not through the class's own __init__: its parameters may differ, and the message is ready.
    error = kind.__new__(kind)
    RealmError.__init__(error, told["message"], hint=told["hint"], **told["details"])
    return error

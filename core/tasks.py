"""Supervised asyncio tasks: named, guarded, restarted, and stopped in stages within time budgets.

After kopf's guarded tasks: a background task that fails or ends when it should not is logged under its name and
acted on; none can die in silence. One that hangs is told by its missing beat.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]
"""A function that starts the work anew each time it is called."""

Stage = tuple[str, Work, float]
"""Name, what to do, seconds it may take."""

LAST_CHANCE_SECONDS = 0.5
"""How long something is waited for after it was cancelled for being over its budget."""


_note_due: ContextVar[Callable[[float], None]] = ContextVar("_note_due")
"""Where the task that runs notes when its next sign of life is due; set by its crew."""


def beat(within: float) -> None:
    """A sign of life: the task that calls will call again, or `rest`, within so many seconds, or counts as hung."""
    _due_at(asyncio.get_running_loop().time() + within)


async def comes_within(seconds: float | None, event: asyncio.Event) -> bool:
    """Wait for it, and tell whether it came in so many seconds (None: however long that takes).

    Not by `asyncio.wait_for`: in Python 3.11 that swallows a cancellation in the moment of the event, and a loop which
    was told to end goes on for ever.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


def rest() -> None:
    """From here on the task waits for something outside, however long that takes; that is no hanging."""
    _due_at(float("inf"))


def _due_at(moment: float) -> None:
    note = _note_due.get(None)
    if note is not None:  # outside of a crew nobody watches
        note(moment)


async def every(seconds: float | Callable[[], float], work: Work, *, within: float) -> None:
    """Do `work` for ever, a round beginning every `seconds`; a round that takes longer than `within` counts as hung.

    A function as `seconds` is asked after each round. Time spent working is part of the interval (failure B29);
    rounds that were missed are not made up for.
    """
    loop = asyncio.get_running_loop()
    while True:
        begun = loop.time()
        beat(within)
        await work()
        rest()
        interval = seconds() if callable(seconds) else seconds
        # At least a tenth of the interval, so that work which is always late leaves room for others.
        await asyncio.sleep(max(begun + interval - loop.time(), interval / 10))


class TaskEnded(Exception):
    """The task ended although it should have gone on."""


class TaskCrew:
    """The background tasks of one process, which go on until it stops. Make it inside the running event loop."""

    def __init__(self, *, first_delay: float = 0.5, longest_delay: float = 30.0, healthy_after: float = 60.0) -> None:
        """A failed task is restarted after `first_delay` seconds, twice that the next time, up to `longest_delay`.

        Having run for `healthy_after` seconds brings the delay back to the first.
        """
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._healthy_after = healthy_after
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}
        self._stopping = False

    def start(self, name: str, work: Work) -> asyncio.Task[None]:
        """Run `work()` in a task of that name. When it fails, or returns, it is started again after a pause."""
        running = self._tasks.get(name)
        if self._stopping or (running is not None and not running.done()):
            raise RuntimeError(f"task {name!r} cannot be started: {'the crew stops' if self._stopping else 'it runs'}")
        task = asyncio.create_task(self._guard(name, work), name=name)
        self._tasks.pop(name, None)  # a name that starts anew moves to the end of the order
        self._tasks[name] = task
        return task

    def names(self) -> list[str]:
        """Names of the tasks that run, in the order of their start."""
        return [name for name, task in self._tasks.items() if not task.done()]

    def overdue(self, now: float) -> list[str]:
        """Names of the tasks whose `beat` is late at `now` (the loop's clock, `time.monotonic`): they hang."""
        return [name for name, due in self._due.items() if now > due]

    async def stop(self, budget_seconds: float) -> list[str]:
        """Cancel all tasks, the latest first, and wait for them; returns and logs the names of those still stuck."""
        self._stopping = True
        running = [task for task in reversed(self._tasks.values()) if not task.done()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=budget_seconds)
        stuck = [task.get_name() for task in running if not task.done()]
        for name in stuck:
            logger.error(
                "task %s did not stop within %s s", name, budget_seconds, extra={"event": "task_stuck", "task": name}
            )
        return stuck

    async def _guard(self, name: str, work: Work) -> None:
        loop = asyncio.get_running_loop()
        delay = self._first_delay
        _note_due.set(functools.partial(self._due.__setitem__, name))
        while True:
            begun = loop.time()
            error = await self._run_once(name, work)
            self._due.pop(name, None)
            if error is not None or not self._told_to_stop():
                _report(name, error or TaskEnded(f"task {name} ended although it should have gone on"))
            if self._told_to_stop():
                return
            if loop.time() - begun >= self._healthy_after:
                delay = self._first_delay
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._longest_delay)

    async def _run_once(self, name: str, work: Work) -> BaseException | None:
        """The error that ended the work, None when it returned; only our own cancellation passes through."""
        try:
            await work()
        except asyncio.CancelledError as error:
            if self._told_to_stop():
                raise
            # Something inside was cancelled and the error leaked out: nobody asked this task to stop.
            return TaskEnded(f"task {name} was cancelled from within").with_traceback(error.__traceback__)
        except Exception as error:  # noqa: BLE001 - any failure of a task ends here, to be logged and acted on
            return error
        return None

    def _told_to_stop(self) -> bool:
        """True once this task was cancelled from outside, even when the work swallowed it and returned."""
        task = asyncio.current_task()
        return self._stopping or (task is not None and task.cancelling() > 0)


def _report(name: str, error: BaseException) -> None:
    logger.error(
        "task %s failed: %s",
        name,
        str(error) or type(error).__name__,
        exc_info=error,
        extra={"event": "task_failed", "task": name},
    )


class StagedStop:
    """An orderly end: named stages, one after the other, each within its own budget, none stopping the later ones."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = list(stages)
        self._run: asyncio.Task[list[str]] | None = None

    async def run(self) -> list[str]:
        """Go through all stages; returns the names of those that failed or ran over. A second call joins the first."""
        if self._run is None:
            self._run = asyncio.create_task(self._run_all(), name="staged stop")
        # A second SIGTERM that cancels its waiter must not cut the stages short.
        return await asyncio.shield(self._run)

    async def _run_all(self) -> list[str]:
        return [name for name, work, budget in self._stages if not await _run_stage(name, work, budget)]


async def _run_stage(name: str, work: Work, budget_seconds: float) -> bool:
    async def stage() -> None:
        await work()

    task = asyncio.create_task(stage(), name=f"stop: {name}")
    await asyncio.wait({task}, timeout=budget_seconds)
    if not task.done():
        logger.error(
            "stop stage %s took longer than %s s; going on without it",
            name,
            budget_seconds,
            extra={"event": "stop_stage_stuck", "stage": name},
        )
        task.cancel()
        # One that refuses its cancellation is left behind: the later stages must have their turn.
        await asyncio.wait({task}, timeout=LAST_CHANCE_SECONDS)
        return False
    if task.cancelled() or task.exception() is not None:
        error = None if task.cancelled() else task.exception()
        logger.error(
            "stop stage %s failed: %s",
            name,
            error or "cancelled",
            exc_info=error,
            extra={"event": "stop_stage_failed", "stage": name},
        )
        return False
    return True

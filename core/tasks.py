"""Supervised asyncio tasks: named, guarded, restarted, and stopped in stages within time budgets.

After kopf's guarded tasks: a background task that fails or ends when it should not is logged under its name and
acted on; none can die in silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]
"""A function that starts the work anew each time it is called."""

Stage = tuple[str, Work, float]
"""Name, what to do, seconds it may take."""

LAST_CHANCE_SECONDS = 0.5
"""How long something is waited for after it was cancelled for being over its budget."""


class TaskEnded(Exception):
    """The task ended although it should have gone on."""


class TaskCrew:
    """The background tasks of one process. Make it inside the running event loop.

    `failed` is set when a critical task has failed; `failure` then holds its name and error.
    `on_failure(name, error)` is called for every failure of every task.
    """

    def __init__(
        self,
        on_failure: Callable[[str, BaseException], None] | None = None,
        *,
        first_delay: float = 0.5,
        longest_delay: float = 30.0,
        healthy_after: float = 60.0,
    ) -> None:
        """A failed task is restarted after `first_delay` seconds, twice that the next time, up to `longest_delay`.

        Having run for `healthy_after` seconds brings the delay back to the first.
        """
        self.failed = asyncio.Event()
        self.failure: tuple[str, BaseException] | None = None
        self._on_failure = on_failure
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._healthy_after = healthy_after
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def start(self, name: str, work: Work, *, restart: bool = True, critical: bool = False) -> asyncio.Task[None]:
        """Run `work()` in a task of that name.

        With `restart`, returning counts as a failure too, and it is started again after a pause. Without, it may
        return, and a failure is logged and final. A `critical` task is not restarted: its failure sets `failed`.
        """
        running = self._tasks.get(name)
        if self._stopping or (running is not None and not running.done()):
            raise RuntimeError(f"task {name!r} cannot be started: {'the crew stops' if self._stopping else 'it runs'}")
        task = asyncio.create_task(self._guard(name, work, restart, critical), name=name)
        self._tasks.pop(name, None)  # a name that starts anew moves to the end of the order
        self._tasks[name] = task
        return task

    def names(self) -> list[str]:
        """Names of the tasks that run, in the order of their start."""
        return [name for name, task in self._tasks.items() if not task.done()]

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

    async def _guard(self, name: str, work: Work, restart: bool, critical: bool) -> None:
        loop = asyncio.get_running_loop()
        delay = self._first_delay
        while True:
            begun = loop.time()
            error = await self._run_once(name, work)
            if error is None and (not restart or self._told_to_stop()):
                return
            if error is None:
                error = TaskEnded(f"task {name} ended although it should have gone on")
            self._report(name, error, critical)
            if critical or not restart or self._told_to_stop():
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

    def _report(self, name: str, error: BaseException, critical: bool) -> None:
        logger.error(
            "task %s failed: %s",
            name,
            error or type(error).__name__,
            exc_info=error,
            extra={"event": "task_failed", "task": name, "critical": critical},
        )
        if critical:
            self.failure = (name, error)
            self.failed.set()
        if self._on_failure is not None:
            try:
                self._on_failure(name, error)
            except Exception:  # the restart of the task must not depend on whoever listens
                logger.exception("on_failure failed for task %s", name, extra={"event": "task_failed", "task": name})


class StagedStop:
    """An orderly end: named stages, one after the other, each within its own budget, none stopping the later ones."""

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self._stages = list(stages)
        self._run: asyncio.Task[list[str]] | None = None

    def add(self, name: str, work: Work, budget_seconds: float) -> None:
        self._stages.append((name, work, budget_seconds))

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

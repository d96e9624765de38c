"""The CLI verb `down`: ends the realm of this base directory, in order, and tells how far it is."""

from __future__ import annotations

import os
import signal
import time
from typing import Annotated, Any

import typer

POLL_SECONDS = 0.1
SECONDS_BETWEEN_LINES = 5.0
NAMELESS_SECONDS = 2.0


def down(
    ctx: typer.Context,
    timeout: Annotated[
        float | None, typer.Option(min=0.0, help="Seconds to wait; else as long as the last checkpoint may take.")
    ] = None,
) -> None:
    """End the realm that runs in this base directory; its trainer saves first."""
    from core.ending import LONGEST_STOP_SECONDS
    from core.errors import Conflict, Unavailable
    from core.instance import verb_at_work

    paths = ctx.obj.paths
    patience = LONGEST_STOP_SECONDS if timeout is None else timeout
    holder = _holder(paths)
    if holder is None:
        ctx.obj.tell({"stopped": False}, f"No realm runs in {paths.base}.")
        return
    if verb := verb_at_work(holder):
        # To end it in the middle of a copy would leave half of one.
        raise Conflict(f"No realm runs in {paths.base}, but `{verb}` (pid {holder['pid']}) is at work on it.")
    _ask_to_end(paths, holder)
    begun = time.monotonic()
    told, told_at = "", begun
    while _still_holds(paths, holder):
        now = time.monotonic()
        if now - begun > patience:
            raise Unavailable(
                f"The realm (pid {holder['pid']}) goes on saving after {patience:g} s: {_doing(paths)}.",
                hint="`realm logs --follow` shows what it does; `realm down` waits on.",
            )
        doing = _doing(paths)
        if not ctx.obj.as_json and (doing != told or now - told_at >= SECONDS_BETWEEN_LINES):
            told, told_at = doing, now
            typer.echo(f"Waiting for the realm (pid {holder['pid']}): {doing} ({now - begun:.0f} s)", err=True)
        time.sleep(POLL_SECONDS)
    ctx.obj.tell({"stopped": True, "pid": holder["pid"]}, f"The realm (pid {holder['pid']}) has ended.")


def _holder(paths: Any) -> dict[str, Any] | None:
    """Who runs; one that has only just taken the lock has not written its name yet."""
    from core.instance import InstanceLock

    deadline = time.monotonic() + NAMELESS_SECONDS
    while True:
        holder = InstanceLock.holder(paths.lock)
        if holder is None or holder.get("pid") is not None or time.monotonic() > deadline:
            return holder
        time.sleep(POLL_SECONDS)


def _ask_to_end(paths: Any, holder: dict[str, Any]) -> None:
    """SIGTERM to the process that holds our lock; one that we cannot be sure of finds a file instead."""
    from core.errors import Unavailable
    from core.processes import has_open

    pid = holder.get("pid")
    if isinstance(pid, int) and has_open(pid, paths.lock):
        try:
            os.kill(pid, signal.SIGTERM)
            return
        except ProcessLookupError:
            return  # it ended just now
        except PermissionError:
            pass
    # It belongs to another user or runs in another container, where its pid means another process.
    try:
        paths.stop_file.touch()
    except OSError as error:
        raise Unavailable(
            f"The realm (pid {pid or 'unknown'}) cannot be told to end: {paths.stop_file}: {error.strerror}.",
            hint="It seems to be another user's: ask that user, or try `sudo`.",
        ) from error


def _still_holds(paths: Any, holder: dict[str, Any]) -> bool:
    """False also when another realm has taken the directory since, a restarted service for example."""
    from core.instance import InstanceLock

    now = InstanceLock.holder(paths.lock)
    return now is not None and now.get("started_at") == holder.get("started_at") and now.get("pid") == holder.get("pid")


def _doing(paths: Any) -> str:
    from datetime import UTC, datetime

    from core.status_files import read_status

    status = read_status(paths.training_status, now=datetime.now(UTC))
    return f"{status['status']}" + (f", step {status['current_step']}" if status.get("current_step") else "")

"""The scribe's own process: runs one job after the other, given as JSON lines on stdin, answers on stdout.

A job is `{"id", "target": "package.module:function", "kwargs"}`; the answer is `{"id", "value"}`, or `{"id", "error"}`
for a `RealmError`, or `{"id", "bug"}` with a traceback for anything else. Ends when stdin closes, so it never
outlives the daemon by more than one job. Never imports torch, and never takes the CPU from the trainer.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.errors import InvalidInput, RealmError

PACKAGES = ("core", "vault", "guild", "arena")
"""Rooms whose functions may be jobs."""

FORBIDDEN = ("torch", "transformers", "accelerate", "datasets")

NICENESS = 15
"""3 % of a CPU that somebody else wants too, all of one that nobody wants; 19 takes half a minute for a small file. Who
has jobs that somebody waits for gives another one on the command line."""


def main() -> None:
    """Serve jobs until stdin closes."""
    # Ctrl-C in a terminal is the daemon's to handle; it ends us by closing stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # None in sys.modules makes every import of these names fail, and find_spec say that they are absent.
    for name in FORBIDDEN:
        sys.modules[name] = None  # type: ignore[assignment]
    # What a job prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    niceness = int(sys.argv[1]) if len(sys.argv) > 1 else NICENESS
    for line in sys.stdin.buffer:
        answers.write(answer_to(line, niceness) + b"\n")
        answers.flush()


def stand_back(niceness: int) -> None:
    """Leave the CPU to others: a job can wait, a training step cannot."""
    with suppress(OSError):
        os.nice(niceness - os.nice(0))
    with suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Where the kernel groups tasks by session, nice counts only within the group, and the worker is a group of its own.
    with suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))


def answer_to(line: bytes, niceness: int = NICENESS) -> bytes:
    """Run the job in `line` and give the answer line, without newline."""
    job = json.loads(line)
    try:
        function = find_target(job["target"])
        # Not before the imports: a worker that starts among busy trainers takes a second, not a minute.
        stand_back(niceness)
        value = function(**job["kwargs"])
        return json.dumps({"id": job["id"], "value": value}).encode()
    except RealmError as error:
        kinds = [kind for kind in type(error).__mro__ if issubclass(kind, RealmError)]
        told = {
            "classes": [f"{kind.__module__}:{kind.__qualname__}" for kind in kinds],
            "message": error.message,
            "hint": error.hint,
            "details": error.details,
        }
        return json.dumps({"id": job["id"], "error": told}, default=str).encode()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a bug in one job must not take down the jobs behind it
        bug = {"message": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
        return json.dumps({"id": job["id"], "bug": bug}).encode()


def find_target(target: str) -> Callable[..., Any]:
    """The function named `package.module:function`; raises `InvalidInput` for one that is not a job of ours."""
    module_name, _, function_name = target.partition(":")
    if module_name.partition(".")[0] not in PACKAGES or not function_name.isidentifier():
        raise InvalidInput(f"{target!r} is not a job of the scribe.")
    function = getattr(importlib.import_module(module_name), function_name, None)
    if not callable(function):
        raise InvalidInput(f"{module_name} has no function {function_name!r}.")
    return function  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()

"""The scribe's own process: runs one job after the other, given as JSON lines on stdin, answers on stdout.

A job is `{"id", "target": "package.module:function", "kwargs"}`; the answer is `{"id", "value"}`, or `{"id", "error"}`
for a `RealmError`, or `{"id", "bug"}` with a traceback for anything else. Ends when stdin closes, so it never
outlives the daemon by more than one job. Never imports torch.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from core.errors import InvalidInput, RealmError

PACKAGES = ("core", "vault", "guild", "arena")
"""Rooms whose functions may be jobs."""

FORBIDDEN = ("torch", "transformers", "accelerate", "datasets")


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
    for line in sys.stdin.buffer:
        answers.write(answer_to(line) + b"\n")
        answers.flush()


def answer_to(line: bytes) -> bytes:
    """Run the job in `line` and give the answer line, without newline."""
    job = json.loads(line)
    try:
        value = find_target(job["target"])(**job["kwargs"])
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

"""Jobs that misbehave in the ways real ones do; run in a worker that is told to allow this package."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from core.errors import InvalidInput


class ScrollRefused(InvalidInput):
    """An error class with parameters of its own, as rooms have them."""

    code = "scroll_refused"

    def __init__(self, line: int) -> None:
        super().__init__(f"line {line} is wrong", hint="Correct it.", line=line)


def echo(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def refuse(line: int) -> None:
    raise ScrollRefused(line)


def break_down() -> None:
    raise KeyError("a bug")


def die(code: int = signal.SIGKILL) -> None:
    sys.stderr.write("something went terribly wrong\n")
    sys.stderr.flush()
    os.kill(os.getpid(), code)


def leave(code: int) -> None:
    os._exit(code)


def die_the_first_time(marker: str) -> str:
    if Path(marker).exists():
        return "done"
    Path(marker).touch()
    die()
    return "never reached"


def hang(started: str) -> None:
    Path(started).touch()
    threading.Event().wait()


def note(path: str, word: str) -> None:
    with Path(path).open("a") as file:
        file.write(word + "\n")


def chatter() -> str:
    sys.stdout.write("to stdout\n")
    sys.stdout.flush()
    os.write(1, b"to descriptor 1\n")
    subprocess.run(["echo", "from a child"], check=True)
    return "answer"


def load(module: str) -> list[str]:
    try:
        importlib.import_module(module)
    except ImportError:
        return ["refused", str(importlib.util.find_spec(module))]
    return ["loaded"]


def quit_politely(code: int) -> None:
    sys.exit(code)


def leave_a_child_behind(then_exit: int | None = None) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait(60)"])
    if then_exit is not None:
        os._exit(then_exit)
    return child.pid


def give_an_object() -> object:
    return object()


def priority() -> dict[str, Any]:
    """How this process stands towards others that want the CPU."""
    grouped = Path("/proc/self/autogroup")
    group = grouped.read_text().split()[-1] if grouped.exists() else None
    return {"nice": os.nice(0), "batch": os.sched_getscheduler(0) == os.SCHED_BATCH, "group": group}


def toil(cpu_seconds: float) -> float:
    """Use so much CPU; returns the seconds that this took."""
    begun = time.monotonic()
    while time.process_time() < cpu_seconds:
        pass
    return time.monotonic() - begun


def used_cpu() -> float:
    return time.process_time()

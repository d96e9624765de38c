"""Jobs that misbehave in the ways real ones do; run in a worker that is told to allow this package."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
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

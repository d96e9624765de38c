"""The first and last steps of the `realm` command: before the rest of it is loaded, which takes most of the time of a
verb, and after it is done."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

HOUSE = Path(__file__).resolve().parent.parent
ROOMS = ("core", "arena", "guild", "vault", "watchtower", "tavern")
INTERRUPTED = 130


def enter(arguments: Sequence[str]) -> None:
    """End quietly on Ctrl-C from here on, and refuse to run with other code than ours."""
    # An exception would be raised amid some import, which may swallow it or print where it was.
    signal.signal(signal.SIGINT, lambda number, frame: os._exit(exit_code_of_interrupt(arguments)))
    # We have no plugins for pydantic; it looks for them in every package of the environment, at each start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    check_house()


def leave(code: int) -> NoReturn:
    """End with this exit code. What is left is the interpreter's own end, amid which an exception would be printed."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as after `up`, which has ended in order
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.freeze()  # the interpreter's last look for garbage would go through every module that was loaded
    sys.exit(code)


def exit_code_of_interrupt(arguments: Sequence[str]) -> int:
    """130; but 0 for the verbs that Ctrl-C is meant to end (DESIGN section 8)."""
    verb = verb_of(arguments)
    detached = any(word in ("-d", "--detach", "-dq", "-qd") for word in arguments)
    return 0 if verb == "play" or (verb == "up" and not detached) else INTERRUPTED


def verb_of(arguments: Sequence[str]) -> str | None:
    """The first word of a command line; None where there is none."""
    words = iter(arguments)
    for word in words:
        if word == "--base-dir":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def check_house() -> None:
    """Refuse to run when something else took one of our names, or data took the standard library's `queue`.

    `tavern`, `watchtower`, `guild` and `core` are names on PyPI, and folders of other projects; the path of Python
    may name those before ours. A `queue/__init__.py` hides the stdlib module.
    """
    for name in ROOMS:
        places = _places(name)
        if HOUSE / name not in places:
            where = ", ".join(map(str, places)) or "nowhere"
            sys.exit(
                f"Python finds the package {name!r} in {where} and not in {HOUSE / name}.\n"
                f"The variable PYTHONPATH, `python -m` and packages of that name in the environment do that: unset it, "
                f"or run {HOUSE / 'realm.py'} by its path."
            )
    spec = find_spec("queue")
    if spec is None or spec.origin is None or HOUSE / "queue" in Path(spec.origin).parents:
        sys.exit(f"{HOUSE / 'queue'} holds Python code and hides the standard library's queue. Remove it.")


def _places(name: str) -> list[Path]:
    """The folders that Python takes a package from; a folder without `__init__.py` has no origin."""
    spec = find_spec(name)
    if spec is None:
        return []
    return [Path(place).resolve() for place in spec.submodule_search_locations or [spec.origin or "a single file"]]

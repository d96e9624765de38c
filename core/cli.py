"""What every verb of `realm` shares: global options anywhere on the line, errors as sentences, exit codes.

Exit codes: 0 ok, 1 expected failure, 2 wrong usage, 3 a bug (with a report file), 130 interrupted.
"""

from __future__ import annotations

import errno
import io
import json
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

import typer

from core.errors import RealmError, Unavailable
from core.finite import finite
from core.house import exit_code_of_interrupt
from core.paths import RealmPaths
from core.shell.terminal import printable
from core.version import realm_version

VALUE_OPTIONS = ("--base-dir",)
FLAG_OPTIONS = ("--json",)
ENTRIES_SHOWN = 30
REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""What the machine or its administrator forbids: no bug of ours, wherever it was met."""

T = TypeVar("T")


class Interrupted(BaseException):
    """Ctrl-C. Not a `KeyboardInterrupt`, which Typer turns into exit code 1."""


@dataclass(frozen=True)
class Choices:
    """The global options; every verb finds them in `ctx.obj`."""

    paths: RealmPaths
    as_json: bool

    def tell(self, data: Any, text: str) -> None:
        """Print `data` as JSON for programs, or `text` for people. ASCII, as file names need not be valid text."""
        typer.echo(json.dumps(finite(data), indent=2) if self.as_json else printable(text))


def aligned(values: Mapping[str, str]) -> str:
    """A line for each entry, the values in one column."""
    width = max(map(len, values), default=0)
    return "\n".join(f"{key:<{width}}  {text}" for key, text in values.items())


def listed(entries: Sequence[str]) -> list[str]:
    """An indented line for each entry, but not for hundreds of them: `--json` has those."""
    more = len(entries) - ENTRIES_SHOWN
    return [f"  {entry}" for entry in entries[:ENTRIES_SHOWN]] + [f"  and {more} more, see --json"] * (more > 0)


def global_options_first(arguments: Sequence[str]) -> list[str]:
    """`realm quest list --json` means `realm --json quest list`: global options may stand anywhere before `--`."""
    front: list[str] = []
    rest: list[str] = []
    pending = list(arguments)
    while pending:
        word = pending.pop(0)
        if word == "--":
            rest += [word, *pending]
            break
        if word in FLAG_OPTIONS or word.startswith(tuple(f"{option}=" for option in VALUE_OPTIONS)):
            front.append(word)
        elif word in VALUE_OPTIONS and pending:
            front += [word, pending.pop(0)]
        else:
            rest.append(word)
    return front + rest


def tell_version(asked: bool) -> None:
    """The callback of `--version`."""
    if asked:
        typer.echo(f"realm {realm_version()}")
        raise typer.Exit


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line to its exit code; never lets a traceback reach the user."""
    signal.signal(signal.SIGINT, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe that is not UTF-8, and a file name that is no text, get escapes instead of an error.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(global_options_first(arguments))
    except SystemExit as end:
        # `realm events | head` closes the pipe, which Typer takes for a failure; it is none.
        closed = isinstance(end.__context__, BrokenPipeError)
        return end.code if isinstance(end.code, int) and not closed else 0
    except Interrupted:
        return exit_code_of_interrupt(arguments)
    except RealmError as error:
        return _tell_failure(error, arguments)
    except OSError as error:
        if error.errno not in REFUSALS:
            return _tell_bug(arguments)
        told = f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror)
        return _tell_failure(Unavailable(f"The system refused. {told}."), arguments)
    except Exception:  # noqa: BLE001 - a bug: told in one line, with everything needed to mend it in a file
        return _tell_bug(arguments)
    return 0


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` for a verb: Ctrl-C cancels `work`, which may tidy up, and then raises `Interrupted`.

    An exception raised by a signal handler in the middle of some callback of the loop would be logged and lost.
    """
    # Loaded by the verbs that need it.
    import asyncio

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return asyncio.run(work)
    except KeyboardInterrupt as interrupt:
        raise Interrupted from interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def _tell_failure(error: RealmError, arguments: Sequence[str]) -> int:
    if "--json" in arguments:
        # Standard output may be what refuses.
        with suppress(OSError):
            typer.echo(json.dumps(error.to_json()))
    else:
        typer.secho(printable(str(error)), err=True, fg=typer.colors.RED)
    return 1


def _tell_bug(arguments: Sequence[str]) -> int:
    report = _write_report(arguments)
    typer.secho(f"This is a bug in the realm. A report lies in {report}", err=True, fg=typer.colors.RED)
    return 3


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _write_report(arguments: Sequence[str]) -> Path:
    # They load much that no other line of a verb needs.
    import platform
    import tempfile
    import traceback

    now = datetime.now(UTC)
    folder = Path(tempfile.mkdtemp(prefix="realm-bug-"))
    lines = [
        f"time: {now.isoformat()}",
        f"command: realm {' '.join(arguments)}",
        f"python: {sys.version}",
        f"system: {platform.platform()}",
        "",
        traceback.format_exc(),
    ]
    report = folder / "report.txt"
    report.write_text("\n".join(lines), encoding="utf-8")
    return report

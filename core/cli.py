"""What every verb of `realm` shares: global options anywhere on the line, errors as sentences, exit codes.

Exit codes: 0 ok, 1 expected failure, 2 wrong usage, 3 a bug (with a report file), 130 interrupted.
"""

from __future__ import annotations

import json
import platform
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer

from core.errors import RealmError
from core.finite import finite
from core.paths import RealmPaths

VALUE_OPTIONS = ("--base-dir",)
FLAG_OPTIONS = ("--json",)


class Interrupted(BaseException):
    """Ctrl-C. Not a `KeyboardInterrupt`, which Typer turns into exit code 1."""


@dataclass(frozen=True)
class Choices:
    """The global options; every verb finds them in `ctx.obj`."""

    paths: RealmPaths
    as_json: bool

    def tell(self, data: Any, text: str) -> None:
        """Print `data` as JSON for programs, or `text` for people. ASCII, as file names need not be valid text."""
        typer.echo(json.dumps(finite(data), indent=2) if self.as_json else text)


def aligned(values: Mapping[str, str]) -> str:
    """A line for each entry, the values in one column."""
    width = max(map(len, values), default=0)
    return "\n".join(f"{key:<{width}}  {text}" for key, text in values.items())


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


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line to its exit code; never lets a traceback reach the user."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app(global_options_first(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except Interrupted:
        return 130
    except BrokenPipeError:
        # `realm events | head` closes the pipe; that is no failure.
        sys.stderr.close()
        return 0
    except RealmError as error:
        if "--json" in arguments:
            typer.echo(json.dumps(error.to_json()))
        else:
            typer.secho(str(error), err=True, fg=typer.colors.RED)
        return 1
    except Exception:  # noqa: BLE001 - a bug: told in one line, with everything needed to mend it in a file
        report = _write_report(arguments)
        typer.secho(f"This is a bug in the realm. A report lies in {report}", err=True, fg=typer.colors.RED)
        return 3
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _write_report(arguments: Sequence[str]) -> Path:
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

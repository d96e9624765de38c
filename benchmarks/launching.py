"""Runs a benchmark so that it ends what it has started, also when it is told to end (`timeout`, a closed terminal).

What it finds wrong is told, and is its exit code.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import typer

MOST_FAULTS = 50
"""What is wrong all the time is told so often."""
TOLD_TO_END = (signal.SIGTERM, signal.SIGHUP)


def run_benchmark(main: Callable[..., Any]) -> None:
    """`typer.run`; a signal becomes the exit of the program, on whose way out everything is cleared away."""
    for number in TOLD_TO_END:
        signal.signal(number, _leave)
    typer.run(main)


def end_with(faults: Sequence[str]) -> None:
    """Tell of each; the exit code is 1 where there is any."""
    for fault in faults[:MOST_FAULTS]:
        typer.echo(f"  wrong: {fault}")
    if len(faults) > MOST_FAULTS:
        typer.echo(f"  and {len(faults) - MOST_FAULTS} more")
    if faults:
        raise typer.Exit(1)


def _leave(number: int, frame: FrameType | None) -> None:
    for each in TOLD_TO_END:
        signal.signal(each, signal.SIG_IGN)  # what has been started takes its time to end
    sys.exit(128 + number)

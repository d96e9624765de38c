"""Runs a benchmark so that it ends what it has started, also when it is told to end (`timeout`, a closed terminal)."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import typer

TOLD_TO_END = (signal.SIGTERM, signal.SIGHUP)


def run_benchmark(main: Callable[..., Any]) -> None:
    """`typer.run`; a signal becomes the exit of the program, on whose way out everything is cleared away."""
    for number in TOLD_TO_END:
        signal.signal(number, _leave)
    typer.run(main)


def _leave(number: int, frame: FrameType | None) -> None:
    for each in TOLD_TO_END:
        signal.signal(each, signal.SIG_IGN)  # what has been started takes its time to end
    sys.exit(128 + number)

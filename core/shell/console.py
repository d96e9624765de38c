"""rich's console as our verbs use it: a closed pipe is no failure, and in a pipe each row of a table is one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from rich.console import Console

PIPE_WIDTH = 1000


class VerbConsole(Console):
    """What `realm … | head` needs; rich itself ends such a command with exit code 1."""

    def on_broken_pipe(self) -> NoReturn:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0)


def table_console() -> Console:
    """As wide as the terminal; in a pipe so wide that nothing is folded, as `grep` looks for names in it."""
    console = VerbConsole()
    return console if console.is_terminal else VerbConsole(width=PIPE_WIDTH)


@contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for work over `total` bytes, told by calling what it gives; none where nobody watches."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal or not total) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)

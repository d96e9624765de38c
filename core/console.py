"""rich's console as our verbs use it: a closed pipe is no failure, and in a pipe each row of a table is one line."""

from __future__ import annotations

import os
import sys
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

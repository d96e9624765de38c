"""A contestant's end of the race: it runs lap after lap, each only when it is told to, and says how long it took.

Standard library only: contestants run in an environment of their own. Orders come on a socket whose number is the first
argument of the process; the second is the course, as JSON. Output of the contestant's libraries goes elsewhere.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TypedDict

GO = b"go\n"
PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "trl", "datasets")


@dataclass(frozen=True)
class Course:
    """What all contestants have in common, and by what they differ."""

    model: str
    """Directory of model and tokenizer."""
    chats: str
    """JSON lines, in the order in which our trainer is given them."""
    ordered: str
    """The same rows in the order in which our trainer learns them."""
    rows_per_step: int
    blocks_per_step: int
    """Blocks of `max_length` tokens that hold about as many rows, for those who pack."""
    micro_rows: int
    """Rows (packing: blocks) of one forward pass, where a contestant goes by rows."""
    micro_tokens: int
    """Padded tokens of one forward pass at most, where a contestant goes by tokens; 0: as our trainer finds best."""
    pass_tokens: int
    """What such a pass costs beside its tokens, counted in tokens."""
    attention: str
    """Of our trainer, as `arena.protocol.Arithmetic` names it."""
    learning_rate: float
    threads: int
    steps_per_lap: int
    laps: int
    """All of them, the first one included, which is not counted."""
    max_length: int
    variant: str
    seed: int = 1

    @property
    def steps(self) -> int:
        return self.steps_per_lap * self.laps


class Settled(TypedDict):
    """The fields of a course that our trainer finds out by itself."""

    micro_tokens: int
    pass_tokens: int
    attention: str


@dataclass(frozen=True)
class Lap:
    """One lap, as its contestant reports it."""

    seconds: float
    cpu_seconds: float
    """Of all threads of the contestant: what it takes of a machine that others use, too."""
    rows: int
    tokens: int
    """Tokens of these rows, padding not counted."""
    targets: int | None
    """Tokens whose loss was learned from; None where the contestant does not tell."""
    loss: float
    """Mean over the steps of the mean cross-entropy per target token, nats."""
    settled: Settled | None = None
    """What our trainer goes by."""

    @property
    def speed(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


class Stopwatch:
    """Times laps; see the module docstring."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._orders = connection.makefile("rb")
        self.start()

    def start(self) -> None:
        """The first lap begins; called when everything is loaded and the next thing is a step."""
        self._began = (time.perf_counter(), time.process_time())

    def stop(self) -> tuple[float, float]:
        """Seconds and CPU seconds since the lap began."""
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]

    def wait(self, lap: Lap) -> bool:
        """Report a lap and wait until the next may begin; False when there is none."""
        self.say(asdict(lap))
        going_on = self._orders.readline() == GO
        self.start()
        return going_on

    def close(self) -> None:
        """Hang up: whoever waits for a lap hears that there is none."""
        self._orders.close()
        self._connection.close()

    def say(self, what: dict[str, object]) -> None:
        self._connection.sendall(json.dumps(what).encode() + b"\n")


def contestant(run: Callable[[Course, Stopwatch], None]) -> None:
    """The main program of a contestant's process."""
    course = Course(**json.loads(sys.argv[2]))
    with closing(Stopwatch(socket.socket(fileno=int(sys.argv[1])))) as stopwatch:
        stopwatch.say({"versions": versions()})
        run(course, stopwatch)


def versions() -> dict[str, str]:
    """Of the packages that matter, in this environment."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""A race: contestants in processes of their own, of which one runs at a time, in turns.

All are loaded and warmed up before the first counted lap. A waiting contestant sits in a read of its socket and takes
no processor. The order in which they run changes from round to round.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.stopwatch import GO, Course, Lap
from core.paths import CHECKOUT

SILENCE_SECONDS = 1200.0
"""A lap, or the loading of a model, that takes longer has come to a stop."""
LOG_LINES = 20
TRIAL_STEPS = 3


class RaceFailed(Exception):
    """A contestant ended or came to a stop; says what it said last."""


@dataclass(frozen=True)
class Contestant:
    """Who can run."""

    name: str
    title: str
    module: str
    variant: str = ""
    peers: bool = False
    """It runs in the peers' environment."""
    packs: bool = False
    """What goes through the model are blocks of `max_length` tokens instead of rows."""
    micro_rows: tuple[int, ...] = ()
    """Rows (or blocks) of a forward pass; of several, a trial finds the quickest. None: it goes by tokens."""
    optional: bool = False
    """Not everything that it needs is on every machine; it is left out then, with its reason."""
    same_rows: bool = False
    """It learns the same rows in each step as ours, so that the losses must be equal."""
    target: float | None = None
    """How many times as fast ours is to be (DESIGN section 10)."""

    @property
    def is_tried(self) -> bool:
        """Whether a trial says how it runs best, or whether it can run here at all."""
        return len(self.micro_rows) > 1 or self.optional


class Runner:
    """A contestant's living process."""

    def __init__(self, contestant: Contestant, course: Course, python: Path, log: Path) -> None:
        self.contestant = contestant
        self.course = course
        self.versions: dict[str, str] = {}
        self._log = log
        self._connection, theirs = socket.socketpair(socket.AF_UNIX)
        self._connection.settimeout(SILENCE_SECONDS)
        self._reports = self._connection.makefile("rb")
        command = [str(python), "-m", contestant.module, str(theirs.fileno()), json.dumps(asdict(course))]
        with theirs, log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                pass_fds=[theirs.fileno()], env=_environment(course.threads),
            )  # fmt: skip

    def warm_up(self) -> Lap:
        """Wait until it is loaded and has run its first lap, which nobody counts."""
        self.versions = self._hear()["versions"]
        return Lap(**self._hear())

    def lap(self) -> Lap:
        with suppress(ConnectionError):  # its end is noticed when it does not answer
            self._connection.sendall(GO)
        return Lap(**self._hear())

    def end(self) -> None:
        """Let it go; it is killed when it takes its time."""
        self._reports.close()
        self._connection.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _hear(self) -> dict[str, Any]:
        try:
            line = self._reports.readline()
        except (TimeoutError, ConnectionError):
            line = b""
        if not line:
            self.end()  # its last words are behind the end of the connection
            said = "\n".join(self._log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise RaceFailed(f"{self.contestant.title} did not go on. It said last:\n{said}")
        heard: dict[str, Any] = json.loads(line)
        return heard


def _environment(threads: int) -> dict[str, str]:
    # Nothing of it is looked for on the network, and no library takes more threads than the others.
    settings = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(threads)}
    return {**os.environ, **settings}


@dataclass(frozen=True)
class Stable:
    """Where contestants are started from."""

    python: Path
    """Interpreter of this project's environment."""
    peers_python: Path
    """Interpreter of the peers' environment."""
    logs: Path
    """Folder for what the contestants' libraries print."""

    def start(self, contestant: Contestant, course: Course) -> Runner:
        python = self.peers_python if contestant.peers else self.python
        return Runner(contestant, course, python, self.logs / f"{contestant.name}.log")

    @contextmanager
    def running(self, courses: Mapping[Contestant, Course]) -> Iterator[list[Runner]]:
        """Processes of all of them, warmed up one after the other."""
        with ExitStack() as stack:
            runners = []
            for contestant, course in courses.items():
                runner = self.start(contestant, course)
                stack.callback(runner.end)
                runner.warm_up()
                runners.append(runner)
            yield runners

    def quickest(self, contestant: Contestant, course: Course) -> Course:
        """The course with the number of rows in a forward pass with which this contestant is quickest in a trial."""
        whole = course.blocks_per_step if contestant.packs else course.rows_per_step
        speeds: dict[int, float] = {}
        for rows in contestant.micro_rows:
            if whole % rows == 0:
                trial = self.start(contestant, replace(course, micro_rows=rows, steps_per_lap=TRIAL_STEPS, laps=2))
                try:
                    trial.warm_up()
                    speeds[rows] = trial.lap().speed
                finally:
                    trial.end()
        return replace(course, micro_rows=max(speeds, key=lambda rows: speeds[rows]))


def race(runners: Sequence[Runner], rounds: int) -> list[dict[str, Lap]]:
    """One lap of each in each round, by name; another one begins each round."""
    return [
        {runner.contestant.name: runner.lap() for runner in _rotated(runners, number % len(runners))}
        for number in range(rounds)
    ]


def _rotated(runners: Sequence[Runner], by: int) -> list[Runner]:
    return [*runners[by:], *runners[:by]]

"""Our trainer as a contestant: what `python -m arena.trainer` sets up, with the benchmark in the daemon's place.

A lap goes from the beginning of a step to the beginning of another, so that all that the trainer does between two steps
counts: the step's record, position, progress to the daemon, and the plan of the next step.
"""

from __future__ import annotations

import socket
import statistics
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from blake3 import blake3
from transformers import TrainerCallback

from arena.protocol import Arithmetic, Begin, Claim, Progress, QuestSettings, StepPoint, decode_event, encode
from arena.supervision.position_file import PositionFile
from arena.trainer.battle import Battle
from arena.trainer.link import DaemonLink
from arena.trainer.summoning import summon
from benchmarks.stopwatch import Course, Lap, Settled, Stopwatch, contestant
from core.paths import RealmPaths

ANSWER_SECONDS = 60.0
FIRST_QUEST = 1
"""Its number in a new journal."""


class Daemon:
    """The other end of the trainer's socket: claims the one quest, and notes what is told of its steps."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._points: dict[int, StepPoint] = {}
        self._news = threading.Condition()
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def send(self, command: Claim) -> None:
        self._socket.sendall(encode(command) + b"\n")

    def close(self) -> None:
        """Once the trainer has hung up."""
        self._ear.join()
        self._socket.close()

    def points(self, steps: range) -> list[StepPoint]:
        """What was told of these steps; waits for the last of it."""
        with self._news:
            if not self._news.wait_for(lambda: self._points.keys() >= set(steps), ANSWER_SECONDS):
                raise RuntimeError(f"the trainer has not told of steps {steps.start} to {steps.stop - 1}")
            return [self._points.pop(step) for step in steps]

    def _listen(self) -> None:
        with self._socket.makefile("rb") as stream:
            for line in stream:
                event = decode_event(line)
                if isinstance(event, Progress):
                    with self._news:
                        self._points.update((point.step, point) for point in event.points)
                        self._news.notify_all()


class LapCallback(TrainerCallback):
    """Reports laps; while others run, training waits in the callback."""

    def __init__(self, course: Course, stopwatch: Stopwatch, daemon: Daemon, battle: Battle) -> None:
        self._course = course
        self._stopwatch = stopwatch
        self._daemon = daemon
        self._situation = battle.situation

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        done = state.global_step
        if done == 0:
            self._stopwatch.start()
        elif done % self._course.steps_per_lap == 0:
            times = self._stopwatch.stop()
            points = self._daemon.points(range(done - self._course.steps_per_lap + 1, done + 1))
            losses = [point.loss for point in points if point.loss is not None]
            settings = self._situation.journal.history.claims[FIRST_QUEST].settings
            lap = Lap(
                *times, self._course.steps_per_lap * self._course.rows_per_step,
                sum(point.tokens for point in points), None, statistics.fmean(losses),
                settled=Settled(
                    micro_tokens=settings.micro_batch_tokens, pass_tokens=settings.pass_tokens,
                    attention=(settings.arithmetic or Arithmetic()).attention,
                ),
            )  # fmt: skip
            if not self._stopwatch.wait(lap):
                self._situation.orders.stop("the race is over")


def run(course: Course, stopwatch: Stopwatch) -> None:
    settings = QuestSettings(
        learning_rate=course.learning_rate, warmup_steps=1, weight_decay=0.0, batch_size=course.rows_per_step,
        gradient_accumulation=1, epochs=1, max_length=course.max_length, max_grad_norm=1.0,
        micro_batch_tokens=course.micro_tokens, pass_tokens=course.pass_tokens, seed=course.seed, profile="chatml",
    )  # fmt: skip
    begin = Begin(
        base_model=course.model, hero="contestant", recipe=None, device="cpu", threads=course.threads, seed=course.seed,
        fp_precision="fp32", defaults=settings, save_steps=1_000_000, eval_steps=1_000_000, eval_rows=1, open_quests=[],
        withdrawals=[], pause_reason=None, packing="auto", compile=course.variant == "compiled",
    )  # fmt: skip
    chats = Path(course.chats)
    with tempfile.TemporaryDirectory() as folder:
        paths = RealmPaths(Path(folder))
        paths.create()
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        link, position = DaemonLink(ours), PositionFile(paths.current_model / ".position")
        battle, trainer = summon(paths, link, begin, position)
        if trainer.usual.compiled != begin.compile:
            sys.exit("there is nothing here to compile with")
        daemon = Daemon(theirs)
        trainer.add_callback(LapCallback(course, stopwatch, daemon, battle))
        daemon.send(
            Claim(
                quest_id="race", path=str(chats), name=chats.name, schema_id="chat_sft_v1", settings=settings,
                content_hash=blake3(chats.read_bytes()).hexdigest(),
            )
        )  # fmt: skip
        trainer.train()
        link.close()
        position.close()
        daemon.close()


if __name__ == "__main__":
    contestant(run)

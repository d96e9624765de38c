"""A battle in this process: the trainer in a thread of its own, the test in the daemon's place, steps made one by one.

Much cheaper than a child, and the test can hold the disk or the trainer still at any point. What needs signals, exit
codes or a real `kill -9` is for `driving.py`.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from transformers import TrainerCallback

from arena.protocol import Claimed, Command, Event, QuestEnded, Ready, Stop, decode_event, encode
from arena.supervision.position_file import PositionFile
from arena.trainer.link import DaemonLink
from arena.trainer.summoning import summon
from core.files import Files
from tests.arena.trainer.driving import Field, Foe
from tests.waiting import wait_until

PATIENCE = 60.0

E = TypeVar("E", bound=Event)
Clock = Callable[[], float]


class HandClock:
    """Monotonic seconds that the test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class DiskInHand(Files):
    """The real disk, which can be held still, refuse, or be full."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        """Set when a save has come to the disk while it was held."""
        self._open = threading.Event()
        self._open.set()
        self.refuses: int | None = None
        """The errno of every fsync."""
        self.free: int | None = None
        """Bytes that are free; None is as it is."""

    def hold(self) -> None:
        self.reached.clear()
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def fsync(self, fd: int) -> None:
        if not self._open.is_set():
            self.reached.set()
            assert self._open.wait(PATIENCE)
        if self.refuses is not None:
            raise OSError(self.refuses, os.strerror(self.refuses))
        super().fsync(fd)

    def statvfs(self, folder: Path) -> os.statvfs_result:
        found = super().statvfs(folder)
        if self.free is None:
            return found
        return os.statvfs_result((1, 1, found[2], self.free, self.free, *found[5:]))


class Slain(BaseException):
    """What a kill does to a battle in this process: it ends, and nothing is saved or told."""


class Reins(TrainerCallback):
    """Lets the trainer make as many steps as the test allows."""

    def __init__(self) -> None:
        self._allowed = threading.Semaphore(0)
        self._standing = threading.Event()
        self.slain = False

    def allow(self, steps: int) -> None:
        self._standing.clear()
        self._allowed.release(steps)

    def wait_until_standing(self) -> None:
        """The trainer is before a step that it may not make, and has done all that is done between two steps."""
        assert self._standing.wait(PATIENCE), "the trainer does not come to its next step"

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._allowed.acquire(blocking=False):
            return
        self._standing.set()
        while not self._allowed.acquire(timeout=0.01):
            if self.slain:
                raise Slain


class LiveBattle:
    """One life of the trainer on `field`."""

    def __init__(self, field: Field, disk: Files, clock: Clock, **begin: Any) -> None:
        ours, self._daemon_end = socket.socketpair(socket.AF_UNIX)
        self._link = DaemonLink(ours)
        self._position = PositionFile(field.paths.current_model / ".position")
        self.battle, self.trainer = summon(field.paths, self._link, field.begin(**begin), self._position, files=disk)
        self.battle._saver._clock = clock
        self._reins = Reins()
        self.trainer.add_callback(self._reins)
        self.events: list[Event] = []
        self._looked_at = 0
        self._heard: queue.Queue[Event | None] = queue.Queue()
        self._failure: BaseException | None = None
        self._ears = threading.Thread(target=self._hear, name="daemon-ears", daemon=True)
        self._ears.start()
        self._thread = threading.Thread(target=self._fight, name="battle")

    @property
    def step(self) -> int:
        return self.trainer.global_step

    def start(self) -> Ready:
        self._thread.start()
        return self.until(Ready)

    def send(self, command: Command) -> None:
        self._daemon_end.sendall(encode(command) + b"\n")

    def ask(self, command: Command) -> None:
        """Send to a trainer that stands before a step: it takes the command at the next boundary."""
        self.send(command)
        wait_until(lambda: not self._link._commands.empty(), message="the command does not arrive")

    def until(self, kind: type[E], wanted: Callable[[E], bool] = lambda event: True) -> E:
        """Wait for the next such event; each event is looked at once."""
        while True:
            while self._looked_at < len(self.events):
                event = self.events[self._looked_at]
                self._looked_at += 1
                if isinstance(event, kind) and wanted(event):
                    return event
            heard = self._heard.get(timeout=PATIENCE)
            assert heard is not None, f"no {kind.__name__} before the end: {self._failure!r}; it said {self.events}"
            self.events.append(heard)

    def said(self, kind: type[E]) -> list[E]:
        """All such events so far, those included that nobody has looked at."""
        while not self._heard.empty():
            if (event := self._heard.get()) is not None:
                self.events.append(event)
        return [event for event in self.events if isinstance(event, kind)]

    def claim(self, foe: Foe) -> Claimed:
        """Let the trainer take up a quest; it stands before its first step then."""
        self.send(foe.claim())
        claimed = self.until(Claimed)
        self._reins.wait_until_standing()
        return claimed

    def make_steps(self, count: int) -> None:
        """Let the trainer make so many steps; it then stands before the next one, which must be of the same quest."""
        self._reins.allow(count)
        self._reins.wait_until_standing()

    def learn(self, foe: Foe) -> QuestEnded:
        self.send(foe.claim())
        self._reins.allow(10_000)
        return self.until(QuestEnded, lambda ended: ended.quest_id == foe.quest_id)

    def stop(self) -> None:
        """Ask for the end and wait for it; raises what the trainer died of."""
        self.send(Stop(reason="the test is over"))
        self.end()

    def end(self) -> None:
        self._reins.allow(10_000)
        self._join()

    def slay(self) -> None:
        """The end of a kill -9, as far as files and weights are concerned."""
        self._reins.slain = True
        self._join()

    def _join(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the battle does not end"
        # All that was said is heard by then.
        self._ears.join(PATIENCE)
        self._position.close()
        self._daemon_end.close()
        if self._failure is not None and not isinstance(self._failure, Slain):
            raise self._failure

    def _fight(self) -> None:
        try:
            self.trainer.train(resume_from_checkpoint=self.battle.resume_from)
        except BaseException as failure:  # noqa: BLE001 - raised again where the test waits
            self._failure = failure
        finally:
            self._link.close()

    def _hear(self) -> None:
        with self._daemon_end.makefile("rb") as stream:
            for line in stream:
                self._heard.put(decode_event(line))
        self._heard.put(None)


@contextmanager
def living(
    field: Field, disk: DiskInHand | None = None, clock: Clock = time.monotonic, **begin: Any
) -> Iterator[LiveBattle]:
    """A battle that has begun; it is slain at the end of the block when it still goes on."""
    disk = disk or DiskInHand()
    life = LiveBattle(field, disk, clock, **begin)
    life.start()
    try:
        yield life
    finally:
        disk.release()
        if life._thread.is_alive():
            life.slay()

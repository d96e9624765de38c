"""A trainer child without torch: all of `arena.trainer` but its battle, which ends as the variable PLOT says.

Signals, lock, socket, position and exit record are the real ones, at a tenth of the time that torch takes to load.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import arena.trainer.__main__ as child
from arena.protocol import State
from arena.supervision.position_file import Phase, PositionFile
from arena.trainer.link import DaemonLink
from arena.trainer.orders import Orders
from core.errors import RealmError
from core.paths import RealmPaths

PLOT = "PUPPET_PLOT"
LOCK_SECONDS = "PUPPET_LOCK_SECONDS"
HERE = (3, 7)
"""Ordinal and step that a puppet stands at."""


class Stage:
    """What a plot may use."""

    def __init__(self, paths: RealmPaths, link: DaemonLink) -> None:
        self.paths = paths
        self.link = link
        if link.receive(child.HELLO_ANSWER_SECONDS) is None:
            raise RealmError("The daemon did not say how to begin.")
        self.position = PositionFile(paths.current_model / ".position")
        self.position.write(Phase.LOADING)

    def stand(self, phase: Phase) -> None:
        """Take the place that is told of, and say so."""
        self.position.write(phase, *HERE)
        self.link.send(State(state="in place"))

    def fight(self) -> str:
        """Beat until the daemon, or a signal, makes an end."""
        orders = Orders(self.link, pause_reason=None)
        for number in child.TOLD_TO_END:
            signal.signal(number, lambda number, frame: orders.stop(f"signal {signal.Signals(number).name}"))
        self.stand(Phase.STEPPING)
        while orders.stop_reason is None:
            self.position.beat()
            orders.wait(0.02)
        self.position.write(Phase.EXITED, *HERE)
        return orders.stop_reason


def hang(stage: Stage) -> str:
    """For ever, in a call that no signal handler of Python can leave."""
    for number in child.TOLD_TO_END:
        signal.signal(number, lambda number, frame: None)
    # Another process in the group, as those that load data are.
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "part of the trainer"])
    stage.stand(Phase.STEPPING)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    return "never"


def crawl(stage: Stage) -> str:
    """Silent for long, and obedient then."""
    told = threading.Event()
    for number in child.TOLD_TO_END:
        signal.signal(number, lambda number, frame: told.set())
    stage.stand(Phase.STEPPING)
    while not told.wait(0.05):
        pass
    stage.position.write(Phase.EXITED, *HERE)
    return "signal SIGTERM"


def falter(stage: Stage) -> str:
    """Silent in its second step for as long as it takes to be told of."""
    stage.stand(Phase.STEPPING)
    threading.Event().wait(0.5)
    stage.position.beat()
    threading.Event().wait(2.0)
    return stage.fight()


def load(stage: Stage) -> str:
    """Still loading when it is told to end."""
    stage.link.send(State(state="in place"))
    # In short pieces, as real loading is: Python hears of a signal that comes right before a wait only after it.
    for _ in range(1200):
        threading.Event().wait(0.05)
    return "never"


def fail(error: BaseException) -> Callable[[Stage], str]:
    def plot(stage: Stage) -> str:
        stage.stand(Phase.STEPPING)
        raise error

    return plot


def die(number: signal.Signals) -> Callable[[Stage], str]:
    def plot(stage: Stage) -> str:
        stage.stand(Phase.STEPPING)
        os.kill(os.getpid(), number)
        return stage.fight()

    return plot


def leave(stage: Stage) -> str:
    stage.stand(Phase.STEPPING)
    sys.stdout.write("a library gave up\n")
    sys.stdout.flush()
    os._exit(7)


def break_behind(stage: Stage) -> str:
    """A library that breaks while the interpreter is taken down."""
    atexit.register(os.abort)
    return stage.fight()


def lose_another(stage: Stage) -> str:
    """Torchrun ends as the one that was killed, whatever the first process has said."""
    atexit.register(os.kill, os.getpid(), signal.SIGKILL)
    return stage.fight()


def babble(stage: Stage) -> str:
    stage.link._socket.sendall(b'{"kind": "from_the_future"}\n')
    return stage.fight()


PLOTS: dict[str, Callable[[Stage], str]] = {
    "fight": Stage.fight,
    "hang": hang,
    "crawl": crawl,
    "falter": falter,
    "load": load,
    "realm error": fail(RealmError("the well is dry", hint="Fill it.")),
    "bug": fail(ZeroDivisionError("by zero")),
    "no memory": fail(MemoryError()),
    "kill": die(signal.SIGKILL),
    "crash": die(signal.SIGSEGV),
    "leave": leave,
    "break behind": break_behind,
    "lose another": lose_another,
    "babble": babble,
}


def play(paths: RealmPaths, link: DaemonLink, membership: object) -> str:
    """In the place of the battle."""
    return PLOTS[os.environ[PLOT]](Stage(paths, link))


if __name__ == "__main__":
    if os.environ[PLOT] == "foreign":
        vars(child)["PROTOCOL_VERSION"] = 99
        os.environ[PLOT] = "fight"
    child.LOCK_WAIT_SECONDS = float(os.environ.get(LOCK_SECONDS, child.LOCK_WAIT_SECONDS))
    child._fight = play
    sys.exit(child.main())

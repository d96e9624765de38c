"""Every way in which a trainer child ends, and what its parent makes of it: one table, and the cases beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from arena.protocol import Begin, Event, QuestSettings, State, Stop, Trouble
from arena.supervision import child_guard, heartbeat_watch
from arena.supervision.child_guard import GOES_ON, HELD, SILENT
from arena.supervision.exit_record import read_exit_record
from arena.supervision.heartbeat_watch import HeartbeatWatch
from arena.supervision.position_file import Phase
from arena.supervision.trainer_process import Death, TrainerProcess
from core.instance import InstanceLock
from core.paths import CHECKOUT, RealmPaths
from tests.arena.supervision.puppet import HERE, LOCK_SECONDS, PLOT
from tests.waiting import wait_until, wait_until_async

PATIENCE = 60.0

BEGIN = Begin(
    base_model="none", hero="puppet", recipe=None, device="cpu", threads=1, seed=1, fp_precision="fp32",
    defaults=QuestSettings(
        learning_rate=0.1, warmup_steps=0, weight_decay=0.0, batch_size=1, gradient_accumulation=1, epochs=1,
        max_length=128, max_grad_norm=1.0, micro_batch_tokens=128, seed=1, profile="chatml",
    ),
    save_steps=10, eval_steps=10, eval_rows=1, open_quests=[], withdrawals=[], pause_reason=None,
)  # fmt: skip


class Puppet:
    """A child that plays a plot, and what it has said."""

    def __init__(self, process: TrainerProcess) -> None:
        self.process = process
        self.heard: list[Event] = []

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    async def in_place(self) -> None:
        await self.hear(lambda event: event == State(state="in place"))

    async def hear(self, wanted: Callable[[Event], bool]) -> Event:
        """The next such event."""
        while True:
            event = await asyncio.wait_for(self.process.next_event(), PATIENCE)
            assert event is not None, f"it ended: {await self.process.wait()}"
            self.heard.append(event)
            if wanted(event):
                return event

    async def death(self) -> Death:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@asynccontextmanager
async def puppet(paths: RealmPaths, plot: str, hung_seconds: float = 60.0) -> AsyncIterator[Puppet]:
    process = TrainerProcess(paths, watch=HeartbeatWatch(hung_seconds), module="tests.arena.supervision.puppet")
    await process.start(BEGIN, environment={PLOT: plot})
    try:
        yield Puppet(process)
    finally:
        await process.end(grace_seconds=0.0)
        await process.wait()


def signalled(*numbers: signal.Signals) -> Callable[[Puppet], None]:
    def send(child: Puppet) -> None:
        for number in numbers:
            os.kill(child.pid, number)

    return send


@dataclass(frozen=True)
class Ending:
    """One row of the table."""

    plot: str
    cause: str
    """What the cause begins with."""
    by: Callable[[Puppet], None] | None = None
    """What is done to it once it is in place."""
    clean: bool = False
    out_of_memory: bool = False
    phase: Phase | None = Phase.STEPPING
    """Where it stood."""


ENDINGS = {
    "SIGTERM": Ending("fight", "signal SIGTERM", signalled(signal.SIGTERM), clean=True, phase=Phase.EXITED),
    "SIGHUP": Ending("fight", "signal SIGHUP", signalled(signal.SIGHUP), clean=True, phase=Phase.EXITED),
    # Those of a terminal are for the daemon, which asks for a stop itself.
    "two SIGINT": Ending(
        "fight", "signal SIGTERM", signalled(signal.SIGINT, signal.SIGINT, signal.SIGTERM), clean=True,
        phase=Phase.EXITED,
    ),
    "SIGTERM while loading": Ending(
        "load", "signal SIGTERM while it was loading", signalled(signal.SIGTERM), clean=True, phase=Phase.LOADING
    ),
    "an error of ours": Ending("realm error", "the well is dry Fill it."),
    "a bug": Ending("bug", "ZeroDivisionError: by zero"),
    "no memory": Ending("no memory", "MemoryError", out_of_memory=True),
    # A kill -9 by somebody else is not the kernel's.
    "SIGKILL": Ending("kill", "The trainer was ended by signal SIGKILL (kill -9, or a guard of the memory;"),
    "SIGSEGV": Ending("crash", "The trainer was ended by signal SIGSEGV. Its last lines: "),
    "an exit without a word": Ending("leave", "The trainer ended with exit code 7. Its last lines: a library gave up"),
    "a library that breaks after all is saved": Ending(
        "break behind", "signal SIGTERM", signalled(signal.SIGTERM), clean=True, phase=Phase.EXITED
    ),
    "another version of the protocol": Ending(
        "foreign", "The trainer speaks version 99 of the protocol, this process version", phase=None
    ),
    "a message that nobody knows": Ending(
        "babble", "The trainer said what this process does not understand:", phase=Phase.EXITED
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDINGS)
async def test_each_end_of_a_child_is_named_correctly(paths: RealmPaths, name: str) -> None:
    """B17, B30: interrupted is not failed, a failure has its cause, and a kill is not called out of memory."""
    ending = ENDINGS[name]
    async with puppet(paths, ending.plot) as child:
        if ending.by is not None:
            await child.in_place()
            ending.by(child)
        death = await child.death()
    assert death.cause.startswith(ending.cause), death
    assert (death.pid, death.clean, death.interrupted) == (child.pid, ending.clean, False)
    assert death.out_of_memory is ending.out_of_memory
    assert (death.position.phase if death.position else None) == ending.phase
    if ending.phase is Phase.STEPPING:
        assert death.position is not None
        assert (death.position.ordinal, death.position.quest_step) == HERE


async def test_a_library_that_does_not_load_is_named(
    paths: RealmPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real trainer, with a torch whose libraries are missing."""
    broken = tmp_path / "site" / "torch"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    process = TrainerProcess(paths)
    await process.start(BEGIN)
    death = await asyncio.wait_for(process.wait(), PATIENCE)
    assert death.cause == "ImportError: libcudart.so.12: cannot open shared object file"
    assert (death.clean, death.position and death.position.phase) == (False, Phase.LOADING)


async def test_a_lock_that_another_holds_is_named(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """B8: it waits for a trainer that saves, says so, and names it when it stays."""
    monkeypatch.setenv(LOCK_SECONDS, "0.5")
    lock = InstanceLock(paths.current_model / ".lock")
    lock.acquire({"what": "realm rewind 100"})
    async with puppet(paths, "fight") as child:
        death = await child.death()
    lock.release()
    held = f"{paths.current_model / '.lock'} is in use by process {os.getpid()} (`realm rewind 100`, started "
    assert death.cause.startswith(held)
    assert (death.clean, death.position) == (False, None)


async def test_a_child_that_does_not_go_when_it_is_told_to_is_killed_and_nobody_is_to_blame(paths: RealmPaths) -> None:
    """A kill of ours at the end of the realm was charged as a strike to the quest that was being stepped."""
    async with puppet(paths, "hang") as child:
        await child.in_place()
        await child.process.end(grace_seconds=0.2)
        death = await child.death()
    assert death.cause == "it was told to end, did not within 0.2 s, and was killed"
    assert (death.clean, death.interrupted, death.out_of_memory) == (False, True, False)


async def test_what_a_child_of_the_same_pid_has_left_is_not_taken_for_the_word_of_this_one(paths: RealmPaths) -> None:
    """B2: after a reboot pids are given out again, and one that died at once was told as a clean stop."""
    async with puppet(paths, "fight") as child:
        await child.in_place()
        await child.process.send(Stop(reason="enough"))
        assert (await child.death()).clean
    guard = child.process._guard
    assert guard is not None
    successor = TrainerProcess(paths)
    death = successor._explain(guard, 1)
    assert (death.pid, death.clean, death.position) == (child.pid, False, None)
    assert death.cause.startswith("The trainer ended with exit code 1.")


async def test_the_daemon_is_missed_even_where_somebody_else_holds_its_socket(paths: RealmPaths) -> None:
    """B21: a child that nobody looks after must not keep model and memory. B8: it saves and leaves the lock."""
    daemon = subprocess.Popen(
        [sys.executable, "-m", "tests.arena.supervision.short_lived_daemon", str(paths.base)],
        cwd=CHECKOUT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert daemon.stdout is not None
    trainer, heir = (psutil.Process(int(number)) for number in daemon.stdout.readline().split())
    try:
        daemon.kill()
        wait_until(lambda: not trainer.is_running(), 30, "the trainer outlives its daemon")
        assert heir.is_running(), "it held the socket all the time"
    finally:
        for process in (trainer, heir):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        with daemon:
            pass
    farewell = read_exit_record(paths.current_model, trainer.pid)
    assert farewell is not None
    assert (farewell.clean, farewell.reason) == (True, "the daemon is gone")
    assert InstanceLock.holder(paths.current_model / ".lock") is None


@pytest.mark.parametrize("length", [79, 80, 200])
async def test_the_folder_for_temporary_files_may_be_as_long_as_it_likes(
    paths: RealmPaths, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """The path of a socket may not: with 79 bytes it just fits, with 80 it is one too long."""
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        long = Path(folder, "d" * (length - len(folder) - 1))
        long.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(long))
        async with puppet(paths, "fight") as child:
            await child.in_place()
            assert child.process._socket_dir is not None
            assert (Path(child.process._socket_dir).parent == long) is (length == 79)


# --- hung and held ---------------------------------------------------------------------------------------------------


@pytest.fixture
def quick_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ladder of minutes in tenths of seconds."""
    for name, seconds in {"LOOK_SECONDS": 0.05, "TOLD_AFTER_SECONDS": 0.2, "ASK_SECONDS": 0.3}.items():
        monkeypatch.setattr(child_guard, name, seconds)


async def test_a_hung_child_is_asked_made_to_say_where_and_killed_with_all_it_has_started(
    paths: RealmPaths, quick_guard: None
) -> None:
    """B21: a hung trainer held its memory for ever; here the log says where, and the cause too."""
    async with puppet(paths, "hang", hung_seconds=1.0) as child:
        await child.in_place()
        (helper,) = psutil.Process(child.pid).children()
        death = await child.death()
    assert death.cause.startswith("hung: no sign of life for ")
    assert " s in a step (after step 7 of quest 3), at puppet.py:" in death.cause
    assert death.cause.endswith("(hang)")
    assert (death.clean, death.interrupted, death.out_of_memory) == (False, False, False)
    assert death.position is not None
    assert death.position.phase is Phase.STEPPING
    assert "most recent call first" in (paths.logs / "trainer-output.log").read_text()
    wait_until(lambda: not helper.is_running() or helper.status() == psutil.STATUS_ZOMBIE)


async def test_a_child_that_was_only_slow_saves_and_goes_when_it_is_asked(paths: RealmPaths, quick_guard: None) -> None:
    async with puppet(paths, "crawl", hung_seconds=1.0) as child:
        await child.in_place()
        death = await child.death()
    assert death.clean
    assert death.cause.startswith("hung: no sign of life for ")
    assert death.cause.endswith("; asked to end, it saved and did")


async def test_a_silent_child_is_told_of_long_before_it_is_ended(
    paths: RealmPaths, quick_guard: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 4: within 60 s a fault has its name, though a trainer may be silent for longer before it is killed."""
    monkeypatch.setattr(heartbeat_watch, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(heartbeat_watch, "TIMES_THE_LONGEST", 1)
    async with puppet(paths, "falter", hung_seconds=60) as child:
        silent = await child.hear(lambda event: isinstance(event, Trouble))
        assert isinstance(silent, Trouble)
        assert silent.what == SILENT
        assert " s in a step; after 60 s without one it is ended." in silent.message
        goes_on = await child.hear(lambda event: isinstance(event, Trouble))
        assert isinstance(goes_on, Trouble)
        assert (goes_on.what, goes_on.message) == (GOES_ON, "The trainer goes on; it was silent.")
        await child.process.send(Stop(reason="enough"))
        assert (await child.death()).cause == "enough"


async def test_a_stopped_child_is_told_of_and_left_alone(paths: RealmPaths, quick_guard: None) -> None:
    """SIGSTOP for long, or a debugger: nothing is killed, nothing lost."""
    async with puppet(paths, "fight", hung_seconds=1.5) as child:
        await child.in_place()
        os.kill(child.pid, signal.SIGSTOP)
        held = await child.hear(lambda event: isinstance(event, Trouble))
        assert isinstance(held, Trouble)
        assert (held.what, held.message.endswith(f"`kill -CONT {child.pid}` lets it go on.")) == (HELD, True)
        # Longer than a silence may last.
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await wait_until_async(lambda: loop.time() > begun + 3)
        os.kill(child.pid, signal.SIGCONT)
        goes_on = await child.hear(lambda event: isinstance(event, Trouble))
        assert isinstance(goes_on, Trouble)
        assert goes_on.what == GOES_ON
        await child.process.send(Stop(reason="enough"))
        death = await child.death()
    assert (death.clean, death.cause) == (True, "enough")


@pytest.mark.parametrize("is_stopped", [True, False], ids=["after a stop", "before it"])
async def test_of_several_one_that_is_killed_when_all_is_saved_makes_no_crash(
    paths: RealmPaths, is_stopped: bool
) -> None:
    """B13, F8: a realm that was asked to stop, and had saved, was shown as crashed."""
    async with puppet(paths, "lose another") as child:
        child.process._processes = 2
        await child.in_place()
        if is_stopped:
            await child.process.send(Stop(reason="it is late"))
        else:
            os.kill(child.pid, signal.SIGTERM)
        death = await child.death()
    assert death.clean is is_stopped
    assert death.cause == "it is late" if is_stopped else "SIGKILL" in death.cause

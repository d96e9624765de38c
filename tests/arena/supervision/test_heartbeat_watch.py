"""A hung trainer is told from a slow one, a stopped one and a daemon that did not look; time is passed in."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from arena.supervision.heartbeat_watch import (
    BEFORE_ITS_FIRST_NOTE_SECONDS,
    LONGEST_BETWEEN_LOOKS,
    LONGEST_DEADLINE_SECONDS,
    SILENT_SECONDS,
    TIMES_THE_LONGEST,
    TIMES_WITHOUT_BEAT,
    Finding,
    Glance,
    HeartbeatWatch,
    describe_hang,
)
from arena.supervision.position_file import Phase, Position
from core.processes import ProcessLook

HUNG_SECONDS = 100.0


@dataclass
class Watched:
    """A watch, and a child that is looked at once a second."""

    watch: HeartbeatWatch
    phase: Phase | None = Phase.STEPPING
    state: str = "R"
    now: float = 1000.0
    beats: int = 0
    cpu_seconds: float = 0.0

    def look(self) -> Finding:
        position = Position(self.phase, 3, 7, 3, 7, 41, self.beats) if self.phase is not None else None
        return self.watch.look(Glance(position, ProcessLook(self.state, self.cpu_seconds, 0)), self.now)

    def silent_for(self, seconds: int) -> Finding:
        """The last finding after so many seconds without a beat."""
        finding = self.look()
        for _ in range(seconds):
            self.now += 1
            finding = self.look()
        return finding

    def beat(self) -> Finding:
        self.now += 1
        self.beats += 1
        return self.look()


@pytest.fixture
def child() -> Watched:
    return Watched(HeartbeatWatch(HUNG_SECONDS))


def test_a_silent_step_hangs_once_the_deadline_is_over_however_much_it_computes(child: Watched) -> None:
    child.beat()
    for _ in range(100):
        child.now += 1
        child.cpu_seconds += 1
        assert child.look() is Finding.ALIVE
    assert child.silent_for(1) is Finding.HUNG


def test_beats_within_a_long_step_keep_it_alive(child: Watched) -> None:
    for _ in range(50):
        assert child.silent_for(60) is Finding.ALIVE
        assert child.beat() is Finding.ALIVE


def test_the_deadline_adapts_to_what_this_machine_needs_also_for_the_next_child(child: Watched) -> None:
    child.beat()
    assert child.silent_for(40) is Finding.ALIVE
    child.beat()
    assert child.watch.deadline(Phase.STEPPING) == pytest.approx(40 * TIMES_THE_LONGEST)
    assert child.watch.deadline(Phase.WAITING) == HUNG_SECONDS
    assert child.silent_for(700) is Finding.ALIVE
    child.watch.begin()
    child.beat()
    assert child.silent_for(700) is Finding.ALIVE
    assert child.silent_for(101) is Finding.HUNG


def test_a_silence_is_told_long_before_the_deadline_but_not_where_this_machine_is_slow(child: Watched) -> None:
    """Issue 4: every fault is named within 60 s. The very first step is compiled, which takes long."""
    child.beat()
    assert child.watch.patience(Phase.STEPPING) == HUNG_SECONDS, "its first step"
    child.beat()
    assert child.watch.patience(Phase.STEPPING) == SILENT_SECONDS < 60
    assert child.watch.patience(None) == HUNG_SECONDS + BEFORE_ITS_FIRST_NOTE_SECONDS
    child.silent_for(4)
    child.beat()
    assert child.watch.patience(Phase.STEPPING) == 4 * TIMES_THE_LONGEST
    child.silent_for(10)
    child.beat()
    assert child.watch.patience(Phase.STEPPING) == child.watch.deadline(Phase.STEPPING) == 10 * TIMES_THE_LONGEST


def test_one_long_stall_of_a_disk_does_not_let_a_child_hang_for_half_a_day(child: Watched) -> None:
    child.phase = None
    child.silent_for(500)
    child.phase = Phase.LOADING
    child.beat()
    assert child.watch.deadline(None) == LONGEST_DEADLINE_SECONDS
    assert HeartbeatWatch(7200.0).deadline(Phase.STEPPING) == 7200.0, "who wants more, sets it"


def test_time_for_which_nobody_looked_is_no_silence(child: Watched) -> None:
    """The daemon was stopped, the machine slept or its clock jumped: a healthy child must not pay for it."""
    child.beat()
    for _ in range(10):
        child.now += 86_400
        assert child.look() is Finding.ALIVE
    assert child.watch.silent == 10 * LONGEST_BETWEEN_LOOKS


@pytest.mark.parametrize(("state", "finding"), [("T", Finding.STOPPED), ("t", Finding.TRACED), ("D", Finding.DISK)])
def test_a_child_that_is_held_does_not_hang(child: Watched, state: str, finding: Finding) -> None:
    child.beat()
    child.silent_for(90)
    child.state = state
    assert child.silent_for(10_000) is finding
    assert child.watch.held == pytest.approx(10_000, abs=2)
    child.state = "S"
    assert child.look() is Finding.ALIVE, "it gets the rest of its time"
    assert child.silent_for(20) is Finding.HUNG


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.WAITING, Phase.LOADING])
def test_between_steps_work_counts_as_life_and_silence_does_not(child: Watched, phase: Phase) -> None:
    """Hashing 50 GB, loading a model and saving it run for minutes inside libraries that cannot beat."""
    child.phase = phase
    child.beat()
    for _ in range(500):
        child.now += 1
        child.cpu_seconds += 0.5
        assert child.look() is Finding.ALIVE
    assert child.silent_for(101) is Finding.HUNG


def test_work_without_end_between_steps_hangs_in_the_end_but_not_while_loading(child: Watched) -> None:
    """A tokenizer may run for ever over one row; a model may come over a slow line for a day."""
    for phase, found in ((Phase.PREPARING, Finding.HUNG), (Phase.LOADING, Finding.ALIVE)):
        child.phase = phase
        child.beat()
        finding = Finding.ALIVE
        for _ in range(int(TIMES_WITHOUT_BEAT * HUNG_SECONDS + HUNG_SECONDS) + 5):
            child.now += 1
            child.cpu_seconds += 1.5
            finding = child.look()
        assert finding is found


def test_a_child_that_waits_for_the_one_before_it_is_given_that_time(child: Watched) -> None:
    child.phase = None
    assert child.silent_for(int(BEFORE_ITS_FIRST_NOTE_SECONDS + HUNG_SECONDS)) is Finding.ALIVE
    assert child.silent_for(1) is Finding.HUNG


def test_the_cause_names_how_long_and_where(child: Watched) -> None:
    child.beat()
    child.silent_for(101)
    position = Position(Phase.STEPPING, 3, 7, 3, 7, 41, 1)
    told = describe_hang(child.watch, Glance(position, ProcessLook("S", 0, 0)), "x.py:5 (f)")
    assert told == "hung: no sign of life for 101 s in a step (after step 7 of quest 3), at x.py:5 (f)"

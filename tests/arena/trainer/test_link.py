"""The child's end of the socket: it never blocks a step, merges progress only, and notices the daemon's end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from arena.protocol import Claimed, Event, Pause, Progress, Resume, Save, State, StepPoint, Stop, decode_event, encode
from arena.trainer.link import KEPT_POINTS, DaemonLink
from arena.trainer.orders import Orders
from tests.waiting import PATIENCE_SECONDS, wait_until

Ends = tuple[DaemonLink, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    theirs.settimeout(10)
    link = DaemonLink(ours)
    yield link, theirs
    link.close(timeout=0.2)
    theirs.close()


def progress(step: int, quest_id: str = "q") -> Progress:
    return Progress(
        step=step, quest_id=quest_id, epoch=0, quest_step=step, quest_steps=10**6, rows_learned=step, rows_total=10**6,
        replaying=False, points=[StepPoint(step, 1.0, 1e-3, 1.0, 10, 0.01)],
    )  # fmt: skip


def listen(theirs: socket.socket, done: Callable[[list[Event]], bool]) -> list[Event]:
    heard: list[Event] = []
    with theirs.makefile("rb") as stream:
        while not done(heard):
            heard.append(decode_event(stream.readline()))
    return heard


def test_progress_is_merged_without_losing_a_point(ends: Ends) -> None:
    link, theirs = ends
    started = time.monotonic()
    for step in range(1, 1001):
        link.send(progress(step))
    heard = listen(theirs, lambda heard: bool(heard) and isinstance(heard[-1], Progress) and heard[-1].step == 1000)
    points = [point.step for event in heard if isinstance(event, Progress) for point in event.points]
    assert points == list(range(1, 1001))
    # Five frames a second at most, and the first at once.
    assert len(heard) <= 2 + 5 * (time.monotonic() - started)


def test_other_events_keep_their_order_among_the_progress(ends: Ends) -> None:
    link, theirs = ends
    claimed = Claimed(quest_id="b", ordinal=2, rows=1, epochs=1, steps=1, first_step=3)
    for event in (progress(1), progress(2), State(state="idle"), claimed, progress(3, "b"), State(state="training")):
        link.send(event)
    heard = listen(theirs, lambda heard: bool(heard) and heard[-1] == State(state="training"))
    assert [event for event in heard if not isinstance(event, Progress)] == [
        State(state="idle"), claimed, State(state="training"),
    ]  # fmt: skip
    idle = heard.index(State(state="idle"))
    assert [point.step for event in heard[:idle] if isinstance(event, Progress) for point in event.points] == [1, 2]


def test_a_daemon_that_does_not_read_blocks_nothing_and_costs_bounded_memory(ends: Ends) -> None:
    link, theirs = ends
    # A sender that waits for the reader, who begins below, never comes to the end of this.
    for number in range(2_000):
        link.send(State(state="x" * 1000 + str(number)))
    for step in range(1, 20_001):
        link.send(progress(step))
    heard = listen(theirs, lambda heard: bool(heard) and isinstance(heard[-1], Progress) and heard[-1].step == 20_000)
    assert [event.state[1000:] for event in heard if isinstance(event, State)] == [str(n) for n in range(2_000)]
    last = heard[-1]
    assert isinstance(last, Progress)
    assert [point.step for point in last.points] == list(range(20_001 - KEPT_POINTS, 20_001))


def test_commands_arrive_in_order_and_the_end_of_the_daemon_is_noticed(ends: Ends) -> None:
    link, theirs = ends
    orders = Orders(link, pause_reason=None)
    assert link.receive(0) is None
    for command in (Pause(reason="a"), Resume(), Pause(reason="b")):
        theirs.sendall(encode(command) + b"\n")
    wait_until(lambda: (orders.look(), orders.pause_reason)[1] == "b")
    theirs.sendall(encode(Stop(reason="enough"))[:10])
    orders.look()
    assert (link.closed, orders.stop_reason) == (False, None)
    theirs.close()
    wait_until(lambda: link.closed, message="the end of the daemon was not noticed")
    orders.look()
    assert orders.stop_reason == "the daemon is gone"
    link.send(State(state="idle"))


def test_a_signal_wakes_a_waiting_trainer(ends: Ends) -> None:
    link, _ = ends
    orders = Orders(link, pause_reason="tea")
    waited = threading.Thread(target=orders.wait, args=(60.0,))
    waited.start()
    orders.stop("signal SIGTERM")
    waited.join(10)
    assert not waited.is_alive()
    assert orders.stop_reason == "signal SIGTERM"


def test_close_delivers_what_is_queued_and_hangs_up(ends: Ends) -> None:
    link, theirs = ends
    link.send(progress(1))
    link.send(progress(2))
    link.send(State(state="saving"))
    link.close()
    with theirs.makefile("rb") as stream:
        heard = [decode_event(line) for line in stream]
    assert heard[-1] == State(state="saving")


def test_close_gives_a_stalled_daemon_up(ends: Ends) -> None:
    link, _ = ends
    for number in range(500):
        link.send(State(state="x" * 10_000 + str(number)))
    started = time.monotonic()
    link.close(timeout=0.3)
    assert time.monotonic() - started < PATIENCE_SECONDS, "it would wait for ever"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_saves_neither_is_lost_behind_the_other(ends: Ends, order: tuple[int, int]) -> None:
    """An urgent one that waits for room holds training; the scrub repeats its own every minute."""
    link, theirs = ends
    saves = [Save(reason="a quest waits", urgent=True), Save(reason="it has rotted", anew=True)]
    orders = Orders(link, pause_reason=None)
    for number in order:
        theirs.sendall(encode(saves[number]) + b"\n")
        wait_until(lambda: not link._commands.empty())
        orders.look()
    theirs.sendall(encode(Save(reason="the board is empty")) + b"\n")
    wait_until(lambda: not link._commands.empty())
    orders.look()
    assert orders.save == Save(reason=saves[order[1]].reason, urgent=True, anew=True)

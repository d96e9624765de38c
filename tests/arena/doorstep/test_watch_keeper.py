"""A deaf watch is found out by a canary and replaced; a hopeless one is given up, told once, and tried again later."""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arena.doorstep.inbox_watch import CANARY_NAME, InboxWatch
from arena.doorstep.watch_keeper import AGAIN_SECONDS, ANSWER_SECONDS, QUIET_SECONDS, TRIES, WatchKeeper
from core import mounts
from tests.waiting import wait_until

LATE = QUIET_SECONDS + 1


class Place:
    """An inbox, and a keeper whose watches may be on another folder, from which nothing is heard."""

    def __init__(self, root: Path) -> None:
        self.inbox = root / "inbox"
        self.elsewhere = root / "elsewhere"
        self.inbox.mkdir()
        self.elsewhere.mkdir()
        self.watched = self.inbox
        self.made: list[InboxWatch] = []
        self.told: list[str] = []
        self.hints = 0
        self.keeper = WatchKeeper(self.inbox, self._make, lambda kind, message: self.told.append(kind))

    @property
    def is_watching(self) -> bool:
        return self.keeper._watch is not None

    def _make(self) -> InboxWatch:
        self.made.append(InboxWatch(self.watched, self._hint))
        return self.made[-1]

    def _hint(self) -> None:
        self.hints += 1

    def hears(self) -> None:
        """Wait until the present watch has heard something."""
        before = self.made[-1].heard
        (self.inbox / "x").touch()
        wait_until(lambda: self.made[-1].heard > before, message="the watch hears")

    def go_deaf(self, now: float) -> float:
        """Have the keeper find out that its watch is deaf; returns the time at which it has."""
        self.keeper.look(now)
        self.keeper.look(now + LATE)
        now += LATE + ANSWER_SECONDS + 1
        self.keeper.look(now)
        return now


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.keeper.stop()
    for watch in place.made:
        watch.stop()
    wait_until(lambda: not any(watch.is_alive() for watch in place.made))


def test_a_quiet_inbox_is_tried_with_a_canary_that_leaves_nothing_behind(place: Place) -> None:
    """PEERS, inbox truth: observers stop silently after hours, with their threads alive."""
    place.keeper.look(0.0)
    place.keeper.look(QUIET_SECONDS / 2)
    assert place.made[0].heard == 0
    place.keeper.look(LATE)
    wait_until(lambda: place.made[0].heard, message="the canary is heard")
    assert os.listdir(place.inbox) == []
    place.keeper.look(LATE + 1)
    place.keeper.look(LATE + 2 + ANSWER_SECONDS)
    assert (len(place.made), place.told, place.hints) == (1, [], 0)


def test_what_people_drop_is_as_good_as_a_canary(place: Place) -> None:
    """While files come in, nothing is made in the inbox to see whether they do."""
    place.keeper.look(0.0)
    place.hears()
    heard = place.made[0].heard
    place.keeper.look(LATE)
    place.keeper.look(LATE + QUIET_SECONDS - 1)
    # Events come in order: a canary would be heard before this.
    place.hears()
    assert place.made[0].heard - heard <= 4


def test_a_deaf_watch_is_replaced_by_one_that_hears(place: Place) -> None:
    place.watched = place.elsewhere
    place.keeper.look(0.0)
    place.watched = place.inbox
    now = place.go_deaf(0.0)
    place.keeper.look(now)
    assert len(place.made) == 2
    assert not place.made[0].is_alive()
    place.hears()
    assert place.hints > 0
    place.keeper.look(now + 1)
    assert place.told == []


def test_a_watch_whose_thread_was_killed_is_replaced(place: Place) -> None:
    place.keeper.look(0.0)
    place.made[0].stop()
    wait_until(lambda: not place.made[0].is_alive())
    place.keeper.look(1.0)
    place.keeper.look(1.5)
    assert len(place.made) == 2
    assert place.is_watching
    place.hears()


def test_a_place_without_events_is_given_up_told_once_and_tried_again_later(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Law 9: one line in the log and one event, however long it goes on."""
    caplog.set_level(logging.WARNING)
    place.watched = place.elsewhere
    now = 0.0
    for _ in range(TRIES):
        now = place.go_deaf(now)
    assert not place.is_watching
    assert place.told == ["inbox_watch_lost"]
    for _ in range(5):
        now += AGAIN_SECONDS + 1
        now = place.go_deaf(now)
        assert not place.is_watching
    assert place.told == ["inbox_watch_lost"]
    assert [record.event for record in caplog.records] == ["inbox_watch_lost"]  # type: ignore[attr-defined]
    assert len(place.made) == TRIES + 5

    place.watched = place.inbox
    now += AGAIN_SECONDS + 1
    place.keeper.look(now)
    place.hears()
    place.keeper.look(now + 1)
    assert place.told == ["inbox_watch_lost", "inbox_watch_back"]
    assert place.is_watching


def test_a_new_watch_after_a_failure_is_put_to_the_test_at_once(place: Place) -> None:
    place.watched = place.elsewhere
    now = place.go_deaf(0.0)
    place.watched = place.inbox
    place.keeper.look(now)
    place.keeper.look(now + 1)
    wait_until(lambda: place.made[-1].heard, message="the canary is heard")
    assert place.hints == 0


def test_a_watch_that_cannot_begin_is_not_tried_again_and_again(place: Place) -> None:
    place.watched = place.inbox / "missing"
    for now in range(100):
        place.keeper.look(float(now))
    assert len(place.made) == 1
    assert place.told == ["inbox_watch_lost"]
    place.watched = place.inbox
    place.keeper.look(AGAIN_SECONDS + 100.0)
    assert place.is_watching


def test_a_watch_that_is_being_started_while_the_keeper_is_stopped_does_not_live_on(place: Place) -> None:
    """The intake ends while a thread of its own is still looking; each restart would leave a watch behind."""
    start = InboxWatch.start

    def stopped_meanwhile(watch: InboxWatch) -> str | None:
        place.keeper.stop()
        return start(watch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InboxWatch, "start", stopped_meanwhile)
        place.keeper.look(0.0)
    assert not place.is_watching
    wait_until(lambda: not place.made[-1].is_alive(), message="the watch has ended")


def test_where_no_canary_can_be_made_its_silence_says_nothing(place: Place) -> None:
    """A read-only or full inbox: there is nothing to hear, and nothing to blame the watch for."""
    (place.inbox / CANARY_NAME).mkdir()
    place.keeper.look(0.0)
    place.hears()
    place.keeper.look(1.0)
    for now in (LATE, 2 * LATE, 3 * LATE + ANSWER_SECONDS):
        place.keeper.look(now)
    assert (len(place.made), place.told) == (1, [])


def test_a_canary_that_a_killed_realm_left_is_cleared_away(place: Place) -> None:
    (place.inbox / CANARY_NAME).touch()
    place.keeper.look(0.0)
    place.keeper.look(LATE)
    assert not (place.inbox / CANARY_NAME).exists()


def test_a_look_costs_next_to_nothing(place: Place) -> None:
    """DESIGN section 10: an idle control process stays below 1 % of a CPU, and it looks twice a second."""
    place.keeper.look(0.0)
    begun = time.process_time()
    for number in range(200):
        place.keeper.look(number * 0.1)
    assert (time.process_time() - begun) / 200 < 0.001


@pytest.mark.parametrize(
    ("fs_type", "told"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False), ("tmpfs", False)]
)
def test_on_a_network_share_the_log_says_what_raises_no_events(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fs_type: str, told: bool
) -> None:
    """PEERS, inbox truth: what another machine writes to a share raises no events here."""
    caplog.set_level(logging.INFO)
    table = place.elsewhere / "mountinfo"
    table.write_text(f"36 35 98:0 / {place.inbox} rw,noatime - {fs_type} server:/share rw\n")
    look_up = functools.partial(mounts.mount_of, table=table)
    monkeypatch.setattr("arena.doorstep.watch_keeper.mount_of", look_up)
    for now in (0.0, 1.0):
        place.keeper.look(now)
    lines = [record.getMessage() for record in caplog.records if "scanning" in record.getMessage()]
    assert len(lines) == told
    if told:
        assert fs_type in lines[0]
    assert place.is_watching, "what is dropped on this machine is still heard"

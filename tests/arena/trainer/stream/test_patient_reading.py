"""A quest whose data the disk does not give is waited for: it is neither refused nor lost, and nobody is blamed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import IO, TypeVar

import pytest

from arena.cursor import Cursor
from arena.journal import ClaimEntry, Genesis, Journal
from arena.protocol import Claim, Claimed, Event, QuestSettings, Refused, State, Stop, Trouble, decode_event, encode
from arena.rendering import Renderer
from arena.supervision.position_file import Phase, PositionFile, read_position
from arena.trainer.link import DaemonLink
from arena.trainer.orders import Orders
from arena.trainer.row_notes import RowNotes
from arena.trainer.situation import Situation, utc_now
from arena.trainer.stream.quest_taking import ClaimClock, QuestTaker
from core.errors import Conflict
from guild.profiles import get_profile
from tests.arena.trainer.driving import Field, Foe

E = TypeVar("E", bound=Event)


class StandingStill:
    """The engine of a trainer that makes no step."""

    global_step = 0

    def settle(self, settings: QuestSettings) -> QuestSettings:
        return settings


@dataclass
class Desk:
    """A quest taker between two steps, and the daemon's end of its socket."""

    realm: Field
    situation: Situation
    taker: QuestTaker
    daemon: socket.socket
    lines: IO[bytes]
    """What the daemon hears."""
    heard: list[Event] = field(default_factory=list)

    def until(self, kind: type[E]) -> E:
        for line in self.lines:
            self.heard.append(decode_event(line))
            if isinstance(self.heard[-1], kind):
                return self.heard[-1]
        raise AssertionError(f"no {kind.__name__}: {self.heard}")

    def until_paused(self) -> str:
        while (state := self.until(State)).state != "paused":
            pass
        assert state.reason is not None
        return state.reason

    def say_stop(self) -> None:
        self.daemon.sendall(encode(Stop(reason="the test is over")) + b"\n")


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path) -> Iterator[Desk]:
    realm = Field(tmp_path, tiny_model)
    ours, theirs = socket.socketpair()
    theirs.settimeout(30.0)
    link = DaemonLink(ours)
    journal = Journal(realm.journal)
    journal.append(Genesis(seq=1, at=utc_now(), hero="tiny", base_model=str(tiny_model), weights="w"))
    position = PositionFile(realm.paths.current_model / ".position")
    situation = Situation(
        link=link, journal=journal, position=position, begin=realm.begin(), cursor=Cursor(),
        orders=Orders(link, pause_reason=None), row_notes=RowNotes(realm.paths.row_books, 0),
    )  # fmt: skip
    situation.arms = StandingStill()  # type: ignore[assignment]
    clock = ClaimClock()

    @lru_cache
    def renderer_for(profile: str) -> Renderer:
        return Renderer.load(tiny_model, get_profile(profile), clock=clock)

    with closing(position), closing(theirs), theirs.makefile("rb") as lines, closing(link):
        yield Desk(realm, situation, QuestTaker(situation, renderer_for, clock), theirs, lines)


def broken(foe: Foe) -> Claim:
    """The claim of a quest whose file then answers with EIO, as on a bad sector: /proc/self/mem does at its start."""
    claim = foe.claim()
    foe.path.rename(good_of(foe))
    foe.path.symlink_to("/proc/self/mem")
    return claim


def good_of(foe: Foe) -> Path:
    return foe.path.with_suffix(".good")


def taking(desk: Desk, claim: Claim) -> Thread:
    desk.situation.orders.claim = claim
    thread = Thread(target=desk.taker.take_next, name="taking a quest", daemon=True)
    thread.start()
    return thread


def test_a_quest_on_a_bad_sector_is_neither_refused_nor_blamed_and_goes_on_when_it_can_be_read(desk: Desk) -> None:
    """A28, B30: low or failing disks marked good quests failed, for good after three times."""
    foe = desk.realm.foe("sound", 4)
    thread = taking(desk, broken(foe))
    reason = desk.until_paused()
    assert reason.startswith("disk: ")
    assert "Input/output error" in reason
    assert desk.until(Trouble).what == "quest_unreadable"
    position = read_position(desk.realm.paths.current_model / ".position")
    assert position is not None
    assert position.phase is Phase.WAITING, "a trainer that dies now charges nobody"
    good_of(foe).replace(foe.path)
    assert desk.until(Claimed).rows == 4
    thread.join(30)
    assert not any(isinstance(event, Refused) for event in desk.heard)
    assert sum(isinstance(event, Trouble) for event in desk.heard) == 1


def test_a_quest_whose_whole_lane_is_gone_is_waited_for_and_one_that_alone_is_gone_is_not(desk: Desk) -> None:
    """A28: the lane vanishes with its disk. A replayed quest that was taken for lost would be lost for good."""
    foe = desk.realm.foe("sound", 4)
    lane, away = foe.path.parent, foe.path.parent.with_name("away")
    taking(desk, foe.claim()).join(30)
    assert desk.taker.active is not None
    desk.taker.active = None
    lane.rename(away)
    replaying = Thread(target=desk.taker.take_next, daemon=True)
    replaying.start()
    desk.until_paused()
    assert desk.situation.journal.history.ends == {}
    away.rename(lane)
    replaying.join(30)
    assert desk.taker.active is not None

    desk.situation.cursor.ordinal = 2
    gone = desk.realm.foe("gone", 4)
    claim = gone.claim()
    gone.path.unlink()
    taking(desk, claim)
    assert "No such file" in desk.until(Refused).errors[0].message


def test_a_stop_ends_the_wait_and_the_quest_is_as_it_was(desk: Desk) -> None:
    """B30: a realm can be stopped while its disk fails."""
    thread = taking(desk, broken(desk.realm.foe("sound", 4)))
    desk.until_paused()
    desk.say_stop()
    thread.join(30)
    assert not thread.is_alive()
    assert desk.taker.active is None
    assert desk.situation.journal.history.claims == {}


def test_a_quest_that_reads_as_other_rows_than_it_did_is_neither_learned_nor_lost(desk: Desk) -> None:
    """Law 3: a reader of another version must not make other weights of the same journal."""
    foe = desk.realm.foe("ogre", 6)
    wish, journal = foe.claim(), desk.situation.journal
    journal.append(
        ClaimEntry(
            seq=2, at=utc_now(), ordinal=1, quest_id="ogre", name=wish.name, content_hash=wish.content_hash,
            schema_id=wish.schema_id, rows=5, settings=wish.settings,
        )
    )  # fmt: skip
    desk.taker._paths["ogre"] = foe.path
    with pytest.raises(Conflict, match=r"learned as 5 rows, and the same file is read as 6 rows"):
        desk.taker.take_next()
    assert (desk.taker.active, journal.history.ends) == (None, {})
    position = read_position(desk.realm.paths.current_model / ".position")
    assert position is not None
    assert position.phase is Phase.WAITING

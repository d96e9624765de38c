"""What people hear of a trainer's end: state, reason and one event, named for what it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from arena.daemon import Daemon
from arena.protocol import State, Trouble
from arena.start_check import read_setup
from arena.supervision.child_guard import GOES_ON, HOLDS
from arena.supervision.position_file import Phase, Position
from arena.supervision.trainer_process import Death
from core.announcing import tell_of_cut_off
from core.http.events import EventHub
from core.paths import RealmPaths
from core.saga import Saga, open_saga
from core.scribe import Scribe
from core.status_files import read_status
from realm import make_daemon
from tests.arena.quest_makers import NOW, take

HUNG = "hung: no sign of life for 120 s in a step (after step 0 of quest 1), at x.py:5 (f)"


@pytest.fixture
def saga(paths: RealmPaths) -> Iterator[Saga]:
    with open_saga(paths) as saga:
        yield saga


@pytest_asyncio.fixture
async def daemon(paths: RealmPaths, saga: Saga) -> AsyncIterator[Daemon]:
    scribe = Scribe()
    yield make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
    await scribe.close()


def death(**fields: object) -> Death:
    plain = {"pid": 41, "clean": False, "cause": HUNG, "position": Position(Phase.STEPPING, 1, 0, 1, 0, 41)}
    return Death(**{**plain, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("end", "state", "told", "strikes"),
    [
        (death(clean=True, cause="signal SIGTERM"), "stopped", "trainer_stopped", 0),
        (death(interrupted=True, cause="it was told to end and was killed"), "stopped", "trainer_interrupted", 0),
        (death(), "crashed", "trainer_died", 1),
    ],
    ids=["in order", "cut off", "hung"],
)
async def test_interrupted_is_not_failed_and_hung_is_told_once(
    daemon: Daemon, saga: Saga, end: Death, state: str, told: str, strikes: int
) -> None:
    """B17: the quest stays where it is, in no way failed, and only a death in its step is held against it."""
    quest = daemon.board.claim(take(daemon.board, "x.jsonl"))
    await daemon._on_death(end)
    await daemon.crier.write()
    status = read_status(daemon.paths.training_status, now=datetime.now(UTC))
    assert (status["status"], status["reason"]) == (state, end.cause)
    assert [event.kind for event in saga.latest_events(9)] == [told, *["quest_strike"] * strikes]
    assert end.cause in saga.latest_events(9)[0].message
    found = daemon.board.find(quest.quest_id)
    assert found is not None
    assert (found.lane, found.record.outcome, len(found.record.strikes)) == ("processing", None, strikes)


@pytest.mark.parametrize("before", [(), HOLDS], ids=["at-once", "after-other-reasons"])
@pytest.mark.parametrize("hold", HOLDS)
async def test_why_a_held_trainer_stands_still_is_shown_until_it_goes_on(
    daemon: Daemon, saga: Saga, hold: str, before: tuple[str, ...]
) -> None:
    await daemon._on_event(State(state="paused", reason="lunch"))
    for other in before:
        await daemon._on_event(Trouble(what=other, message="something else"))
    await daemon._on_event(Trouble(what=hold, message="`kill -CONT 41` lets it go on"))
    assert (daemon.report.state, daemon.report.reason) == ("paused", "`kill -CONT 41` lets it go on")
    await daemon._on_event(Trouble(what=GOES_ON, message="it goes on"))
    assert (daemon.report.state, daemon.report.reason) == ("paused", "lunch")
    assert [event.kind for event in saga.latest_events(9)] == [*before, hold, GOES_ON]


async def test_a_realm_that_ended_without_a_word_is_told_of_by_the_next(daemon: Daemon, saga: Saga) -> None:
    """B16: after kill -9 or a power cut nothing said why the training had stood still all night."""
    later = datetime.now(UTC) + timedelta(hours=8)
    tell_of_cut_off(daemon.paths, saga, now=later)
    assert saga.latest_events(9) == [], "there was none before"
    daemon.report.enter("training", NOW)
    await daemon.crier.write()
    tell_of_cut_off(daemon.paths, saga, now=later)
    (told,) = saga.latest_events(9)
    tell_of_cut_off(daemon.paths, saga, now=datetime.now(UTC))
    assert len(saga.latest_events(9)) == 2, "also at once, with the same pid, as in a container"
    assert (told.kind, "last heard of as training at " in told.message) == ("realm_was_cut_off", True)
    daemon.report.enter("stopped", NOW)
    await daemon.crier.write()
    tell_of_cut_off(daemon.paths, saga, now=later)
    assert len(saga.latest_events(9)) == 2

"""While somebody else works on the model there is no trainer, whatever is wished; and then there is one again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from arena.protocol import Begin, Event, State
from arena.supervision import trainer_supervisor
from arena.supervision.trainer_process import Death, TrainerProcess
from arena.supervision.trainer_supervisor import TrainerSupervisor
from core.paths import RealmPaths
from tests.arena.supervision.puppet import PLOT
from tests.arena.supervision.test_child_endings import BEGIN
from tests.waiting import wait_until_async

PATIENCE = 60.0


class Watched:
    """A supervisor of puppets, and what it tells."""

    def __init__(self, paths: RealmPaths) -> None:
        self.in_place = 0
        self.deaths: list[Death] = []
        self.supervisor = TrainerSupervisor(
            paths, begin=self._begin, on_event=self._on_event, on_death=self._on_death, backoff_seconds=0.1,
            log_megabytes=1, hung_seconds=PATIENCE,
        )  # fmt: skip

    async def _begin(self) -> Begin:
        return BEGIN

    async def _on_event(self, event: Event) -> None:
        if event == State(state="in place"):
            self.in_place += 1
            # As one whose model is loaded: it is asked to stop, not sent away.
            self.supervisor.ready = True

    async def _on_death(self, death: Death) -> None:
        self.deaths.append(death)

    async def lives(self, count: int) -> None:
        await wait_until_async(lambda: self.in_place == count, PATIENCE, f"child {count} is not in place")


@pytest_asyncio.fixture
async def watched(paths: RealmPaths, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    monkeypatch.setenv(PLOT, "fight")
    puppets = partial(TrainerProcess, module="tests.arena.supervision.puppet")
    monkeypatch.setattr(trainer_supervisor, "TrainerProcess", puppets)
    watched = Watched(paths)
    task = asyncio.create_task(watched.supervisor.run())
    yield watched
    task.cancel()
    await asyncio.wait({task})


async def test_no_trainer_starts_before_whoever_works_on_the_model_has_done(watched: Watched) -> None:
    """B9: not even when somebody resumes meanwhile; what was wished for then is done afterwards, once."""
    await watched.lives(1)
    async with watched.supervisor.standing_down("a test", PATIENCE):
        assert [death.clean for death in watched.deaths] == [True]
        watched.supervisor.want()
        await asyncio.sleep(0)
        assert watched.supervisor.pid is None
    await watched.lives(2)
    assert len(watched.deaths) == 1


async def test_a_trainer_that_was_stopped_before_stays_stopped(watched: Watched) -> None:
    await watched.lives(1)
    await watched.supervisor.stop("a wish", PATIENCE)
    async with watched.supervisor.standing_down("a test", PATIENCE):
        assert watched.supervisor.pid is None
    assert not watched.supervisor.wanted
    assert watched.in_place == 1

"""How long a dead trainer is waited for before the next one is started."""

from __future__ import annotations

from arena.supervision.trainer_process import Death
from arena.supervision.trainer_supervisor import LEAST_BACKOFF_SECONDS, TrainerSupervisor
from core.paths import RealmPaths


async def _nothing(*_: object) -> None:
    """Nobody listens."""


async def test_a_trainer_that_dies_at_each_start_is_not_started_without_a_pause(paths: RealmPaths) -> None:
    """Twice nothing is nothing: with a pause of 0, a broken library kept a processor busy for ever."""
    supervisor = TrainerSupervisor(
        paths, begin=_nothing, on_event=_nothing, on_death=_nothing, backoff_seconds=0.0, log_megabytes=1,  # type: ignore[arg-type]
        hung_seconds=60,
    )  # fmt: skip
    await supervisor._rest(Death(pid=41, clean=False, cause="it does not load", position=None))
    assert supervisor._backoff == LEAST_BACKOFF_SECONDS

"""A realm with a past, its tavern served on a real port: quests, checkpoints, a branch, and names that mean harm.

Everything is composed as `realm up` does it; only the loops and the trainer do not run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from arena.daemon import Daemon
from core.paths import RealmPaths
from docs.make_reference import idle_realm
from tests.arena.annals.past import Past
from tests.conformance import hold_to_models
from tests.serving import Answer, Visitor
from tests.waiting import wait_until_async

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp"
"""Of a quest: markup, and a mark that turns what follows around."""


@dataclass(frozen=True)
class Vaulted:
    """What a test of it needs."""

    daemon: Daemon
    visitor: Visitor
    names: Mapping[str, str]
    """Checkpoints: `first`, `middle` (inside the second quest), `last`."""

    @property
    def url(self) -> str:
        return self.visitor.site.url

    @property
    def paths(self) -> RealmPaths:
        return self.daemon.paths

    async def get(self, path: str) -> Any:
        answer = await self.visitor.get(path)
        assert answer.status == 200, answer.text
        return answer.body

    async def post(self, path: str, body: Any) -> Answer:
        return await self.visitor.post(path, body)

    async def errand_over(self) -> dict[str, Any]:
        """The errand that was begun last, once it has ended."""
        await wait_until_async(
            lambda: self.daemon.reception.errands.told()["running"] is None, message="the errand goes on"
        )
        ended: dict[str, Any] = self.daemon.reception.errands.told()["ended"][0]
        return ended


def learn_three_quests(paths: RealmPaths) -> dict[str, str]:
    """Three quests of five steps each; checkpoints after the first, within the second, and after the third."""
    paths.create()
    # With which the quests of a past are learned.
    paths.config_file.write_text("hyperparams: {max_length: 256}\n")
    past = Past(paths)
    past.learn("addition")
    first = past.save(loss=0.5)
    past.begin(HOSTILE, lane="recently_completed", outcome="learned", rows_learned=20)
    past.step_on(2)
    middle = past.save(loss=0.4)
    past.step_on()
    past.learn("third")
    return {"first": first, "middle": middle, "last": past.save(loss=0.9)}


@asynccontextmanager
async def vaulted_realm(folder: Path) -> AsyncIterator[Vaulted]:
    """Served until the end of the block; no answer may have been another one than its endpoint declares."""
    names = learn_three_quests(RealmPaths(folder))
    with idle_realm(folder) as (daemon, sites):
        # As a start leaves it: the report tells where training stands, and the ledger what there is.
        daemon._recover()
        assert daemon.ledger.on_change is not None
        daemon.ledger.on_change(names.values())
        tavern = sites[0]
        wrong = hold_to_models(tavern.app)
        await tavern.start()
        try:
            async with aiohttp.ClientSession() as session:
                yield Vaulted(daemon, Visitor(tavern, session), names)
        finally:
            await daemon.reception.errands.close()
            await tavern.stop()
        assert wrong == []

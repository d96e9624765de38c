"""A realm whose Armory is real: settings on a disk, their history, and ravens that fly to a real server."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from arena.armory.armory import Armory
from arena.armory.desk import ArmoryDesk
from arena.armory.routes import armory_routes
from arena.command.live_settings import LiveSettings
from arena.ravens.raven_post import RavenPost
from arena.ravens.routes import raven_routes
from arena.start_check import read_setup
from core.paths import RealmPaths
from core.saga import Event, open_saga
from tests.arena.quest_makers import NOW
from tests.tavern.scripted_realm import ScriptedRealm

SMALL = "#save_steps: 10000\nhyperparams:\n  # how fast\n  #learning_rate: null\ntrainer:\n  #tf32: false\n"
"""Written as the shipped file is, and read in a tenth of the time."""


class ArmoryRealm:
    """The tavern on one port, and the Armory behind it. Make it inside the running loop."""

    def __init__(self, folder: Path) -> None:
        self.paths = RealmPaths(folder / "realm")
        self.paths.create()
        self.paths.config_file.write_text(SMALL)
        self._opened = ExitStack()
        self.saga = self._opened.enter_context(open_saga(self.paths))
        self.live = LiveSettings(
            read_setup(self.paths).settings, self.paths.config_file, lambda: read_setup(self.paths).settings
        )
        self.armory = Armory(self.paths, self.live, self.saga, {})
        self.post = RavenPost(self.paths.notices, self.saga, lambda: self.live.newest(0.0).notifications)
        desk = ArmoryDesk(self.paths, self.armory, self.post, device=lambda: "cpu", trainer_pid=lambda: None)
        self.tavern = ScriptedRealm(folder / "tavern", rooms=[*armory_routes(desk), *raven_routes(self.post)])
        self.saga.subscribe(self._pass_on)

    async def start(self) -> ArmoryRealm:
        await self.tavern.start()
        self._flying = asyncio.create_task(self.post.run())
        return self

    async def stop(self) -> None:
        self._flying.cancel()
        await asyncio.wait({self._flying})
        await self.tavern.stop()
        self._opened.close()

    @property
    def url(self) -> str:
        return self.tavern.site.url

    @property
    def text(self) -> str:
        """What stands in the settings file."""
        return self.paths.config_file.read_text()

    def _pass_on(self, event: Event) -> None:
        self.tavern.saga.append(event.kind, event.message, now=NOW, data=event.data)

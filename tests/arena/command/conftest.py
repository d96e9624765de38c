"""A daemon whose parts are real and whose trainer is played by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from arena.daemon import Daemon
from arena.start_check import read_setup
from core.http.events import EventHub
from core.paths import RealmPaths
from core.saga import open_saga
from core.scribe import Scribe
from realm import make_daemon


@pytest_asyncio.fixture
async def daemon(paths: RealmPaths) -> AsyncIterator[Daemon]:
    """Its trainer is awake and hears nothing."""
    scribe = Scribe()
    paths.config_file.write_text("gates: {level: quick}\n")
    with open_saga(paths) as saga:
        made = make_daemon(paths, read_setup(paths, env={}), {}, saga, scribe, EventHub(saga))
        made._supervisor.ready = True
        yield made
    await scribe.close()

"""What is told when the realm is up, and that a full disk keeps it from nothing else."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from core.announcing import announce
from core.http.site import Site, make_app
from core.paths import RealmPaths
from core.saga import open_saga
from core.services import service_url
from core.shell.terminal import Terminal
from core.tasks import TaskCrew

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


async def told_at_the_start(paths: RealmPaths, *, full_disk: bool = False, quiet: bool = False) -> str:
    """What the terminal hears of a realm with one site."""
    reader, writer = os.pipe()
    terminal = Terminal(writer)
    site = Site(make_app([], service="tavern", health=dict), "127.0.0.1", 8888, "tavern")
    crew = TaskCrew()
    with open_saga(paths) as saga:
        if full_disk:
            paths.services.mkdir()
            saga.db.close()
        announce(paths, [site], saga, terminal, crew, quiet=quiet, now=NOW)
    await crew.stop(5)
    terminal.close(10)
    os.close(writer)
    with os.fdopen(reader) as heard:
        return heard.read()


@pytest.mark.parametrize("quiet", [False, True])
async def test_programs_find_the_realm_and_the_terminal_hears_of_it(paths: RealmPaths, quiet: bool) -> None:
    told = await told_at_the_start(paths, quiet=quiet)
    assert service_url(paths, "tavern") == "http://127.0.0.1:8888"
    assert f"The realm is up. Tavern: http://127.0.0.1:8888   Inbox: {paths.inbox}" in told
    assert ("The realm is up on http://127.0.0.1:8888\n" in told) is not quiet


async def test_a_full_disk_does_not_keep_a_realm_from_starting(paths: RealmPaths) -> None:
    """It ended at the start, with a bug report; it pauses instead, and goes on once there is room."""
    told = await told_at_the_start(paths, full_disk=True)
    assert f"Until {paths.services} can be written no verb finds this realm: " in told
    assert "The realm is up. Tavern: " in told

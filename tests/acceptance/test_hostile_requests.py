"""Hostile requests over real sockets to the sites as `realm.py` composes them: refused, without effect or traceback."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml
from blake3 import blake3

from arena.quest_board import QuestBoard
from arena.start_check import read_setup
from core.http.events import EventHub
from core.http.guards import DOOR
from core.http.limits import LIMITS, Limits
from core.http.site import ENDPOINTS, Site
from core.paths import RealmPaths
from core.saga import open_saga
from core.scribe import Scribe
from realm import make_daemon, open_keeper
from tavern.sites import make_sites
from tests.acceptance.hostile_requests import CLOSED, COOKIE, COOKIE_NAME, TAVERN, TOKEN, Hostile, all_hostile
from tests.arena.quest_makers import take
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "what no answer may ever tell"
TABLE = all_hostile()
IMPATIENT = Limits(head_seconds=0.3, body_seconds=0.3, linger_seconds=0.1)


@dataclass
class Stage:
    """One realm with its sites, and without a trainer: what is refused never gets that far."""

    paths: RealmPaths
    sites: dict[str, Site]
    cookie: str = ""

    def traces(self) -> dict[str, str]:
        """Every file but for those that live by themselves, and what is in it."""
        found = {}
        for path in sorted(self.paths.base.rglob("*")):
            place = path.relative_to(self.paths.base)
            if place.parts[0] not in ("status", "logs"):
                found[str(place)] = blake3(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        return found

    async def send(self, hostile: Hostile) -> tuple[int, bytes]:
        """Status, which is `CLOSED` when the connection ended without one, and body of the answer."""
        name, _, _ = self.cookie.partition("=")
        data = hostile.data.replace(COOKIE.encode(), self.cookie.encode()).replace(COOKIE_NAME.encode(), name.encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", self.sites[hostile.site].port)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                writer.write(data)
                return await _read_answer(reader)
        finally:
            writer.transport.abort()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    try:
        answer = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return CLOSED, b""
    status, *lines = answer.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    assert headers["server"] == "realm"
    assert headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in headers
    code = int(status.split()[1])
    # The one answer without a body: aiohttp tells by its headers which parts there are.
    return code, b"" if code == 416 else await reader.readexactly(int(headers["content-length"]))


@asynccontextmanager
async def composed(base: Path, host: str) -> AsyncIterator[Stage]:
    paths = RealmPaths(base)
    paths.create()
    paths.config_file.write_text(yaml.safe_dump({"services": {"host": host, "ports": "auto"}}))
    paths.token_file.write_text(TOKEN)
    paths.token_file.chmod(0o600)
    take(QuestBoard(paths), "waiting.jsonl")
    (base / "secret.txt").write_text(SECRET)
    (base.parent / "secret.txt").write_text(SECRET)
    setup = read_setup(paths, env={})
    opened = ExitStack()
    saga = opened.enter_context(open_saga(paths, setup.settings.budgets))
    hub = EventHub(saga)
    scribe = Scribe()
    daemon = make_daemon(paths, setup, {}, saga, scribe, hub)
    keeper = opened.enter_context(open_keeper(daemon, scribe, setup.settings))
    sites = make_sites(daemon, keeper, hub, setup.settings)
    for site in sites:
        site.app[LIMITS] = IMPATIENT
        await site.start()
    try:
        yield Stage(paths, {site.name: site for site in sites})
    finally:
        for site in sites:
            await site.stop()
        await scribe.close()
        opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[bool, Stage]]:
    """A realm on loopback, and (True) one that is open to the network, into which somebody has logged in."""
    folder = tmp_path_factory.mktemp("under_fire")
    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(composed(folder / "local" / "realm", "127.0.0.1"))
        guarded = await stack.enter_async_context(composed(folder / "guarded" / "realm", "0.0.0.0"))
        url = guarded.sites["tavern"].url
        async with aiohttp.ClientSession() as session:
            form = {"token": TOKEN}
            async with session.post(f"{url}/login", data=form, allow_redirects=False) as response:
                guarded.cookie = response.headers["Set-Cookie"].partition(";")[0]
            async with session.get(f"{url}/api/game", headers={"Cookie": guarded.cookie}) as response:
                assert response.status == 200, "the cookie that intruders use is a good one"
        yield {False: local, True: guarded}


class Listener(logging.Handler):
    """Keeps what would be a traceback or an error in the log."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.ERROR or record.exc_info or "Traceback" in text:
            self.heard.append(text)


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    listener = Listener()
    root = logging.getLogger()
    root.addHandler(listener)
    yield listener
    # Tasks and transports that were left with an exception say so when they are collected.
    gc.collect()
    root.removeHandler(listener)
    assert listener.heard == []


@pytest.mark.parametrize("hostile", TABLE, ids=[hostile.name for hostile in TABLE])
async def test_a_hostile_request_is_refused_and_changes_nothing(
    hostile: Hostile, stages: dict[bool, Stage], listener: Listener
) -> None:
    """F19, F23, law 8: 4xx, the same tree of files as before, and nothing in the log."""
    stage = stages[hostile.guarded]
    listener.heard.clear()
    before = stage.traces()
    status, body = await stage.send(hostile)
    assert status in hostile.statuses, body[:300]
    assert stage.traces() == before
    assert listener.heard == []
    assert SECRET.encode() not in body
    assert TOKEN.encode() not in body
    assert b"Traceback" not in body
    if status not in (CLOSED, 416):
        told = json.loads(body, parse_constant=pytest.fail)
        assert set(told) == {"error", "message", "details"}


async def test_every_hostile_request_has_a_name_and_sends_bytes_of_its_own() -> None:
    assert len({hostile.name for hostile in TABLE}) == len(TABLE)
    assert len({(hostile.site, hostile.data, hostile.guarded) for hostile in TABLE}) == len(TABLE) >= 60
    assert all(status == CLOSED or 400 <= status < 500 for hostile in TABLE for status in hostile.statuses)


async def test_beyond_loopback_no_route_of_any_site_answers_without_the_token(stages: dict[bool, Stage]) -> None:
    """Law 8: read off the route tables of 8888, 8767 and 8081; what people log in with is served, and `/health`."""
    asked = 0
    async with aiohttp.ClientSession() as session:
        for site in stages[True].sites.values():
            open_paths = site.app[DOOR].open_paths
            assert site.name == TAVERN or open_paths == {"/health"}
            for endpoint in site.app[ENDPOINTS]:
                path = re.sub(r"\{\w+\}", "x", endpoint.path)
                body = {"json": {}} if endpoint.method == "POST" else {}
                async with session.request(endpoint.method, site.url + path, **body) as answer:
                    assert (answer.status == 401) != (path in open_paths), (endpoint.method, path, answer.status)
                asked += 1
    assert asked > 60


async def test_after_all_that_the_sites_answer_as_ever(stages: dict[bool, Stage]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for stage in stages.values():
            for site in stage.sites.values():
                for path in ("/health", "/healthz", "/"):
                    async with session.get(f"{site.url}{path}") as response:
                        assert response.status in {200, 404 if site.name == "vault" and path == "/" else 200}

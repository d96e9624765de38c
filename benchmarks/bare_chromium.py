"""A Chromium as its user has it: no tool listens to what its page does, so that what it needs is the page's alone.

That of playwright keeps the bodies of all answers for its inspector, up to 100 MB of them. This one is asked now and
then by the DevTools protocol (https://chromedevtools.github.io/devtools-protocol), which none of its parts is on for.
"""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.chromium import ARGUMENTS, find_chromium

START_SECONDS = 60.0
LOOK_SECONDS = 0.1
ANSWER_SECONDS = 60.0
END_SECONDS = 10.0
PORT_FILE = "DevToolsActivePort"
"""Which port it has taken, in its first line."""


@dataclass(frozen=True)
class Needs:
    """What a page has in use after a collection of garbage."""

    heap: int
    """Bytes of its scripts' memory."""
    nodes: int
    listeners: int
    rss: int
    """Bytes of the process that draws it, collected or not."""


class _Wire:
    """Questions to one target, one after the other."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._asked = 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What it answers; raises `RuntimeError` when it refuses, or does not answer, as after a crash."""
        self._asked += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._socket.send_json({"id": self._asked, "method": method, "params": parameters})
                told = await self._answer()
        except (TimeoutError, TypeError, ConnectionError) as error:  # a socket that is closed has no text
            raise RuntimeError(f"Chromium does not answer {method}") from error
        if "error" in told:
            raise RuntimeError(f"Chromium refused {method}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    async def _answer(self) -> dict[str, Any]:
        while True:
            told: dict[str, Any] = await self._socket.receive_json()
            if told.get("id") == self._asked:
                return told


class BareChromium:
    """One page in a browser of its own."""

    def __init__(self, page: _Wire, browser: _Wire) -> None:
        self._page = page
        self._browser = browser

    async def evaluate(self, expression: str) -> Any:
        """Its value, which must be one that JSON has; raises `RuntimeError` where the script does."""
        told = await self._page.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    async def needs(self) -> Needs:
        await self._page.ask("HeapProfiler.collectGarbage")
        heap = await self._page.ask("Runtime.getHeapUsage")
        counted = await self._page.ask("Memory.getDOMCounters")
        processes = (await self._browser.ask("SystemInfo.getProcessInfo"))["processInfo"]
        # Beside the one with the page there are one that is kept ready and one that all are forked from, both smaller.
        rss = max(_rss(each["id"]) for each in processes if each["type"] == "renderer")
        return Needs(heap["usedSize"], counted["nodes"], counted["jsEventListeners"], rss)


@asynccontextmanager
async def bare_chromium(url: str) -> AsyncIterator[BareChromium]:
    """Open `url` on a desktop; the browser ends with the block."""
    async with AsyncExitStack() as held:
        profile = held.enter_context(tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True))
        process = subprocess.Popen(
            [find_chromium(), *ARGUMENTS, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}",
             "--window-size=1440,900", url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        held.callback(_end, process)
        http = await held.enter_async_context(aiohttp.ClientSession())
        address = f"http://127.0.0.1:{await _port(Path(profile) / PORT_FILE, process)}"
        page = await _page(http, address)
        about = await _listed(http, f"{address}/json/version")
        sockets = [
            await held.enter_async_context(http.ws_connect(each["webSocketDebuggerUrl"], max_msg_size=0))
            for each in (page, about)
        ]
        yield BareChromium(*map(_Wire, sockets))


async def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if file.exists() and (told := file.read_text().split()):
            return int(told[0])
        await asyncio.sleep(LOOK_SECONDS)
    raise RuntimeError("Chromium did not start")


async def _page(http: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """The one that is open; it may be listed some time after the port."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        for each in await _listed(http, f"{address}/json/list"):
            if each["type"] == "page":
                told: dict[str, Any] = each
                return told
        await asyncio.sleep(LOOK_SECONDS)
    raise RuntimeError("Chromium opened no page")


async def _listed(http: aiohttp.ClientSession, address: str) -> Any:
    async with http.get(address) as answer:
        return await answer.json()


def _rss(pid: int) -> int:
    """0 of one that has just ended."""
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

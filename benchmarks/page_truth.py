"""Watches the page of a realm that learns while its daemon is killed: every number shown, by two viewers.

    python -m benchmarks.page_truth --minutes 10

One page stays open all the time, another is loaded anew again and again. No number may go to 0 or back, become unknown
once it was known, or differ between the two at the same moment. The daemon is killed by SIGKILL, once a minute, and
brought up again at once.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from playwright.async_api import Browser, Page, async_playwright
from playwright.async_api import Error as PlaywrightError

from benchmarks.busy_realm import BusyRealm
from benchmarks.launching import end_with, run_benchmark
from benchmarks.page_watch import (
    RECORDER,
    TAKE_ROWS,
    Row,
    common_moments,
    differences_of,
    faults_of,
    number_in,
    rows_of,
)
from tests.acceptance.nursery import Nursery
from tests.chromium import ARGUMENTS, find_chromium

LOOK_SECONDS = 0.2
RELOAD_SECONDS = 2.0
KILL_SECONDS = 60.0
PATIENCE_SECONDS = 120.0


@dataclass
class Sightings:
    """What was seen."""

    first: list[Row] = field(default_factory=list)
    second: list[Row] = field(default_factory=list)
    reloads: int = 0
    kills: int = 0
    xp_at_kills: list[float] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Everything that is no truth, or too little to tell."""
        faults = faults_of(self.first)
        faults += [f"after a reload: {fault}" for fault in faults_of(self.second)]
        faults += differences_of(self.first, self.second)
        if not common_moments(self.first, self.second):
            faults.append("the two pages have no moment in common")
        return faults

    @property
    def xp(self) -> float:
        """What the first page shows by now."""
        shown = (number_in(row.values.get("hero-xp")) for row in reversed(self.first))
        return next((number for number in shown if number is not None), 0.0)


class PageWatch:
    """Two pages on one realm."""

    def __init__(self, realm: BusyRealm, browser: Browser) -> None:
        self._realm = realm
        self._browser = browser
        self.seen = Sightings()
        self._pages: list[Page] = []
        self._loaded_at = 0.0

    async def watch(self, seconds: float, kills_at: list[float]) -> Sightings:
        """Let it learn for so long, killing the daemon after so many seconds of it, and then come to rest."""
        self._pages = [await self._open(), await self._open()]
        await self._until(lambda: self.seen.xp > 0, "the first steps")
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if kills_at and time.monotonic() - begun >= kills_at[0]:
                kills_at.pop(0)
                await self._kill()
            await self._look()
        await self._until(lambda: self.seen.xp > (self.seen.xp_at_kills or [0])[-1], "steps after the last kill")
        return self.seen

    async def _kill(self) -> None:
        self.seen.xp_at_kills.append(self.seen.xp)
        # At once, as a service manager does it: the trainer that was left behind still saves.
        await asyncio.to_thread(self._realm.kill, "daemon")
        self.seen.kills += 1

    async def _open(self) -> Page:
        page = await (await self._browser.new_context()).new_page()
        await page.add_init_script(RECORDER)
        await page.goto(self._realm.url)
        return page

    async def _look(self) -> None:
        await asyncio.sleep(LOOK_SECONDS)
        self._realm.keep_busy()
        self.seen.first += rows_of(await self._pages[0].evaluate(TAKE_ROWS))
        # It may be on its way to being loaded anew: a page whose script came too late does so by itself.
        with suppress(PlaywrightError):
            self.seen.second += rows_of(await self._pages[1].evaluate(TAKE_ROWS))
        is_there = self.seen.first and self.seen.first[-1].values["link"] == "open"
        if is_there and time.monotonic() - self._loaded_at > RELOAD_SECONDS:
            self._loaded_at = time.monotonic()
            self.seen.reloads += 1
            with suppress(PlaywrightError):
                await self._pages[1].reload()

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > until:
                raise AssertionError(f"not seen: {what}\n{self._realm.story()}")
            self._realm.revive()
            await self._look()


async def watch_pages(folder: Path, *, seconds: float, kills_at: list[float]) -> Sightings:
    """Bring a realm up, let it learn under the eyes of two pages, and end it."""
    with Nursery() as nursery:
        realm = BusyRealm(folder, nursery=nursery)
        try:
            await asyncio.to_thread(realm.up)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
                return await PageWatch(realm, browser).watch(seconds, kills_at)
        finally:
            await asyncio.to_thread(realm.close)


def main(minutes: Annotated[float, typer.Option(min=0.2, help="How long to watch.")] = 10.0) -> None:
    """Print what was seen and what of it is wrong; exit code 1 when anything is."""
    seconds = minutes * 60
    kills_at = [KILL_SECONDS * number for number in range(1, int(seconds / KILL_SECONDS))] or [seconds / 2]
    with tempfile.TemporaryDirectory(prefix="page-truth-") as folder:
        seen = asyncio.run(watch_pages(Path(folder), seconds=seconds, kills_at=kills_at))
    faults = seen.faults
    typer.echo(f"moments shown: {len(seen.first)} by the page that stayed open, {len(seen.second)} by the other")
    typer.echo(f"in common: {common_moments(seen.first, seen.second)}; loaded anew {seen.reloads} times")
    typer.echo(f"the daemon was killed {seen.kills} times; steps in the end: {seen.xp:g}")
    typer.echo(f"numbers that went to 0 or back, or differed: {len(faults)}")
    end_with(faults)


if __name__ == "__main__":
    run_benchmark(main)

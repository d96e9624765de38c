"""Does a page that stays open need more and more? Two browsers on a realm that learns and is killed at times.

    python -m benchmarks.page_memory --minutes 60

In one the battle stays open and nobody touches it; in the other somebody goes from page to page by their links, without
ever loading one anew. Sampled after a collection of garbage, with both on the battle: what is in use of the scripts'
memory, elements and listeners; and the memory of the browser's processes that draw pages.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Annotated, Self

import psutil
import typer
from playwright.async_api import Browser, CDPSession, Page, Playwright, async_playwright

from benchmarks.busy_realm import BusyRealm
from benchmarks.growth import Allowance, Series
from benchmarks.launching import end_with, run_benchmark
from benchmarks.page_watch import number_in
from tests.acceptance.nursery import Nursery
from tests.chromium import ARGUMENTS, find_chromium

SAMPLE_SECONDS = 10.0
FEWEST = 0.5
"""Samples that are needed, in parts of those that there is time for."""
WALK_SECONDS = 2.0
"""Between two pages."""
KILL_SECONDS = 600.0
FULL_SECONDS = 120.0
"""Before the first sample: by then the lists that keep so many entries are full, and every page was visited."""

GO_ON = """
(number) => {
  const deeper = "a[href^='/checkpoint/'], a[href^='/skill/'], a[href^='/quests/']";
  const links = [...document.querySelectorAll(`nav a, main :is(${deeper})`)];
  const link = links[number % links.length];
  link.click();
  return link.getAttribute("href");
}
"""
"""Follows one of the links of the page, of which the navigation is a part."""
GO_HOME = "() => document.querySelector(\"nav a[href='/']\").click()"
HOME_SECONDS = 0.5
"""Until the page is drawn that was gone to."""
SHOWN_STEPS = "() => document.getElementById('hero-xp')?.textContent ?? null"


class Tab:
    """A page in a browser of its own, and what it takes."""

    def __init__(self, name: str, browser: Browser, page: Page, of_page: CDPSession, of_browser: CDPSession) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(f"{name}: {error}"))
        self._browser = browser
        self._of_page = of_page
        self._of_browser = of_browser
        self._heap = Series(f"{name}: memory in use of its scripts", Allowance(more=1e6), 1e6, "MB")
        self._nodes = Series(f"{name}: elements", Allowance(more=500))
        self._listeners = Series(f"{name}: listeners", Allowance(more=50))
        self._rss = Series(f"{name}: RSS of what draws it", Allowance(), 1e6, "MB")

    @classmethod
    async def open(cls, name: str, playwright: Playwright, url: str) -> Self:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        of_page = await page.context.new_cdp_session(page)
        tab = cls(name, browser, page, of_page, await browser.new_browser_cdp_session())
        await page.goto(url)
        return tab

    @property
    def series(self) -> list[Series]:
        return [self._heap, self._nodes, self._listeners, self._rss]

    async def sample(self) -> None:
        await self._of_page.send("HeapProfiler.collectGarbage")
        self._heap.values.append((await self._of_page.send("Runtime.getHeapUsage"))["usedSize"])
        counted = await self._of_page.send("Memory.getDOMCounters")
        self._nodes.values.append(counted["nodes"])
        self._listeners.values.append(counted["jsEventListeners"])
        processes = (await self._of_browser.send("SystemInfo.getProcessInfo"))["processInfo"]
        drawing = [psutil.Process(each["id"]) for each in processes if each["type"] == "renderer"]
        self._rss.values.append(sum(process.memory_info().rss for process in drawing))

    async def close(self) -> None:
        await self._browser.close()


class Walker:
    """Somebody who goes on to another page every two seconds."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._steps = 0
        self.visits: dict[str, int] = {}
        """By path."""

    async def go_home(self) -> None:
        await self._page.evaluate(GO_HOME)
        await asyncio.sleep(HOME_SECONDS)

    async def go_on(self) -> None:
        href: str = await self._page.evaluate(GO_ON, self._steps)
        self._steps += 1
        path = "/".join(href.split("/")[:2])
        self.visits[path] = self.visits.get(path, 0) + 1


class Watch:
    """The two browsers, for as long as it takes."""

    def __init__(self, realm: BusyRealm, still: Tab, walked: Tab) -> None:
        self._realm = realm
        self._still = still
        self._walked = walked
        self.walker = Walker(walked.page)
        self.kills = 0
        self._shown: list[float] = []
        """Steps that the page shows which stays open."""

    @property
    def series(self) -> list[Series]:
        return [*self._still.series, *self._walked.series]

    @property
    def steps(self) -> float:
        """The newest of them."""
        return self._shown[-1] if self._shown else 0.0

    def faults(self, fewest: int) -> list[str]:
        """What grew, what a script complained of, and a page that did not go on."""
        faults = [fault for each in self.series if (fault := each.fault(fewest)) is not None]
        faults += [*self._still.complaints, *self._walked.complaints]
        if len(self._shown) < 2 or self._shown[-1] <= self._shown[0]:
            faults.append(f"the page that stayed open went from step {self._shown[:1]} to {self._shown[-1:]}")
        return faults

    async def run(self, seconds: float) -> None:
        await self._go_on_for(min(FULL_SECONDS, seconds / 2), sampling=False)
        await self._go_on_for(seconds, sampling=True)

    async def _go_on_for(self, seconds: float, *, sampling: bool) -> None:
        begun = time.monotonic()
        sampled_at, killed_at = begun, begun
        while (now := time.monotonic()) - begun < seconds:
            self._realm.keep_busy()
            self._realm.revive()
            await self.walker.go_on()
            if sampling and now - sampled_at >= SAMPLE_SECONDS:
                sampled_at = now
                await self._sample()
            if sampling and now - killed_at >= KILL_SECONDS:
                killed_at = now
                await asyncio.to_thread(self._realm.kill, "daemon")
                self.kills += 1
            await asyncio.sleep(WALK_SECONDS)

    async def _sample(self) -> None:
        await self._still.sample()
        await self.walker.go_home()
        await self._walked.sample()
        number = number_in(await self._still.page.evaluate(SHOWN_STEPS))
        if number is not None:
            self._shown.append(number)


async def watch(folder: Path, seconds: float) -> Watch:
    """Bring a realm up and let it learn under the eyes of both."""
    with Nursery() as nursery:
        realm = BusyRealm(folder, nursery=nursery)
        try:
            await asyncio.to_thread(realm.up)
            async with async_playwright() as playwright:
                tabs = [await Tab.open(name, playwright, realm.url) for name in ("left open", "walked through")]
                watch = Watch(realm, *tabs)
                await watch.run(seconds)
                for tab in tabs:
                    await tab.close()
                return watch
        finally:
            await asyncio.to_thread(realm.close)


def main(minutes: Annotated[float, typer.Option(min=0.5, help="How long to sample.")] = 60.0) -> None:
    """Print what was seen and what of it has grown; exit code 1 when anything has."""
    seconds = minutes * 60
    with tempfile.TemporaryDirectory(prefix="page-memory-") as folder:
        seen = asyncio.run(watch(Path(folder), seconds))
    typer.echo(f"{minutes:g} minutes, {seen.steps:g} steps in the end, the daemon killed {seen.kills} times")
    visits = ", ".join(f"{path} {count}" for path, count in sorted(seen.walker.visits.items()))
    typer.echo(f"visited: {visits}")
    for series in seen.series:
        typer.echo(f"{series.name}: {series}")
    faults = seen.faults(fewest=int(FEWEST * seconds / SAMPLE_SECONDS))
    end_with(faults)


if __name__ == "__main__":
    run_benchmark(main)

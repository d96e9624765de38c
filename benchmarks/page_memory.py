"""Does a page that stays open need more and more? Two browsers on a realm that learns and is killed at times.

    python -m benchmarks.page_memory --minutes 60

In one the battle stays open and nobody touches it; in the other somebody goes from page to page by their links, without
ever loading one anew. Sampled after a collection of garbage, with both on the battle: what is in use of the scripts'
memory, elements and listeners; and the memory of the browser's process that draws the page.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.bare_chromium import BareChromium, bare_chromium
from benchmarks.busy_realm import BusyRealm
from benchmarks.growth import Allowance, Series
from benchmarks.launching import end_with, run_benchmark
from benchmarks.page_watch import number_in
from tests.acceptance.nursery import Nursery

SAMPLE_SECONDS = 10.0
FEWEST = 0.5
"""Samples that are needed, in parts of those that there is time for."""
WALK_SECONDS = 2.0
"""Between two pages."""
KILL_SECONDS = 600.0
FULL_SECONDS = 120.0
"""Before the first sample: by then the lists that keep so many entries are full, and every page was visited."""
HOME_SECONDS = 0.5
"""Until the page is drawn that was gone to."""
READY_SECONDS = 60.0

GO_ON = """
((number) => {
  const deeper = "a[href^='/checkpoint/'], a[href^='/skill/'], a[href^='/quests/']";
  const links = [...document.querySelectorAll(`nav a, main :is(${deeper})`)];
  const link = links[number % links.length];
  link.click();
  return link.getAttribute("href");
})
"""
"""Follows one of the links of the page, of which the navigation is a part."""
GO_HOME = "document.querySelector(\"nav a[href='/']\").click()"
SHOWN_STEPS = "document.getElementById('hero-xp')?.textContent ?? null"
LISTEN = """
window.complaints = [];
addEventListener("error", ({ message }) => complaints.push(message));
addEventListener("unhandledrejection", ({ reason }) => complaints.push(String(reason)));
"""
COMPLAINTS = "window.complaints?.splice(0) ?? null"
"""None where somebody has loaded the page anew."""


class Tab:
    """A page, and what it needs."""

    def __init__(self, name: str, chromium: BareChromium) -> None:
        self._name = name
        self._chromium = chromium
        self.complaints: list[str] = []
        """Of its scripts."""
        self._heap = Series(f"{name}: memory in use of its scripts", Allowance(more=1e6), 1e6, "MB")
        self._nodes = Series(f"{name}: elements", Allowance(more=500))
        self._listeners = Series(f"{name}: listeners", Allowance(more=50))
        self._rss = Series(f"{name}: RSS of the process that draws it", Allowance(), 1e6, "MB")

    @property
    def series(self) -> list[Series]:
        return [self._heap, self._nodes, self._listeners, self._rss]

    async def begin(self) -> None:
        """Return once the page is drawn."""
        until = time.monotonic() + READY_SECONDS
        while await self.steps() is None:
            if time.monotonic() > until:
                raise RuntimeError("the page shows no steps")
            await asyncio.sleep(HOME_SECONDS)
        await self._chromium.evaluate(LISTEN)

    async def steps(self) -> float | None:
        """What it shows of them; None where it shows another page, or does not know."""
        return number_in(await self._chromium.evaluate(SHOWN_STEPS))

    async def sample(self) -> None:
        needs = await self._chromium.needs()
        values = (needs.heap, needs.nodes, needs.listeners, needs.rss)
        for series, value in zip(self.series, values, strict=True):
            series.values.append(value)
        complaints = await self._chromium.evaluate(COMPLAINTS)
        if complaints is None:
            # All that it needed is gone with it, and what would have grown is not seen.
            complaints = ["was loaded anew"]
            await self._chromium.evaluate(LISTEN)
        self.complaints += [f"{self._name}: {each}" for each in complaints]

    async def go_home(self) -> None:
        await self._chromium.evaluate(GO_HOME)
        await asyncio.sleep(HOME_SECONDS)

    async def go_on(self, number: int) -> str:
        """Follow the link of this number; returns its path."""
        href: str = await self._chromium.evaluate(f"{GO_ON}({number})")
        return href


class Watch:
    """The two pages, for as long as it takes."""

    def __init__(self, realm: BusyRealm, still: Tab, walked: Tab) -> None:
        self._realm = realm
        self._still = still
        self._walked = walked
        self._walks = 0
        self.visits: Counter[str] = Counter()
        """By the first part of the path."""
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
        await self._still.begin()
        await self._walked.begin()
        await self._go_on_for(min(FULL_SECONDS, seconds / 2), sampling=False)
        await self._go_on_for(seconds, sampling=True)

    async def _go_on_for(self, seconds: float, *, sampling: bool) -> None:
        begun = time.monotonic()
        sampled_at, killed_at = begun, begun
        while (now := time.monotonic()) - begun < seconds:
            self._realm.keep_busy()
            self._realm.revive()
            self.visits[(await self._walked.go_on(self._walks)).split("/")[1]] += 1
            self._walks += 1
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
        await self._walked.go_home()
        await self._walked.sample()
        if (steps := await self._still.steps()) is not None:
            self._shown.append(steps)


async def watch(folder: Path, seconds: float) -> Watch:
    """Bring a realm up and let it learn under the eyes of both."""
    with Nursery() as nursery:
        realm = BusyRealm(folder, nursery=nursery)
        try:
            await asyncio.to_thread(realm.up)
            async with bare_chromium(realm.url) as still, bare_chromium(realm.url) as walked:
                watch = Watch(realm, Tab("left open", still), Tab("walked through", walked))
                await watch.run(seconds)
                return watch
        finally:
            await asyncio.to_thread(realm.close)


def main(minutes: Annotated[float, typer.Option(min=0.5, help="How long to sample.")] = 60.0) -> None:
    """Print what was seen and what of it has grown; exit code 1 when anything has."""
    seconds = minutes * 60
    with tempfile.TemporaryDirectory(prefix="page-memory-") as folder:
        seen = asyncio.run(watch(Path(folder), seconds))
    typer.echo(f"{minutes:g} minutes, {seen.steps:g} steps in the end, the daemon killed {seen.kills} times")
    visits = ", ".join(f"/{path} {count}" for path, count in sorted(seen.visits.items()))
    typer.echo(f"visited: {visits}")
    for series in seen.series:
        typer.echo(f"{series.name}: {series}")
    end_with(seen.faults(fewest=int(FEWEST * seconds / SAMPLE_SECONDS)))


if __name__ == "__main__":
    run_benchmark(main)

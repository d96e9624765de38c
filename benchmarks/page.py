"""The page over a long life: a history of millions of points and a log of a hundred thousand tales, and many viewers.

    make bench
    python -m benchmarks.page --points 1000000

A real `realm up`. First it trains, in turns with 200 viewers of its event stream and without any. Then it is stopped,
its saga is filled, and it is brought up again without a trainer, which would cut the history back to its own step: its
answers are timed, and a real Chromium opens the pages, with an empty cache and again. A page is drawn when its curve,
or its list, shows what the server tells of the past; the first paint is what Chromium itself calls so.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from playwright.async_api import Browser, Page, async_playwright

from arena.command.battle_control import BattleControl
from benchmarks.callers import ask_again_and_again, free_ports, wait_for_pages, watching
from benchmarks.control_plane import SITES, STREAM, Spent, learn, port_of, spent_until_now, start_long_quest
from benchmarks.figures import Figure, percentile, table, write_results
from benchmarks.launching import run_benchmark
from core.saga import News, Saga, open_saga
from core.saga_series import rebuild_rollups
from core.settings import BudgetSettings
from tests.acceptance.living_realm import LivingRealm
from tests.chromium import ARGUMENTS, find_chromium

QUESTS = 5
EVENTS_TOGETHER = 5_000
ALL_OF_IT = {"metric_points": 1_000_000_000, "events": 1_000_000_000}
"""Budgets under which nothing is thinned."""
DRAWN = {
    "/": "#loss-chart .chart[data-told='true']",
    "/battle-log": "#tales .tale",
}
"""What stands on a page once it shows the past."""
KINDS = ("quest_started", "quest_learned", "quest_sealed", "checkpoint_saved", "examined", "disk_low", "level_mastered")
FILL = sa.text(
    "WITH RECURSIVE steps (step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM steps WHERE step < :points) "
    "INSERT INTO metrics (series, step, value, at) SELECT 'train_loss', step, "
    "0.4 + 4.0 / (1 + step / 100000.0) + 0.05 * (step % 17) + CASE step % 999983 WHEN 0 THEN 9.0 ELSE 0.0 END, :at "
    "FROM steps"
)


def main(
    points: Annotated[int, typer.Option(help="Steps of the loss that are in the saga.")] = 10_000_000,
    events: Annotated[int, typer.Option(help="Events that are in it.")] = 100_000,
    viewers: Annotated[int, typer.Option(help="Of the event stream.")] = 200,
    rounds: Annotated[int, typer.Option(help="How often each is measured.")] = 5,
    seconds: Annotated[float, typer.Option(help="Of each stretch of training or of answers.")] = 10.0,
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="page-") as name:
        services = dict(zip(SITES, free_ports(len(SITES)), strict=True))
        realm = LivingRealm(Path(name), inbox={}, trainer={"threads": 1}, services=services, budgets=ALL_OF_IT)
        try:
            realm.up()
            learn(realm, QUESTS)
            start_long_quest(realm)
            figures = asyncio.run(measure_viewers(realm, rounds, seconds, viewers))
            realm.stop()
            figures += fill(realm, points, events)
            BattleControl(realm.paths.control).write("stop", "the past is looked at", now=datetime.now(UTC))
            realm.launch()
            wait_for_pages([port_of(realm, "tavern")], lambda: True)
            figures += asyncio.run(measure_answers(realm, points, seconds / 5))
            figures += asyncio.run(measure_pages(realm, rounds))
        finally:
            realm.close()
    typer.echo(table(figures))
    details = {"points": points, "events": events, "viewers": viewers, "rounds": rounds, "seconds": seconds}
    write_results("page", figures, details=details)


# --- viewers -----------------------------------------------------------------------------------------------------


async def measure_viewers(realm: LivingRealm, rounds: int, seconds: float, viewers: int) -> list[Figure]:
    """What viewers of one stream take from the control process and from training."""
    alone: list[Spent] = []
    watched: list[Spent] = []
    for _ in range(rounds):
        alone.append(await _spend(realm, seconds))
        async with watching(port_of(realm, "tavern"), STREAM, viewers):
            watched.append(await _spend(realm, seconds))
    speeds = [
        (with_them.steps / with_them.seconds) / (without.steps / without.seconds)
        for with_them, without in zip(watched, alone, strict=True)
    ]
    return [
        Figure("control process while it trains", None, [_cores(each) for each in alone], unit="cores"),
        Figure(f"control process, {viewers} viewers", None, [_cores(each) for each in watched], unit="cores"),
        Figure(f"speed of training, {viewers} viewers", "no viewer", speeds),
    ]


async def _spend(realm: LivingRealm, seconds: float) -> Spent:
    before = spent_until_now(realm)
    await asyncio.sleep(seconds)
    return spent_until_now(realm) - before


def _cores(spent: Spent) -> float:
    return spent.control / spent.seconds


# --- the past ----------------------------------------------------------------------------------------------------


def fill(realm: LivingRealm, points: int, events: int) -> list[Figure]:
    """Give the realm a long life; how large its saga is then."""
    with open_saga(realm.paths, BudgetSettings.model_validate(ALL_OF_IT)) as saga:
        saga.cut_back(0)
        with saga.db.write() as connection:
            # In one statement: point by point, ten million take a quarter of an hour.
            connection.execute(FILL, {"points": points, "at": datetime.now(UTC).isoformat()})
            rebuild_rollups(connection)
        each = max(1, points // 10_000)
        saga.put_points("val_loss", [(step, 1.5) for step in range(each, points, each)], now=datetime.now(UTC))
        tell(saga, events)
    return [
        Figure(
            f"saga.db, {points} points, {events} events", None, [realm.paths.saga_db.stat().st_size / 1e6], unit="MB"
        )
    ]


def tell(saga: Saga, events: int) -> None:
    """So many tales of quests."""
    for first in range(0, events, EVENTS_TOGETHER):
        numbers = range(first, min(events, first + EVENTS_TOGETHER))
        news = [
            News(KINDS[number % len(KINDS)], f"addition_{number}.jsonl: a tale of the kind that is told all day long",
                 {"quest_id": f"q_20261122_093000_{number:08x}", "step": number})
            for number in numbers
        ]  # fmt: skip
        saga.append_all(news, now=datetime.now(UTC))


async def measure_answers(realm: LivingRealm, points: int, seconds: float) -> list[Figure]:
    """How long one caller waits for each answer."""
    port, dice = port_of(realm, "tavern"), random.Random(7)

    def window(width: int) -> str:
        begin = dice.randrange(max(1, points - width))
        return f"/api/series/train_loss?points=1000&from_step={begin}&to_step={begin + width}"

    asked: dict[str, Callable[[], str]] = {
        "/api/game": lambda: "/api/game",
        "the whole loss": lambda: "/api/series/train_loss?points=1000",
        "a tenth of the loss": lambda: window(points // 10),
        "a thousand steps of it": lambda: window(1000),
        "the newest tales": lambda: "/saga?limit=60",
        "tales of one category": lambda: "/saga?limit=60&category=trouble",
        "tales with a word": lambda: f"/saga?limit=60&q=addition_{dice.randrange(100_000)}",
        "tales with a word that none has": lambda: "/saga?limit=60&q=nowhere",
        "counts of tales": lambda: "/saga/stats",
        "/api/momentum": lambda: "/api/momentum",
    }
    figures = []
    for what, path in asked.items():
        taken: list[float] = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            taken += (await ask_again_and_again(port, path(), callers=1, seconds=0.05))[:1]
        for part, name in ((0.5, "p50"), (0.99, "p99")):
            figures.append(Figure(f"answer: {what}, {name}", None, [1000 * percentile(taken, part)], unit="ms"))
    return figures


# --- in a browser ------------------------------------------------------------------------------------------------


async def measure_pages(realm: LivingRealm, rounds: int) -> list[Figure]:
    """Seconds until Chromium paints, and until a page shows the past; with an empty cache, and loaded again."""
    url = f"http://127.0.0.1:{port_of(realm, 'tavern')}"
    figures = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        for page, drawn in DRAWN.items():
            loads = [await _load(browser, url + page, drawn) for _ in range(rounds)]
            for name in (
                "first paint",
                "until it is drawn",
                "loaded again, first paint",
                "loaded again, until it is drawn",
            ):
                values = [load[name] for load in loads]
                figures.append(Figure(f"page {page}, {name}", None, values, unit="s", at_most=1.0))
        await browser.close()
    return figures


async def _load(browser: Browser, url: str, drawn: str) -> dict[str, float]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = await context.new_page()
        first = await _time(page, lambda: page.goto(url), drawn)
        again = await _time(page, page.reload, drawn)
    finally:
        await context.close()
    return {
        "first paint": first[0],
        "until it is drawn": first[1],
        "loaded again, first paint": again[0],
        "loaded again, until it is drawn": again[1],
    }


async def _time(page: Page, load: Callable[[], Any], drawn: str) -> tuple[float, float]:
    begun = time.perf_counter()
    await load()
    await page.wait_for_selector(drawn)
    taken = time.perf_counter() - begun
    painted = await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null")
    if painted is None:
        raise RuntimeError("Chromium has painted nothing")
    return painted / 1000, taken


if __name__ == "__main__":
    run_benchmark(main)

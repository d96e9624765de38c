"""How fast the catalog answers, however large it is, and the vault's API beside the least that aiohttp can answer.

    python -m benchmarks.vault --assets 1000000 --seconds 5

Two catalogs are filled in a temporary directory; look-ups take turns between them. Both sites run in processes of
their own, one after the other in each round, and are asked by the same client over kept-alive connections.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated

import aiohttp
import typer
from aiohttp import web

from benchmarks.figures import Figure, percentile, table, write_results
from benchmarks.launching import run_benchmark
from core.http.site import Site, make_app
from vault.assets import Asset, AssetType, Location, LocationStatus
from vault.catalog.catalog import Catalog
from vault.catalog.routes import catalog_routes
from vault.keeper import VaultKeeper
from vault.roots import Roots

ROUNDS = 7
LOOK_UPS = 3000
"""Of each catalog in each round."""
CALLERS = 16
"""Connections that ask at once."""
FEW = 1000
ASKED = 50
ZONE_ASSETS = 50_000
"""Of one zone."""


def made_up(number: int) -> Iterator[Asset]:
    """So many assets as a zone would list them: checkpoints, and data in the same number."""
    for index in range(number):
        step = index // 2
        is_data = bool(index % 2)
        name = f"data_{step}" if is_data else f"checkpoint_{step}"
        kind = AssetType.TRAINING_DATA if is_data else AssetType.CHECKPOINT
        zone = f"zone-{index // ZONE_ASSETS}"
        place = Location(zone, f"/models/{name}", LocationStatus.VERIFIED, checksum=f"{index:064x}", size_bytes=index)
        yield Asset(
            name, kind, name.replace("_", "-"), f"Step {step}", index, "2026-11-21T09:30:00+00:00",
            metadata={"step": step, "train_loss": 0.5}, locations=(place,), step=None if is_data else step,
        )  # fmt: skip


def fill(base: Path, number: int) -> float:
    """Enter so many assets into a new catalog, zone by zone; the seconds that it took."""
    begun = time.perf_counter()
    assets = made_up(number)
    with Catalog.opened(base / "vault" / "catalog.db", base) as catalog:
        while some := list(islice(assets, ZONE_ASSETS)):
            catalog.replace_stronghold(some[0].locations[0].stronghold, some)
    return time.perf_counter() - begun


def look_ups(catalogs: Sequence[tuple[Catalog, int]], dice: random.Random) -> list[float]:
    """Of each catalog of so many assets, the median seconds of a `locate` of one at random; they take turns at each."""
    took: list[list[float]] = [[] for _ in catalogs]
    for _ in range(LOOK_UPS):
        for times, (catalog, number) in zip(took, catalogs, strict=True):
            asset_id = f"checkpoint_{dice.randrange(number // 2)}"
            begun = time.perf_counter()
            found = catalog.locate(asset_id)
            times.append(time.perf_counter() - begun)
            assert found is not None
    return [statistics.median(times) for times in took]


async def serve(door: Connection, base: Path | None) -> None:
    """The vault's API over the catalog in `base`, or a bare "hello"; until the other side hangs up."""
    if base is None:
        app = web.Application()

        async def hello(request: web.Request) -> web.Response:
            return web.json_response({"hello": "world"})

        app.router.add_get("/api/locate/{asset_id}", hello)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        door.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.to_thread(door.poll, None)
        await runner.cleanup()
        return
    with Catalog.opened(base / "vault" / "catalog.db", base) as catalog:
        keeper = VaultKeeper(base, catalog=catalog)
        site = Site(
            make_app(catalog_routes(keeper, Roots(base, (), ())), service="vault", health=dict), "127.0.0.1", 0, "vault"
        )
        await site.start()
        door.send(site.url)
        await asyncio.to_thread(door.poll, None)
        await site.stop()


def run_site(door: Connection, base: Path | None) -> None:
    asyncio.run(serve(door, base))


@contextmanager
def site_of(base: Path | None) -> Iterator[str]:
    """The address of a site in a process of its own."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_site, args=(theirs, base))
    process.start()
    try:
        yield str(ours.recv())
    finally:
        ours.send("end")
        process.join()


async def reads_a_second(url: str, number: int, seconds: float) -> tuple[float, list[float]]:
    """How many look-ups a second `CALLERS` get together, and how long each of them took."""
    took: list[float] = []

    async def call(session: aiohttp.ClientSession, dice: random.Random, end: float) -> None:
        while (begun := time.perf_counter()) < end:
            async with session.get(f"{url}/api/locate/checkpoint_{dice.randrange(number // 2)}") as answer:
                await answer.read()
                assert answer.status == 200
            took.append(time.perf_counter() - begun)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CALLERS)) as session:
        begun = time.perf_counter()
        await asyncio.gather(*(call(session, random.Random(n), begun + seconds) for n in range(CALLERS)))
        return len(took) / (time.perf_counter() - begun), took


def main(
    assets: Annotated[int, typer.Option(help="Of the large catalog.")] = 1_000_000,
    seconds: Annotated[float, typer.Option(help="For which each site is asked in each round.")] = 3.0,
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = Path(folder, "few"), Path(folder, "many")
        fill(few, FEW)
        filled = fill(many, assets)
        ratios = compared_look_ups(few, many, assets)
        served, slowest, answered = compared_sites(many, assets, seconds)
    figures = [
        Figure(f"`locate` with {assets:,} assets", f"with {FEW:,}", ratios, at_most=1.2),
        Figure("API 8767 `locate` reads per second", 'aiohttp "hello"', served, at_least=0.3),
        Figure(f"p99 of a read, {CALLERS} callers", None, [slowest], unit="ms"),
        *(
            figure
            for what, times in answered.items()
            for figure in (
                Figure(f"{what}, {assets:,} assets", None, times, unit="ms"),
                Figure(f"p99 of {what}", None, [percentile(times, 0.99)], unit="ms"),
            )
        ),
        Figure(f"entering {assets:,} assets", None, [filled], unit="s"),
    ]
    write_results("vault", figures)
    typer.echo(table(figures))


def compared_look_ups(few: Path, many: Path, number: int) -> list[float]:
    """Of each round, the time of a look-up in the large catalog over that in the small one."""
    dice = random.Random(1)
    with (
        Catalog.opened(few / "vault" / "catalog.db", few) as small,
        Catalog.opened(many / "vault" / "catalog.db", many) as large,
    ):
        catalogs = ((small, FEW), (large, number))
        look_ups(catalogs, dice)
        rounds = [look_ups(catalogs, dice) for _ in range(ROUNDS)]
    return [in_large / in_small for in_small, in_large in rounds]


def questions(number: int, dice: random.Random) -> dict[str, str]:
    """What is asked beside single assets, of a catalog of so many."""
    step = dice.randrange(number // 2)
    return {
        "`search` by type, first page": "/api/search?type=checkpoint",
        "`search` by type, any page": f"/api/search?type=training_data&offset={dice.randrange(number // 2)}",
        "`search` by a rare part of a name": f"/api/search?name=checkpoint-{step}",
        "`search` by a common part of a name": "/api/search?name=point",
        "`search` by a part that is nowhere": f"/api/search?name=nowhere-{step}",
        "`search` by type and name": f"/api/search?type=training_data&name=data-{step}",
        "`stats`": "/api/stats",
    }


async def answer_times(url: str, number: int) -> dict[str, list[float]]:
    """Milliseconds of `ASKED` answers to each of these questions, asked one by one."""
    dice = random.Random(2)
    taken: dict[str, list[float]] = {}
    async with aiohttp.ClientSession() as session:
        for again in range(-1, ASKED):
            for what, path in questions(number, dice).items():
                begun = time.perf_counter()
                async with session.get(f"{url}{path}") as answer:
                    await answer.read()
                    assert answer.status == 200
                if again >= 0:
                    taken.setdefault(what, []).append(1000 * (time.perf_counter() - begun))
    return taken


def compared_sites(base: Path, number: int, seconds: float) -> tuple[list[float], float, dict[str, list[float]]]:
    """Of each round, the vault's reads per second over those of the bare site; the vault's p99 in milliseconds; and
    what `answer_times` tells."""
    ratios, took = [], []
    with site_of(None) as bare, site_of(base) as vault:
        for _ in range(ROUNDS):
            least, _ = asyncio.run(reads_a_second(bare, number, seconds))
            ours, times = asyncio.run(reads_a_second(vault, number, seconds))
            ratios.append(ours / least)
            took += times
        answered = asyncio.run(answer_times(vault, number))
    return ratios, 1000 * percentile(took, 0.99), answered


if __name__ == "__main__":
    run_benchmark(main)

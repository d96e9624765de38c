"""How long a checkpoint takes from one vault to another host, verified, beside `cp`, `sync` and `b3sum` of its files.

    python -m benchmarks.transfer --megabytes 1000 --rounds 7

The vault serves its whole API in a process of its own, over loopback; whoever fetches does it as `realm vault fetch`
does. The peer copies the same files on the same disk, flushes them and compares their hashes: coreutils, and the
`blake3` package, which hashes mapped files with all cores as `b3sum` does. Both take turns, on a disk that has nothing
else to write, and what they have written is deleted before the next one begins. The files are of random bytes, in the
sizes of a model and its optimizer.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from blake3 import blake3

from benchmarks.figures import Figure, table, write_results
from benchmarks.launching import run_benchmark
from core.checkpoint_ledger import CheckpointLedger
from core.http.access import Access
from core.http.site import Site, make_app
from core.paths import RealmPaths
from vault.catalog.catalog import Catalog
from vault.checkpoints import CheckpointStore
from vault.front_routes import vault_routes
from vault.keeper import VaultKeeper
from vault.manifest import listed_files
from vault.transfer.pull import pull_asset

NAME = "checkpoint-1000-20261121-0930"
ASSET = "checkpoint_1000"
TOKEN = "t" * 43
SHARES = {"model.safetensors": 1 / 3, "optimizer.pt": 2 / 3}
"""Of the bytes: Adam keeps two numbers for each weight."""
SMALL = {"config.json": 1_500, "tokenizer.json": 70_000, "scheduler.pt": 1_500, "rng_state.pth": 14_000}
PIECE_BYTES = 16 << 20
TARGET = 1.5


def make_checkpoint(paths: RealmPaths, size: int) -> Path:
    """A checkpoint of so many bytes in the realm at `paths`."""
    paths.create()
    store = CheckpointStore(paths.current_model)
    staging = store.stage()
    for name, count in {**{name: int(size * share) for name, share in SHARES.items()}, **SMALL}.items():
        with (staging / name).open("wb") as file:
            for begin in range(0, count, PIECE_BYTES):
                file.write(os.urandom(min(PIECE_BYTES, count - begin)))
    return store.publish(staging, NAME)


async def serve(door: Connection, base: Path) -> None:
    """The vault of the realm in `base`, with its guards and a token, until the other side hangs up."""
    paths = RealmPaths(base)
    with Catalog.opened(paths.catalog_db, base) as catalog:
        keeper = VaultKeeper(base, catalog=catalog)
        keeper.reconcile()
        routes = vault_routes(paths, keeper, CheckpointLedger.of(paths), [])
        site = Site(make_app(routes, service="vault", health=dict, access=Access(TOKEN)), "127.0.0.1", 0, "vault")
        await site.start()
        door.send(site.url)
        await asyncio.to_thread(door.poll, None)
        await site.stop()


def run_site(door: Connection, base: Path) -> None:
    asyncio.run(serve(door, base))


@contextmanager
def vault_of(base: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a vault, and its process."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=run_site, args=(theirs, base))
    process.start()
    try:
        yield str(ours.recv()), psutil.Process(process.pid)
    finally:
        ours.send("end")
        process.join()


def copied(source: Path, target: Path) -> None:
    """What people do without a vault: copy, flush, compare the hashes."""
    subprocess.run(["cp", "-r", "--", str(source), str(target)], check=True)
    subprocess.run(["sync"], check=True)
    for name, entry in listed_files(source).items():
        digest = blake3(max_threads=blake3.AUTO).update_mmap(target / name).hexdigest()
        assert digest == entry["blake3"], f"{name} was copied wrongly"


def fetched(url: str, into: Path) -> None:
    """The same over HTTP, as `realm vault fetch` does it."""
    report = pull_asset(url, ASSET, into, token=TOKEN)
    assert report.bytes_fetched == report.bytes_total


@contextmanager
def quiet_disk(copy: Path) -> Iterator[None]:
    """Nothing waits to be written before, and nothing is left after."""
    os.sync()
    try:
        yield
    finally:
        shutil.rmtree(copy)
        os.sync()


def race(source: Path, folder: Path, url: str, vault: psutil.Process, rounds: int) -> dict[str, list[float]]:
    """Seconds of each side in each round, and of processors on the way of ours; the first round counts for nothing."""
    seconds: dict[str, list[float]] = {"ours": [], "peer": [], "serving": [], "fetching": []}
    for number in range(rounds + 1):
        for side in ("ours", "peer") if number % 2 else ("peer", "ours"):
            copy = folder / side / NAME
            copy.parent.mkdir(exist_ok=True)
            with quiet_disk(copy):
                served, used, begun = _busy(vault), time.process_time(), time.perf_counter()
                if side == "ours":
                    fetched(url, copy.parent)
                else:
                    copied(source, copy)
                took = time.perf_counter() - begun
            if number:
                seconds[side].append(took)
                if side == "ours":
                    seconds["serving"].append(_busy(vault) - served)
                    seconds["fetching"].append(time.process_time() - used)
    return seconds


def _busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def figures_of(size: int, seconds: dict[str, list[float]]) -> list[Figure]:
    what = f"zone transfer of {size / 1e9:.3g} GB, verified"
    ratios = [ours / peer for ours, peer in zip(seconds["ours"], seconds["peer"], strict=True)]
    each: dict[str, Any] = {"against": None, "unit": "s"}
    return [
        Figure(what, "`cp` + `sync` + `b3sum`", ratios, at_most=TARGET),
        Figure(what, values=seconds["ours"], **each),
        Figure("`cp` + `sync` + `b3sum` of the same", values=seconds["peer"], **each),
        Figure("processor time of the vault that serves it", values=seconds["serving"], **each),
        Figure("processor time of whoever fetches it", values=seconds["fetching"], **each),
    ]


def main(
    megabytes: Annotated[int, typer.Option(min=1, help="Size of the checkpoint.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Counted ones, after one that is not.")] = 7,
    folder: Annotated[Path | None, typer.Option(help="Where to work; three times the size has to be free.")] = None,
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="transfer-") as scratch:
        base = Path(scratch)
        paths = RealmPaths(base / "realm")
        source = make_checkpoint(paths, megabytes * 1_000_000)
        with vault_of(paths.base) as (url, vault):
            seconds = race(source, base, url, vault, rounds)
    figures = figures_of(megabytes * 1_000_000, seconds)
    write_results("transfer", figures)
    typer.echo(table(figures))


if __name__ == "__main__":
    run_benchmark(main)

"""Does the vault answer everybody while a run writes? The crowded part of `benchmarks.soak`.

    python -m benchmarks.crowd --seconds 60

A realm learns quest after quest and saves checkpoints all the time, so that ledger and catalog are written and old
checkpoints deleted; 32 clients with a connection each ask its vault as fast as it answers: look-ups, searches, lists
and numbers, and two of them have a directory entered. Any answer but 200 is a fault, and so is a line of the log that
tells of a lock, of a catalog that fell behind, or of a request that failed.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.callers import ask_again_and_again
from benchmarks.figures import percentile
from benchmarks.launching import end_with, run_benchmark
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.quest_files import write_quest

ROWS = 40
WAITING = 3
"""Quests that lie ready."""
LOOK_SECONDS = 0.1
END_SECONDS = 300.0
FILES_ENTERED = 50
SETTINGS: dict[str, Any] = {"hyperparams": {"batch_size": 1, "epochs": 3}, "save_steps": 100, "save_minutes": 0.02}
"""A milestone every second or two: each is entered into ledger and catalog, and older ones are struck out."""
TROUBLE = re.compile(
    r"locked|lock timeout|catalog_behind|http_failed|Traceback|\"level\": ?\"(error|critical)", re.IGNORECASE
)
SECONDS_FOR_A_SAVE = 20.0
"""So seldom at the most: on any machine something is written."""


@dataclass(frozen=True)
class Group:
    """Clients that ask the same."""

    path: str
    callers: int
    body: Mapping[str, Any] | None = None
    """What is posted."""


GROUPS = (
    Group("/api/locate/latest", 6),
    Group("/api/locate/data_0001", 6),
    Group("/api/search?type=checkpoint&limit=20", 5),
    Group("/api/search?name=data_00&limit=20", 4),
    Group("/api/stats", 4),
    Group("/api/list?limit=50", 2),
    Group("/api/strongholds", 1),
    Group("/api/ledger/latest", 2),
    Group("/api/scan", 2, {"path": "models"}),
)
CLIENTS = sum(group.callers for group in GROUPS)


def crowd(folder: Path, *, seconds: float, tell: Callable[[str], object]) -> list[str]:
    """Let them ask for so long; everything that went wrong."""
    realm = LivingRealm(folder / "crowd", **SETTINGS)
    for number in range(FILES_ENTERED):
        (realm.paths.models / f"data_{number:04}.jsonl").write_text('{"messages": []}\n')
    ended = threading.Event()
    feeder = threading.Thread(target=_feed, args=(realm, ended))
    try:
        realm.up()
        feeder.start()
        realm.wait(lambda: realm.lane("recently_completed") and realm.checkpoints(), "a checkpoint", END_SECONDS)
        before, begun = len(realm.events("checkpoint_saved")), time.monotonic()
        taken, faults = asyncio.run(_ask_all(int(realm.services()["vault"]["port"]), seconds))
        lasted = time.monotonic() - begun
        saves = len(realm.events("checkpoint_saved")) - before
        ended.set()
        feeder.join()
        if (code := realm.stop(timeout=END_SECONDS)) != 0:
            faults.append(f"the realm ended with {code}")
    finally:
        ended.set()
        realm.close()
    everything = [each for times in taken.values() for each in times]
    tell(f"crowd: {CLIENTS} clients, {lasted:.0f} s, {len(everything)} answers, {saves} checkpoints saved meanwhile")
    for path, times in {**taken, "all": everything}.items():
        if times:
            middle, late = (1000 * percentile(times, part) for part in (0.5, 0.99))
            told = f"p50 {middle:.1f} ms, p99 {late:.1f} ms, most {1000 * max(times):.0f} ms"
            tell(f"  {path}: {len(times)} answers, {told}")
    if saves < max(1, int(seconds / SECONDS_FOR_A_SAVE)):
        faults.append(f"only {saves} checkpoints were saved meanwhile")
    return faults + _troubles(realm)


async def _ask_all(port: int, seconds: float) -> tuple[dict[str, list[float]], list[str]]:
    """How long each answer took, by path; and what went wrong."""

    async def ask(group: Group) -> list[float]:
        body = None if group.body is None else json.dumps(group.body).encode()
        return await ask_again_and_again(port, group.path, callers=group.callers, seconds=seconds, body=body)

    asked = await asyncio.gather(*map(ask, GROUPS), return_exceptions=True)
    faults = [
        f"{group.path}: {each!r}" for group, each in zip(GROUPS, asked, strict=True) if not isinstance(each, list)
    ]
    return {group.path: each for group, each in zip(GROUPS, asked, strict=True) if isinstance(each, list)}, faults


def _feed(realm: LivingRealm, ended: threading.Event) -> None:
    """Keep quests in the queue until it has ended."""
    dropped = 0
    while not ended.wait(LOOK_SECONDS):
        waiting = sum(1 for _ in realm.paths.inbox.glob("*.jsonl")) + len(
            list(realm.paths.lane("normal").glob("*.jsonl"))
        )
        if waiting < WAITING:
            write_quest(realm.paths.inbox / f"crowd_{dropped:05}.jsonl", ROWS, 1000 * dropped)
            dropped += 1


def _troubles(realm: LivingRealm) -> list[str]:
    lines = (line for file in sorted(realm.paths.logs.iterdir()) for line in file.read_text("utf-8").splitlines())
    return [f"the log says: {line[:300]}" for line in lines if TROUBLE.search(line)]


def main(seconds: Annotated[float, typer.Option(min=1, help="For how long they ask.")] = 60.0) -> None:
    """Print how long answers took, and what is wrong; exit code 1 when anything is."""
    with tempfile.TemporaryDirectory(prefix="crowd-") as folder:
        faults = crowd(Path(folder), seconds=seconds, tell=typer.echo)
    end_with(faults)


if __name__ == "__main__":
    run_benchmark(main)

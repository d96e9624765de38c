"""What the control process costs: its start, its memory, its rest, its part of a step, its answers and event streams.

    make bench
    python -m benchmarks.control_plane --rounds 3

A real `realm up` with default settings and the smallest hero, whose steps are short, so that there are many of them to
tell of. It has a past: quests that it learned, and ten thousand events. Starts take turns with those of one page on
bare aiohttp, all with their files in the system's cache. Memory and CPU time are those of the control process alone,
unless another is named; the callers run on the same machine.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import psutil
import typer

from arena.quests import sidecar_of
from benchmarks.callers import Viewer, ask_again_and_again, free_ports, wait_for_pages, watching
from benchmarks.figures import Figure, percentile, table, write_results
from benchmarks.launching import run_benchmark
from core.paths import CHECKOUT
from core.saga import News, open_saga
from core.settings_reading import load_settings
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.quest_files import write_quest

BARE = "one page on bare aiohttp"
SITES = ("tavern", "vault", "watchtower")
OLD_EVENTS = 10_000
EVENTS_TOGETHER = 1_000
ROWS = 8
"""Of each quest that is only there to be learned."""
LONG_ROWS = 2_000
LONG_EPOCHS = 1_000
"""Of the quest that trains while callers come: it lasts for hours."""
QUIET_SECONDS = 45.0
"""After the last quest: by then checkpoint and chores are done, and the scribes have ended, as they do after 30 s."""
FEW_VIEWERS = 50
IDLERS = 10
"""Viewers among many that do not read."""
CALLERS = 4
ASKED = (
    ("vault", "/health"),
    ("vault", "/api/training/status"),
    ("watchtower", "/api/vision"),
    ("tavern", "/api/game"),
)
STREAM = "/api/events/stream"
MOVE = "/api/training/quests/move"
MOVED = "quest_move"
"""The kind of the event that tells of it."""
MOVE_SECONDS = 1.0
LOOK_SECONDS = 0.001
PATIENCE_SECONDS = 600.0


class Start(NamedTuple):
    """What a process took from its start to the first page of each of its ports."""

    seconds: float
    cpu_seconds: float
    """Its own: what its children do meanwhile is not in it."""


@dataclass(frozen=True)
class Spent:
    """What a stretch of time has cost, or the counters at its beginning."""

    seconds: float
    control: float
    """CPU seconds of the control process."""
    trainer: float
    steps: int

    def __sub__(self, before: Spent) -> Spent:
        return Spent(
            self.seconds - before.seconds, self.control - before.control, self.trainer - before.trainer,
            self.steps - before.steps,
        )  # fmt: skip


@dataclass(frozen=True)
class Lap:
    """A stretch of training that is watched."""

    spent: Spent
    steps: list[float]
    """Seconds from the end of a step to each viewer; of each frame, that of the newest step in it."""
    moves: list[float]
    """Seconds from asking for a quest to be moved to the event at each viewer."""


@dataclass
class Diary:
    """What happened when (`time.perf_counter`)."""

    looks: list[tuple[int, float]] = field(default_factory=list)
    """Steps of the quest that were done, and when that was seen."""
    moves: list[float] = field(default_factory=list)


def main(
    starts: Annotated[int, typer.Option(help="Starts of each kind.")] = 7,
    rest: Annotated[float, typer.Option(help="Seconds of rest, without a page and with one.")] = 60.0,
    quests: Annotated[int, typer.Option(help="Quests that are learned before, and again before memory is read.")] = 200,
    rounds: Annotated[int, typer.Option(help="How often answers and streams are measured in turn.")] = 3,
    seconds: Annotated[float, typer.Option(help="Of each stretch of training that is watched.")] = 15.0,
    viewers: Annotated[int, typer.Option(help="Of the event stream, at most.")] = 200,
) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="control-plane-") as name:
        realm = make_realm(Path(name) / "lived")
        try:
            live(realm, quests)
            figures = measure_starts(realm, Path(name), starts)
            realm.up()
            figures += asyncio.run(measure_rest(realm, rest))
            figures.append(_memory(realm, "resting after its start"))
            learn(realm, quests)
            figures.append(_memory(realm, f"having learned {quests} quests"))
            start_long_quest(realm)
            figures += asyncio.run(measure_answers(realm, rounds, seconds / len(ASKED)))
            figures += asyncio.run(measure_streams(realm, rounds, seconds, viewers))
            figures.append(_memory(realm, "having served all of these callers"))
        finally:
            realm.close()
    typer.echo(table(figures))
    options = {"starts": starts, "rest": rest, "quests": quests, "rounds": rounds, "seconds": seconds}
    write_results("control_plane", figures, details={**options, "viewers": viewers, "hero": "sprite"})


# --- the realm ---------------------------------------------------------------------------------------------------


def make_realm(base: Path) -> LivingRealm:
    """A realm with default settings, on ports that nobody listens on, and with one thread for the trainer, which makes
    such small steps faster than two that wait for each other; it is not up yet."""
    services = dict(zip(SITES, free_ports(len(SITES)), strict=True))
    return LivingRealm(base, inbox={}, trainer={"threads": 1}, services=services)


def port_of(realm: LivingRealm, site: str) -> int:
    port: int = getattr(load_settings(realm.paths.config_file).services, site)
    return port


def live(realm: LivingRealm, quests: int) -> None:
    """Give it a past."""
    realm.up()
    learn(realm, quests)
    realm.stop()
    with open_saga(realm.paths) as saga:
        for first in range(0, OLD_EVENTS, EVENTS_TOGETHER):
            names = (f"old-{number}.jsonl" for number in range(first, first + EVENTS_TOGETHER))
            news = [News("quest_sealed", f"{name} is sealed: a checkpoint covers all it taught") for name in names]
            saga.append_all(news, now=datetime.now(UTC))


def learn(realm: LivingRealm, quests: int) -> None:
    """Have so many more quests learned and sealed."""
    before = len(realm.lane("recently_completed"))
    for number in range(before, before + quests):
        realm.drop(f"quest-{number}", ROWS, start=ROWS * number)
    realm.wait_until_done(before + quests, PATIENCE_SECONDS)


def start_long_quest(realm: LivingRealm) -> None:
    """Have the trainer make one step after the other; another quest waits behind."""
    folder = realm.paths.base
    long = write_quest(folder / "long.jsonl", LONG_ROWS)
    sidecar_of(realm.paths.inbox / long.name).write_text(json.dumps({"epochs": LONG_EPOCHS}))
    long.rename(realm.paths.inbox / long.name)
    realm.wait(lambda: steps_done(realm) > 0, "the first step of the long quest")
    realm.drop("waiting", ROWS, priority="low")
    realm.wait(lambda: realm.lane_of("waiting") == "low", "a quest that waits")


def steps_done(realm: LivingRealm) -> int:
    """Of the running quest."""
    here = realm.position()
    return here.quest_step if here is not None else 0


def spent_until_now(realm: LivingRealm) -> Spent:
    trainer = realm.trainer()
    used = _cpu_seconds(trainer) if trainer is not None else 0.0
    return Spent(time.perf_counter(), _cpu_seconds(psutil.Process(realm.pid)), used, steps_done(realm))


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _memory(realm: LivingRealm, when: str) -> Figure:
    megabytes = psutil.Process(realm.pid).memory_info().rss / 1e6
    return Figure(f"memory of the control process, {when}", None, [megabytes], unit="MB", at_most=120)


# --- start and rest ----------------------------------------------------------------------------------------------


def measure_starts(lived: LivingRealm, folder: Path, starts: int) -> list[Figure]:
    """Seconds from the start of the process to a whole page of each site, in turns."""
    bare: list[Start] = []
    fresh: list[Start] = []
    again: list[Start] = []
    for number in range(starts):
        (port,) = free_ports(1)
        bare.append(time_start(bare_command(port), [port]))
        fresh.append(time_realm_start(make_realm(folder / f"fresh-{number}")))
        again.append(time_realm_start(lived))
    what = "`realm up` to the first page of all sites"
    figures = [Figure(f"{BARE}, start to the first page", None, [start.seconds for start in bare], unit="s")]
    for ours, where in ((fresh, "a fresh directory"), (again, f"a realm with a past of {OLD_EVENTS} events")):
        pairs = list(zip(ours, bare, strict=True))
        figures += [
            Figure(f"{what}, {where}", None, [start.seconds for start in ours], unit="s", at_most=1.5),
            Figure(f"{what}, {where}", BARE, [own.seconds / theirs.seconds for own, theirs in pairs]),
            Figure(f"CPU time of that, {where}", None, [start.cpu_seconds for start in ours], unit="s"),
            Figure(f"CPU time of that, {where}", BARE, [own.cpu_seconds / theirs.cpu_seconds for own, theirs in pairs]),
        ]
    return figures


def time_realm_start(realm: LivingRealm) -> Start:
    return time_start(realm.command, [port_of(realm, site) for site in SITES])


def time_start(command: Sequence[str], ports: Sequence[int]) -> Start:
    """What it takes until each port has shown its page; the process is ended in order after that."""
    begun = time.perf_counter()
    with running(command) as process:
        wait_for_pages(ports, lambda: process.poll() is None)
        return Start(time.perf_counter() - begun, _cpu_seconds(psutil.Process(process.pid)))


def bare_command(port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.bare_site", str(port)]


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, for as long as the block lasts."""
    process = subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


async def measure_rest(realm: LivingRealm, seconds: float, quiet: float = QUIET_SECONDS) -> list[Figure]:
    """CPU time in parts of one core while there is nothing to do, without a page and with an open one."""
    await asyncio.sleep(quiet)
    alone = await _spend(realm, seconds)
    async with watching(port_of(realm, "tavern"), STREAM, 1):
        watched = await _spend(realm, seconds)
    return [
        Figure("CPU at rest", None, [_percent(alone.control, alone)], unit="%", at_most=1),
        Figure("CPU at rest, a page is open", None, [_percent(watched.control, watched)], unit="%", at_most=1),
        Figure("for comparison: CPU of the trainer at rest", None, [_percent(alone.trainer, alone)], unit="%"),
    ]


async def _spend(realm: LivingRealm, seconds: float) -> Spent:
    before = spent_until_now(realm)
    await asyncio.sleep(seconds)
    return spent_until_now(realm) - before


def _percent(cpu_seconds: float, spent: Spent) -> float:
    return 100 * cpu_seconds / spent.seconds


# --- while it trains ---------------------------------------------------------------------------------------------


async def measure_answers(realm: LivingRealm, rounds: int, seconds: float) -> list[Figure]:
    """How many answers a second each endpoint gives to a few callers, and how long one takes."""
    (port,) = free_ports(1)
    asked = {path: port_of(realm, site) for site, path in ASKED}
    taken: dict[str, list[list[float]]] = {path: [] for path in ("/", *asked)}
    with running(bare_command(port)) as process:
        await asyncio.to_thread(wait_for_pages, [port], lambda: process.poll() is None)
        for _ in range(rounds):
            for path, place in {"/": port, **asked}.items():
                taken[path].append(await ask_again_and_again(place, path, callers=CALLERS, seconds=seconds))
    speeds = {path: [len(answers) / seconds for answers in each] for path, each in taken.items()}
    figures = [Figure(f"while it trains: answers of {BARE}", None, speeds["/"], unit="/s")]
    for path in asked:
        ratios = [ours / theirs for ours, theirs in zip(speeds[path], speeds["/"], strict=True)]
        slowest = [1000 * percentile(answers, 0.99) for answers in taken[path]]
        figures += [
            Figure(f"while it trains: answers of {path}", None, speeds[path], unit="/s"),
            Figure(f"while it trains: answers of {path}", BARE, ratios),
            Figure(f"while it trains: an answer of {path}, p99", None, slowest, unit="ms"),
        ]
    return figures


async def measure_streams(realm: LivingRealm, rounds: int, seconds: float, viewers: int) -> list[Figure]:
    """What viewers of the event stream cost, and how late they hear of things."""
    crowds = {0: (0, 0), FEW_VIEWERS: (min(FEW_VIEWERS, viewers), 0), viewers: (viewers, 0)}
    laps: dict[int, list[Lap]] = {count: [] for count in crowds}
    with_idlers: list[Lap] = []
    for _ in range(rounds):
        for count, (readers, idlers) in crowds.items():
            laps[count].append(await ride(realm, seconds, readers, idlers))
        with_idlers.append(await ride(realm, seconds, max(1, viewers - IDLERS), min(IDLERS, viewers - 1)))
    figures = []
    for count, each in laps.items():
        figures += _costs(f"{count} viewers", [lap.spent for lap in each])
    crowd = laps[viewers]
    slower = [_late(idle.steps, 0.99) / _late(lap.steps, 0.99) for idle, lap in zip(with_idlers, crowd, strict=True)]
    step, move = "from the end of a step to a viewer", "from moving a quest over HTTP to a viewer"
    return [
        *figures,
        *_costs(f"{viewers} viewers, {IDLERS} of whom do not read", [lap.spent for lap in with_idlers])[1:],
        *(_lateness(f"{viewers} viewers: {step}", [lap.steps for lap in crowd])),
        *(_lateness(f"{viewers} viewers: {move}", [lap.moves for lap in crowd])),
        Figure(f"{viewers} viewers, {IDLERS} of whom do not read: {step}, p99", "all of them read", slower),
    ]


async def ride(realm: LivingRealm, seconds: float, readers: int, idlers: int) -> Lap:
    """Watch the training for a while, and move the quest that waits again and again."""
    async with watching(port_of(realm, "tavern"), STREAM, readers, idlers) as viewers, noted(realm) as diary:
        spent = await _spend(realm, seconds)
    return Lap(spent, list(_late_steps(viewers, diary)), list(_late_moves(viewers, diary)))


@asynccontextmanager
async def noted(realm: LivingRealm) -> AsyncIterator[Diary]:
    """What happens for as long as the block lasts."""
    diary = Diary()
    tasks = [asyncio.create_task(_note_steps(realm, diary)), asyncio.create_task(_move_quests(realm, diary))]
    try:
        yield diary
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise RuntimeError("not all could be noted") from ended


async def _note_steps(realm: LivingRealm, diary: Diary) -> None:
    while True:
        diary.looks.append((steps_done(realm), time.perf_counter()))
        await asyncio.sleep(LOOK_SECONDS)


async def _move_quests(realm: LivingRealm, diary: Diary) -> None:
    wish = {"quest": "waiting.jsonl", "priority": "low"}
    while True:
        diary.moves.append(time.perf_counter())
        answer = await asyncio.to_thread(realm.http, "POST", MOVE, wish)
        answer.raise_for_status()
        await asyncio.sleep(MOVE_SECONDS)


def _late_steps(viewers: Sequence[Viewer], diary: Diary) -> Iterator[float]:
    """A step that was over before anybody looked is left out."""
    looks = diary.looks
    for viewer in viewers:
        for done, came in viewer.steps:
            seen = bisect_left(looks, (done,))
            if 0 < seen < len(looks):
                yield came - looks[seen][1]


def _late_moves(viewers: Sequence[Viewer], diary: Diary) -> Iterator[float]:
    for viewer in viewers:
        # Of the last one, the event may not have come any more.
        for asked, came in zip(diary.moves, viewer.events.get(MOVED, []), strict=False):
            yield came - asked


def _costs(who: str, spent: Sequence[Spent]) -> list[Figure]:
    per_step = [1000 * each.control / each.steps for each in spent]
    return [
        Figure(f"{who}: steps of the trainer", None, [each.steps / each.seconds for each in spent], unit="/s"),
        Figure(f"{who}: CPU time for each step", None, per_step, unit="ms"),
        Figure(f"{who}: CPU", None, [_percent(each.control, each) for each in spent], unit="%"),
    ]


def _lateness(what: str, laps: Sequence[list[float]]) -> list[Figure]:
    return [
        Figure(f"{what}, {name}", None, [_late(lap, part) for lap in laps], unit="ms")
        for name, part in (("p50", 0.5), ("p99", 0.99))
    ]


def _late(lap: Sequence[float], part: float) -> float:
    return 1000 * percentile(lap, part)


if __name__ == "__main__":
    run_benchmark(main)

"""Drops thousands of files at once while a long quest trains: what does a step pay, and is each learned once?

    python -m benchmarks.burst --files 10000 --rows 5

A realm of its own (the seedling, default settings, any free ports) in a fresh directory. Step times are taken from
outside, by looking at the position that the trainer writes before each step. Undisturbed steps are measured in between,
for a few seconds of each minute in which everything but the trainer is stopped: over the time that a burst takes, other
work on the machine changes its speed by more than what is to be found out.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import psutil
import typer

from arena.journal import JOURNAL_NAME, read_history
from arena.quests import SIDECAR_SUFFIX, read_sidecar, sidecar_of
from arena.supervision.position_file import Phase, read_position
from benchmarks.figures import Figure, write_results
from benchmarks.launching import run_benchmark
from core.paths import CHECKOUT, LANES, PRIORITIES, RealmPaths

LOOK_SECONDS = 0.004
"""Between two looks at the position: 1 % of a step of the seedling's, or less."""
DISTURBED_SECONDS = 50.0
"""How long the intake goes on before everything but the trainer is stopped."""
STILL_SECONDS = 10.0
LONG_QUEST = "long"
LONG_QUEST_ROWS = 2_000
LONG_QUEST_EPOCHS = 1_000
START_SECONDS = 120.0
TARGET = 1.10


@dataclass
class Steps:
    """Wall seconds from the beginning of each step to that of the next."""

    seconds: list[float] = field(default_factory=list)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.seconds)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.seconds, n=100)[98]

    def __str__(self) -> str:
        times = (self.median, self.mean, self.p99)
        median, mean, p99 = (f"{1000 * seconds:.1f}" for seconds in times)
        return f"{len(self.seconds)} steps, median {median} ms, mean {mean} ms, p99 {p99} ms"


class BurstRealm:
    """`realm up` on a fresh directory, seen as its user sees it: files, and the trainer's position."""

    def __init__(self, base: Path) -> None:
        self.paths = RealmPaths(base)
        self._command = [sys.executable, str(CHECKOUT / "realm.py"), "--base-dir", str(base)]
        subprocess.run([*self._command, "init"], check=True, stdout=subprocess.DEVNULL, timeout=START_SECONDS)
        terminal = (base / "terminal.txt").open("wb")
        self._process = subprocess.Popen(
            [*self._command, "up", "--ports", "auto"], stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
        )
        self.control = psutil.Process(self._process.pid)

    def end(self) -> None:
        """End the realm as Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait(self, predicate: Callable[[], object], what: str, timeout: float, *, every: float = 0.05) -> None:
        """Wait until `predicate` is truthy; ends the benchmark when that takes too long or the realm has ended."""
        deadline = time.monotonic() + timeout
        while not predicate():
            if self._process.poll() is not None or time.monotonic() > deadline:
                terminal = (self.paths.base / "terminal.txt").read_text(errors="replace")[-3000:]
                sys.exit(f"not seen: {what}\n{terminal}")
            time.sleep(every)

    def steps_of_long_quest(self) -> int:
        """Steps done of the quest that the trainer is in; 0 when it is in none."""
        here = read_position(self.paths.current_model / ".position")
        return here.quest_step if here is not None and here.phase is Phase.STEPPING else 0

    def watch_steps(self, until: Callable[[float], bool]) -> Steps:
        """Take the time of each step until `until(seconds since the beginning)`, asked twice a second."""
        steps = Steps()
        begun = time.perf_counter()
        asked, last_step, last_time = begun, self.steps_of_long_quest(), 0.0
        while True:
            now = time.perf_counter()
            step = self.steps_of_long_quest()
            if step > last_step:
                if last_time:
                    steps.seconds += [(now - last_time) / (step - last_step)] * (step - last_step)
                last_step, last_time = step, now
            if now - asked >= 0.5:
                asked = now
                if until(now - begun):
                    return steps
            time.sleep(LOOK_SECONDS)

    def drop(self, staged: Iterable[Path]) -> None:
        """Move files into the inbox as fast as one can."""
        for path in staged:
            os.rename(path, self.paths.inbox / path.name)

    def others(self) -> list[psutil.Process]:
        """The control process and what it has started, but for the trainer."""
        children = [child for child in self.control.children() if "arena.trainer" not in child.cmdline()]
        return [self.control, *children]

    def inbox_files(self) -> int:
        return sum(name.endswith(".jsonl") for name in os.listdir(self.paths.inbox))

    def files_in(self, *lanes: str) -> int:
        return sum(name.endswith(".jsonl") for lane in lanes for name in os.listdir(self.paths.lane(lane)))

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far of the control process and of what it has started, by what it is."""
        used = {"control": sum(self.control.cpu_times()[:2])}
        for child in self.control.children():
            with suppress(psutil.NoSuchProcess):
                name = "trainer" if "arena.trainer" in child.cmdline() else "scribe"
                used[name] = used.get(name, 0.0) + sum(child.cpu_times()[:2])
        return used


def main(
    files: Annotated[int, typer.Option(help="Files dropped at once.")] = 10_000,
    rows: Annotated[int, typer.Option(help="Rows of each.")] = 5,
    seconds: Annotated[float, typer.Option(help="How long steps are watched before and after.")] = 30.0,
    learn: Annotated[bool, typer.Option(help="Wait until all are learned, and check that each was, once.")] = True,
) -> None:
    """Print and keep the time of a step with and without the burst, and their ratio; exit code 1 above 1.10."""
    with tempfile.TemporaryDirectory(prefix="burst-") as folder:
        base = Path(folder) / "realm"
        realm = BurstRealm(base)
        try:
            staged = _stage(Path(folder) / "staged", files, rows)
            figures = _measure_intake(realm, staged, seconds)
            if learn:
                figures.append(_learn_all(realm, files, rows))
        finally:
            realm.end()
    write_results("burst", figures, details={"files": files, "rows of each": rows})
    if not all(figure.met in (True, None) for figure in figures):
        raise typer.Exit(1)


def _measure_intake(realm: BurstRealm, staged: list[Path], seconds: float) -> list[Figure]:
    realm.wait((realm.paths.current_model / ".position").exists, "a trainer", START_SECONDS)
    _write_rows(realm.paths.inbox / f"{LONG_QUEST}.jsonl", 0, LONG_QUEST_ROWS, epochs=LONG_QUEST_EPOCHS)
    realm.wait(lambda: realm.steps_of_long_quest() > 50, "the long quest", START_SECONDS)
    _watch(realm, "before", seconds)
    begun = time.monotonic()
    realm.drop(staged)
    _tell("dropped", f"{len(staged)} files in {time.monotonic() - begun:.2f} s")
    during, still = _watch_intake(realm)
    taken = time.monotonic() - begun
    _tell("intake", f"{taken:.1f} s, {len(staged) / taken:.0f} files/s")
    _watch(realm, "with all waiting", seconds)
    ratio = during.mean / still.mean
    _tell("ratio", f"mean {ratio:.3f}, median {during.median / still.median:.3f}; at most {TARGET:.2f} is wanted")
    burst = f"{len(staged):,} files dropped at once"
    return [
        Figure(f"{burst}: a step meanwhile, mean", "all but the trainer stopped", [ratio], at_most=TARGET),
        Figure(f"{burst}: a step meanwhile, p99", None, [1000 * during.p99], unit="ms"),
        Figure(f"{burst}: taken in, beside a quest", None, [len(staged) / taken], unit="files/s"),
    ]


def _watch_intake(realm: BurstRealm) -> tuple[Steps, Steps]:
    """Steps while files are taken in, and those in between while nothing but the trainer runs."""
    during, still = Steps(), Steps()
    used, begun = realm.cpu(), time.monotonic()
    while realm.inbox_files() or not still.seconds:
        part = realm.watch_steps(lambda passed: passed >= DISTURBED_SECONDS or not realm.inbox_files())
        during.seconds += part.seconds
        stopped = realm.others()
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            still.seconds += realm.watch_steps(lambda passed: passed >= STILL_SECONDS).seconds
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
    _tell("during the intake", during)
    _tell("in between", still)
    _tell("CPU", _shares(realm, used, time.monotonic() - begun))
    return during, still


def _watch(realm: BurstRealm, what: str, seconds: float) -> None:
    """Tell how long steps take, and how much CPU time each process uses, over some seconds."""
    used, begun = realm.cpu(), time.monotonic()
    _tell(what, realm.watch_steps(lambda passed: passed >= seconds))
    _tell("CPU", _shares(realm, used, time.monotonic() - begun))


def _shares(realm: BurstRealm, used: dict[str, float], passed: float) -> str:
    """What each process has used since `used` was read, in percent of one core over `passed` seconds."""
    spent = {name: now - used.get(name, 0.0) for name, now in realm.cpu().items()}
    return ", ".join(f"{name} {100 * cpu / passed:.1f} %" for name, cpu in spent.items())


def _learn_all(realm: BurstRealm, files: int, rows: int) -> Figure:
    (realm.paths.control / ".skip").write_text("the benchmark goes on\n")
    begun, used = time.monotonic(), realm.cpu()
    told = begun

    def done() -> bool:
        nonlocal told
        waiting = realm.files_in(*PRIORITIES, "processing", "awaiting_seal")
        if time.monotonic() - told > 30:
            told = time.monotonic()
            _tell("still open", waiting)
        return not waiting

    realm.wait(done, "all quests sealed", 60 + files * 1.0, every=1.0)
    passed = time.monotonic() - begun
    _tell("learned", f"{passed:.1f} s, {1000 * passed / files:.1f} ms a quest")
    _tell("CPU", _shares(realm, used, passed))
    _check_each_learned_once(realm.paths, files, rows)
    _tell("checked", f"{files} quests of {rows} rows, each claimed once, learned whole and sealed")
    return Figure(f"each of {files:,} quests of {rows} rows, one after the other", None, [1000 * passed / files], "ms")


def _check_each_learned_once(paths: RealmPaths, files: int, rows: int) -> None:
    history = read_history(paths.current_model / JOURNAL_NAME)
    burst = {ordinal: claim for ordinal, claim in history.claims.items() if claim.name != f"{LONG_QUEST}.jsonl"}
    names = Counter(claim.name for claim in burst.values())
    faults = [f"{name} was claimed {times} times" for name, times in names.items() if times > 1]
    faults += [
        f"{claim.name}: {history.outcome_of(ordinal)}, {history.rows_learned(ordinal)} rows"
        for ordinal, claim in burst.items()
        if history.outcome_of(ordinal) != "learned" or history.rows_learned(ordinal) != rows
    ]
    if len({claim.quest_id for claim in burst.values()}) != files:
        faults.append(f"{len(burst)} claims for {files} files")
    lanes = {lane: [path for path in paths.lane(lane).glob("*.jsonl") if path.name[0] != "."] for lane in LANES}
    records = [read_sidecar(path) for path in lanes.pop("recently_completed")]
    sealed = {record.quest_id for record in records if record is not None and record.outcome == "learned"}
    if sealed != {claim.quest_id for claim in burst.values()}:
        faults.append(f"{len(sealed)} sealed quests for {len(burst)} claims")
    left = [path.name for found in lanes.values() for path in found if not path.name.startswith(LONG_QUEST)]
    faults += [f"{name} lies in another lane" for name in left]
    faults += [f"{path.name} is left over" for path in paths.inbox.rglob(f"*{SIDECAR_SUFFIX}")]
    if faults:
        sys.exit("\n".join(["not exactly once:", *faults[:20]]))


def _stage(folder: Path, files: int, rows: int) -> list[Path]:
    folder.mkdir()
    return [_write_rows(folder / f"burst_{number:05}.jsonl", rows * number, rows) for number in range(files)]


def _write_rows(path: Path, first: int, count: int, *, epochs: int | None = None) -> Path:
    if epochs is not None:
        sidecar_of(path).write_text(json.dumps({"epochs": epochs}))
    lines = []
    for number in range(first, first + count):
        chat = [
            {"role": "user", "content": f"What comes after {number}?"},
            {"role": "assistant", "content": f"{number + 1} comes after {number}."},
        ]
        lines.append(json.dumps({"messages": chat}) + "\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _tell(what: str, how: object) -> None:
    typer.echo(f"{what:>18}: {how}")


if __name__ == "__main__":
    run_benchmark(main)

"""What small files cost: many of them dropped at once, the gap between two, and the way of one to its first step.

    make bench
    python -m benchmarks.small_files --files 100 --rounds 3

A real `realm up` with default settings and the 4-million-parameter model of `benchmarks.training`, up and warm: it is
the one process that learns all files there ever are. Against it, one `trl sft` process per file, each of which starts
from the model that the one before has written; a few are measured and stand for all. Step times are taken from outside,
by looking at the position that the trainer notes before each step.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import psutil
import typer
import yaml

from arena.supervision.position_file import Phase
from benchmarks.figures import Figure, percentile, table, write_results
from benchmarks.launching import run_benchmark
from benchmarks.training import PEERS
from benchmarks.workload import MAX_LENGTH, Chat, Lexicon, Workload, make_workload
from core.settings import InboxSettings
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.nursery import Nursery

HERO = "contestant"
ROWS = 20
"""Of each file."""
ROWS_PER_STEP = 5
LEARNING_RATE = 1e-3
LIKE_WORDS = 40
"""Words of each row where steps are to take the same time."""
LOOK_SECONDS = 0.001
DONE_SECONDS = 0.02
"""Between two looks whether all files are learned."""
PATIENCE_SECONDS = 900.0


class StepStart(NamedTuple):
    """The trainer begins a step."""

    ordinal: int
    """Number of the quest in the journal."""
    quest_step: int
    at: float
    """Monotonic seconds."""


def main(
    files: Annotated[int, typer.Option(help="Files dropped at once.")] = 100,
    rounds: Annotated[int, typer.Option(help="How often all files, and one `trl sft`, are measured in turn.")] = 3,
    queued: Annotated[int, typer.Option(help="Quests between which gaps are measured.")] = 200,
    singles: Annotated[int, typer.Option(help="Files dropped one after the other onto an idle realm.")] = 50,
    threads: Annotated[int | None, typer.Option(help="Of torch; as many as there are cores if not given.")] = None,
    peers: Annotated[Path, typer.Option(help="The peers' environment, as `make bench` sets it up.")] = PEERS,
) -> None:
    """Print the table."""
    if not (peers / "bin" / "trl").exists():
        sys.exit(f"There is no {peers / 'bin' / 'trl'}; `make bench` sets it up.")
    threads = threads or psutil.cpu_count(logical=False) or 1
    with tempfile.TemporaryDirectory(prefix="small-files-") as name:
        folder = Path(name)
        workload = make_workload(folder / "model", vocabulary=4096, rows=(rounds * (files + 1) + 2) * ROWS)
        trl = TrlProcesses(peers, folder / "trl", workload.model, threads)
        realm = raise_realm(folder / "realm", workload.model, threads)
        try:
            figures = measure(realm, workload, trl, files=files, rounds=rounds)
            figures += measure_steps(realm, Lexicon(2), queued=queued, singles=singles)
        finally:
            realm.close()
    typer.echo(table(figures))
    write_results("small_files", figures, details={"files": files, "rows": ROWS, "rows_per_step": ROWS_PER_STEP,
                                                   "threads": threads, "trl": trl.seconds})  # fmt: skip


def raise_realm(base: Path, model: Path, threads: int, nursery: Nursery | None = None) -> LivingRealm:
    """A realm that is up, with everything loaded and one quest learned."""
    realm = LivingRealm(base, nursery=nursery, hero=HERO, inbox={}, trainer={"device": "cpu", "threads": threads})
    hero = {
        "title": "Contestant", "base_model": str(model), "profile": "chatml",
        "hyperparams": {
            "max_length": MAX_LENGTH, "batch_size": ROWS_PER_STEP, "gradient_accumulation": 1,
            "learning_rate": LEARNING_RATE, "warmup_steps": 0, "weight_decay": 0.0, "max_grad_norm": 1.0, "epochs": 1,
            "fp_precision": "fp32",
        },
    }  # fmt: skip
    (realm.paths.configs / "heroes" / f"{HERO}.yaml").write_text(yaml.safe_dump(hero))
    try:
        realm.up()
        drop(realm, [_like_rows(Lexicon(3))], "warm-up")
        wait_until_learned(realm, 1)
    except BaseException:  # also where the benchmark is told to end: nobody else knows of it yet
        realm.close()
        raise
    return realm


def measure(realm: LivingRealm, workload: Workload, trl: TrlProcesses, *, files: int, rounds: int) -> list[Figure]:
    """Files dropped at once, until all are learned and sealed, against as many processes."""
    chats = iter(workload.chats)
    trl.learn(list(itertools.islice(chats, ROWS)))  # not counted: the first one fills caches of the disk
    trl.seconds.clear()
    ours = []
    for number in range(rounds):
        before = learned(realm)
        staged = _stage(realm, [list(itertools.islice(chats, ROWS)) for _ in range(files)], f"round-{number}")
        begun = time.monotonic()
        drop_staged(realm, staged)
        wait_until_learned(realm, before + files)
        ours.append(time.monotonic() - begun)
        trl.learn(list(itertools.islice(chats, ROWS)))
    ratios = [files * theirs / own for theirs, own in zip(trl.seconds, ours, strict=True)]
    what = f"{files} files of {ROWS} rows, drop to done"
    return [
        Figure(what, "one `trl sft` process per file", ratios, at_least=30),
        Figure(what, None, ours, unit="s"),
        Figure(f"one `trl sft` process of {ROWS} rows", None, trl.seconds, unit="s"),
    ]


def measure_steps(realm: LivingRealm, lexicon: Lexicon, *, queued: int, singles: int) -> list[Figure]:
    """Gaps between queued quests, and the way of single files; all rows are of one length."""
    gaps, jitter = measure_gaps(realm, lexicon, queued)
    first_steps = measure_first_steps(realm, lexicon, singles)
    gap = f"gap between queued {ROWS}-row quests"
    first = f"settled {ROWS}-row file to its first step, beyond the settle time"
    return [
        Figure(f"{gap}, p50", None, [_milliseconds(gaps, 0.5)], unit="ms"),
        Figure(f"{gap}, p99", None, [_milliseconds(gaps, 0.99)], unit="ms", at_most=50),
        Figure("for comparison: a step within a quest beyond the median one, p99", None, [_milliseconds(jitter, 0.99)],
               unit="ms"),
        Figure(f"{first}, p50", None, [_milliseconds(first_steps, 0.5)], unit="ms"),
        Figure(f"{first}, p99", None, [_milliseconds(first_steps, 0.99)], unit="ms", at_most=300),
    ]  # fmt: skip


def measure_gaps(realm: LivingRealm, lexicon: Lexicon, quests: int) -> tuple[list[float], list[float]]:
    """Seconds between queued quests, and by how much steps within a quest vary.

    A gap is what the way from a quest's last step to the first of the next takes longer than that from step to step.
    """
    realm.wish("pause")
    realm.wait(lambda: realm.status()["status"] == "paused", "a pause")
    before = learned(realm)
    drop(realm, [_like_rows(lexicon) for _ in range(quests)], "queued")
    realm.wait(lambda: len(realm.lane("normal")) == quests, "all quests in their lane", PATIENCE_SECONDS)
    realm.wish("resume")
    starts = watch_steps(realm, until=lambda: learned(realm) >= before + quests)
    return gaps_between(starts, steps=ROWS // ROWS_PER_STEP)


def gaps_between(starts: Sequence[StepStart], *, steps: int) -> tuple[list[float], list[float]]:
    """Of quests of so many steps each; see `measure_gaps`. Pairs of steps of which one was not seen are left out.

    Raises `RuntimeError` when nothing is left.
    """
    seen = {(start.ordinal, start.quest_step): start.at for start in starts}
    within: list[float] = []
    across: list[float] = []
    for (ordinal, step), at in seen.items():
        following = (ordinal, step + 1) if step + 1 < steps else (ordinal + 1, 0)
        if following in seen:
            (within if step + 1 < steps else across).append(seen[following] - at)
    if not within or not across:
        raise RuntimeError("steps go by quicker than they can be seen; take a larger model")
    usual = statistics.median(within)
    return [seconds - usual for seconds in across], [seconds - usual for seconds in within]


def measure_first_steps(realm: LivingRealm, lexicon: Lexicon, files: int) -> list[float]:
    """Seconds from the drop of a file onto an idle realm to its first step, less the settle time."""
    settle = InboxSettings().settle_seconds
    seconds = []
    for number in range(files):
        before = learned(realm)
        realm.wait(realm.is_waiting, "an idle trainer")
        staged = _stage(realm, [_like_rows(lexicon)], f"single-{number}")
        begun = time.monotonic()
        drop_staged(realm, staged)
        first, *_ = watch_steps(realm, until=partial(_more_than, realm, before))
        seconds.append(first.at - begun - settle)
    return seconds


def watch_steps(realm: LivingRealm, until: Callable[[], bool]) -> list[StepStart]:
    """Note when each step begins until `until()`, asked now and then."""
    starts: list[StepStart] = []
    deadline = time.monotonic() + PATIENCE_SECONDS
    asked = time.monotonic()
    last = None
    while True:
        here, now = realm.position(), time.monotonic()
        if here is not None and here.phase is Phase.STEPPING and (here.ordinal, here.quest_step) != last:
            last = (here.ordinal, here.quest_step)
            starts.append(StepStart(*last, now))
        if now - asked > DONE_SECONDS * 10:
            asked = now
            if until():
                return starts
            if now > deadline:
                raise RuntimeError(f"not all quests were learned\n{realm.story()}")
        time.sleep(LOOK_SECONDS)


class TrlProcesses:
    """One `trl sft` after the other, each on the model that the one before has made."""

    def __init__(self, peers: Path, folder: Path, model: Path, threads: int) -> None:
        self.seconds: list[float] = []
        self._command = peers.absolute() / "bin" / "trl"
        self._folder = folder
        self._model = model
        self._threads = threads
        self._made = 0
        folder.mkdir()

    def learn(self, rows: Sequence[Chat]) -> None:
        """Learn a file; its wall time is added to `seconds`."""
        self._made += 1
        data, made = self._folder / f"data-{self._made}", self._folder / f"model-{self._made}"
        data.mkdir()
        Workload(self._model, list(rows)).write(data / "train.jsonl")
        options = {
            "model_name_or_path": self._model, "dataset_name": data, "output_dir": made, "dtype": "float32",
            "num_train_epochs": 1, "per_device_train_batch_size": ROWS_PER_STEP, "gradient_accumulation_steps": 1,
            "learning_rate": LEARNING_RATE, "lr_scheduler_type": "constant", "max_length": MAX_LENGTH,
            "assistant_only_loss": True, "use_cpu": True, "bf16": False, "gradient_checkpointing": False,
            "save_strategy": "no", "report_to": "none",
        }  # fmt: skip
        arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(self._threads)}
        log = self._folder / f"log-{self._made}.txt"
        begun = time.monotonic()
        with log.open("wb") as output:
            code = subprocess.run(
                [self._command, "sft", *arguments], cwd=self._folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, timeout=PATIENCE_SECONDS, check=False,
            ).returncode  # fmt: skip
        if code or not (made / "model.safetensors").exists():
            sys.exit(f"`trl sft` ended with {code}:\n{log.read_text(errors='replace')[-3000:]}")
        self.seconds.append(time.monotonic() - begun)
        self._model = made


def drop(realm: LivingRealm, files: Iterable[Sequence[Chat]], stem: str) -> None:
    """Put files into the inbox as fast as one can."""
    drop_staged(realm, _stage(realm, files, stem))


def drop_staged(realm: LivingRealm, staged: Iterable[Path]) -> None:
    for path in staged:
        os.rename(path, realm.paths.inbox / path.name)


def learned(realm: LivingRealm) -> int:
    """Quests that are learned and sealed; raises `RuntimeError` when one has failed."""
    if failed := realm.lane("failed"):
        raise RuntimeError(f"{failed[0].name} was not learned\n{realm.story()}")
    return sum(name.endswith(".jsonl") for name in os.listdir(realm.paths.lane("recently_completed")))


def _more_than(realm: LivingRealm, quests: int) -> bool:
    return learned(realm) > quests


def wait_until_learned(realm: LivingRealm, quests: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while learned(realm) < quests:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{learned(realm)} of {quests} quests are learned\n{realm.story()}")
        time.sleep(DONE_SECONDS)


def _stage(realm: LivingRealm, files: Iterable[Sequence[Chat]], stem: str) -> list[Path]:
    folder = realm.paths.base / "staged"
    folder.mkdir(exist_ok=True)
    writer = Workload(folder, [])
    return [writer.write(folder / f"{stem}-{number:04}.jsonl", rows) for number, rows in enumerate(files)]


def _like_rows(lexicon: Lexicon) -> list[Chat]:
    return [lexicon.chat(LIKE_WORDS) for _ in range(ROWS)]


def _milliseconds(seconds: Sequence[float], part: float) -> float:
    return 1000 * percentile(seconds, part)


if __name__ == "__main__":
    run_benchmark(main)

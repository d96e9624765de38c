"""A realm that learns all the time and is left alone: does it need more and more? The calm part of `benchmarks.soak`.

Sampled once a second: memory, open files and threads of the control process and of the trainer, and the size of each
folder. What the settings let grow (logs, completed quests, events, charts) has such small limits here that these are
reached within minutes. A trainer that dies, a quest that is not learned, or too few samples are faults as well. In the
end trainer and control process are stopped (SIGSTOP) for a minute each, which must cost that minute and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from arena.journal import History
from benchmarks.growth import FOLDERS, Allowance, ProcessSeries, Series, size_of
from tests.acceptance.living_realm import LivingRealm
from tests.acceptance.quest_files import write_quest

SAMPLE_SECONDS = 1.0
FEWEST = 0.5
"""Samples that are needed, in parts of the seconds it lasts."""
LEARNED_BEFORE = 3
"""Quests learned and sealed before the first sample: imports and caches are filled by then."""
WAITING = 2
"""Quests that lie ready, so that the trainer never has to wait for one."""
ROWS = 100
EPOCHS = 10
END_SECONDS = 900.0
STOP_SECONDS = 60.0

RSS_BUDGET = 120e6
"""Of the control process (DESIGN section 10)."""

SETTINGS: dict[str, Any] = {
    "hyperparams": {"batch_size": 1, "epochs": EPOCHS},
    # The board is never empty, which is when quests are sealed otherwise.
    "save_minutes": 0.1,
    "budgets": {
        "events": 1000, "metric_points": 1000, "log_megabytes": 1, "completed_megabytes": 1,
        "token_cache_megabytes": 1, "sketch_megabytes": 1, "row_book_megabytes": 1,
    },
    # None that stays: how many of those there are is looked at every half an hour only.
    "save_steps": 1_000_000_000,
}  # fmt: skip
UP_TO = {
    "queue": 5e6,  # a megabyte each of completed quests, tokens, sketches and losses, and what housekeeping finds later
    "status": 8e6,  # saga.db with its write-ahead log of 4 MB
    "logs": 3.5e6,  # three files of a megabyte in all each
    "control": 1e5,
    "inbox": 1e5,
}
CHECKPOINTS = {"current_model": 4, "snapshots": 2}
"""The present one, one on its way, one in the trash; the snapshot of the day; and some room."""
JOURNAL = {"current_model": 1e6}
"""The journal and its copy in each checkpoint: it keeps a line of every quest."""


def calm(folder: Path, *, minutes: float, tell: Callable[[str], object]) -> list[str]:
    """Let a realm learn for so long; everything that grew beyond its limits or went wrong."""
    realm = LivingRealm(folder / "calm", **SETTINGS)
    watch = _Watch(realm)
    try:
        realm.up()
        watch.learn_for(minutes * 60)
        watch.stand_still(STOP_SECONDS)
        watch.finish()
        faults = watch.faults(fewest=int(FEWEST * minutes * 60))
        if (code := realm.stop()) != 0:
            faults.append(f"the realm ended with {code}")
    finally:
        realm.close()
    history = realm.history()
    tell(f"calm: {minutes:g} minutes, {len(history.claims)} quests of {ROWS} rows, {EPOCHS} times each")
    for series in watch.series:
        tell(f"{series.name}: {series}")
    return faults + _unlearned(history, watch.dropped)


class _Watch:
    """Keeps the realm busy and takes the samples."""

    def __init__(self, realm: LivingRealm) -> None:
        self._realm = realm
        self._control = ProcessSeries("control process")
        self._trainer = ProcessSeries("trainer")
        self.dropped = 0
        self._folders = {name: Series(f"{name}/", Allowance(up_to=UP_TO.get(name, 0.0)), 1e6, "MB") for name in FOLDERS}

    @property
    def series(self) -> list[Series]:
        return [*self._control.all, *self._trainer.all, *self._folders.values()]

    def learn_for(self, seconds: float) -> None:
        """Sample for so long once the first quests are sealed."""
        self._busy_until(lambda: len(self._realm.lane("recently_completed")) >= LEARNED_BEFORE, END_SECONDS)
        checkpoint = size_of(self._realm.checkpoints()[-1])
        for name, count in CHECKPOINTS.items():
            self._folders[name].allowance = Allowance(up_to=count * checkpoint + JOURNAL.get(name, 0.0))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._sample()
            self._busy_for(min(SAMPLE_SECONDS, left))

    def stand_still(self, seconds: float) -> None:
        """Stop the trainer for so long, then the control process; each is in the middle of its work."""
        trainer = self._realm.trainer()
        for process in (trainer, psutil.Process(self._realm.pid)):
            if process is None:
                continue  # told of in `faults`
            process.suspend()
            try:
                self._busy_for(seconds)
            finally:
                process.resume()
            self._busy_for(SAMPLE_SECONDS)

    def finish(self) -> None:
        """Let everything be learned."""
        self._realm.wait(lambda: not self._in_inbox(), "an empty inbox", END_SECONDS)
        self._realm.wait_until_done(0, END_SECONDS)

    def faults(self, fewest: int) -> list[str]:
        faults = [fault for series in self.series if (fault := series.fault(fewest))]
        most = max(self._control.rss.values, default=0.0)
        if most > RSS_BUDGET:
            faults.append(f"the control process had {most / 1e6:.0f} MB of RSS")
        for kind in ("trainer_died", "trainer_stopped", "quest_strike"):
            faults += [f"{kind}: {event['message']}" for event in self._realm.events(kind)]
        held = [event["kind"] for event in self._realm.events() if event["kind"] in ("trainer_held", "trainer_goes_on")]
        return faults if held == ["trainer_held", "trainer_goes_on"] else [*faults, f"told of a stop: {held}"]

    def _sample(self) -> None:
        self._control.sample(psutil.Process(self._realm.pid))
        if (trainer := self._realm.trainer()) is not None:
            self._trainer.sample(trainer)
        for name, series in self._folders.items():
            series.values.append(size_of(self._realm.paths.base / name))

    def _busy_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._busy_until(lambda: time.monotonic() >= end, seconds + END_SECONDS)

    def _busy_until(self, predicate: Callable[[], bool], timeout: float) -> None:
        """Wait, and drop another quest whenever fewer than `WAITING` lie ready."""

        def look() -> bool:
            if self._in_inbox() + len(self._realm.lane("normal")) < WAITING:
                write_quest(self._realm.paths.inbox / f"calm_{self.dropped:05}.jsonl", ROWS, 1000 * self.dropped)
                self.dropped += 1
            return predicate()

        self._realm.wait(look, "more quests learned", timeout)

    def _in_inbox(self) -> int:
        return sum(1 for _ in self._realm.paths.inbox.glob("*.jsonl"))


def _unlearned(history: History, dropped: int) -> list[str]:
    """Quests that were not learned to their last row."""
    told = {ordinal: (history.outcome_of(ordinal), history.rows_learned(ordinal)) for ordinal in history.claims}
    faults = [
        f"quest {ordinal} is {outcome} with {rows} of {ROWS * EPOCHS} rows"
        for ordinal, (outcome, rows) in told.items()
        if (outcome, rows) != ("learned", ROWS * EPOCHS)
    ]
    return faults if len(told) == dropped else [*faults, f"{dropped} quests were dropped, and {len(told)} learned"]

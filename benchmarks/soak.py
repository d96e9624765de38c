"""Kills a realm at random while it learns, and compares what it has learned with an undisturbed run fed its journal.

    python -m benchmarks.soak --quests 40 --kills 200 --minutes 30 --calm-minutes 0 --seed 1
    python -m benchmarks.soak --kills 0 --calm-minutes 0 --pairs 30
    python -m benchmarks.soak --kills 0 --calm-minutes 30

Real SIGKILLs to the control process, the trainer or both; half of them after a few more steps of training, the others
after any time. Quests are dropped in between. `--pairs` then leads another realm through random pairs of crash points,
the second of which is met on the way back from the first. The hero is the smallest seedling, on one thread. Whether a
realm needs more and more is seen in one that is left alone (`benchmarks/calm.py`): here processes live for seconds.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import psutil
import typer

from arena.supervision.position_file import Phase
from benchmarks.calm import RSS_BUDGET, calm
from benchmarks.crowd import crowd
from benchmarks.growth import FOLDERS, size_of
from benchmarks.launching import end_with, run_benchmark
from tests.acceptance.crash_walk import STATIONS, Station, Walk
from tests.acceptance.nursery import Nursery
from tests.acceptance.quest_files import write_quest
from tests.acceptance.reckoning import Dropped, differences
from tests.acceptance.undying_realm import UndyingRealm
from tests.replaying import replay_realm

SPECIAL_PLACES = (
    "unpack.written", "move.original", "battle.step", "control.", "stop.", "exit.", "start.", "write..", "write.{file}",
    "write.journal.jsonl",
)  # fmt: skip
"""Those that only a quest of some kind, a wish, or an end of the realm leads to."""
AFTER_A_DEATH = ("start.", "exit.saved", "write.journal.jsonl")
"""Those that no quest leads to, unless a process dies before."""
VICTIMS = ("trainer", "daemon", "both")
LOOK_SECONDS = 0.002
"""Between two looks at the position: a step takes three times as long."""
LANES_SECONDS = 0.2
"""Between two looks into the lanes."""
SAMPLE_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 6.0
"""A kill that does not wait for training comes within so long: in the start of a trainer as often as after it."""
MOST_STEPS = 100
PATIENCE_SECONDS = 240.0
END_SECONDS = 1800.0
BATCH_SIZE = 1
"""So that a quest is long enough to be killed in: a step takes 4 ms."""
CHECKPOINTS_KEPT = 4
"""In `current_model/` at most, in sizes of one: the present one, one on its way, one in the trash, and some room."""


@dataclass
class Figures:
    """What was seen on the way."""

    kills: Counter[str] = field(default_factory=Counter)
    """By victim, and `in training`."""
    rss: list[float] = field(default_factory=list)
    """Of the control process, in bytes."""
    disk: list[dict[str, int]] = field(default_factory=list)
    """Bytes of each of `FOLDERS`."""
    seconds: float = 0.0

    def look_at(self, control: psutil.Process) -> None:
        """One sample of the control process, unless it is only just starting."""
        with suppress(psutil.NoSuchProcess), control.oneshot():
            if time.time() - control.create_time() >= 3 * SAMPLE_SECONDS:
                self.rss.append(control.memory_info().rss)


class Soak:
    """One realm, its quests and its killer; everything random comes from `dice`."""

    def __init__(self, realm: UndyingRealm, dice: random.Random, *, epochs: int, tell: Callable[[str], object]) -> None:
        self.realm = realm
        self._epochs = epochs
        self.figures = Figures()
        self.dropped: list[Dropped] = []
        self._dice = dice
        self._tell = tell
        self.tmp = realm.paths.base / "tmp"
        """The realm's folder for temporary files."""
        self.tmp.mkdir()
        self._charged: deque[tuple[int, int]] = deque(maxlen=2)
        self._sampled_at = 0.0

    def run(self, *, quests: int, kills: int, minutes: float) -> None:
        """Drop and kill until all kills are made or the time is over, then let everything be learned."""
        begun = time.monotonic()
        self.realm.launch(TMPDIR=str(self.tmp))
        drops = sorted(self._dice.uniform(0, kills * 0.9) for _ in range(quests))
        victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
        self._dice.shuffle(victims)
        for number, victim in enumerate(victims):
            if time.monotonic() - begun > minutes * 60:
                self._tell(f"{minutes:g} minutes are over after {number} kills")
                break
            while drops and drops[0] <= number:
                self._drop(drops)
            self._kill(victim, drops, in_training=self._dice.random() < 0.5)
            if number % 10 == 9:
                self._note_disk()
                self._tell(
                    f"{time.monotonic() - begun:6.0f} s: {number + 1} kills, {len(self.dropped)} quests dropped, "
                    f"{len(self.dropped) - self._open_quests()} over, control process {self._newest_rss()}"
                )
        while drops:
            self._drop(drops)
        self._wait(lambda: not self._open_quests(), "the end of all quests", END_SECONDS)
        self._note_disk()
        self.figures.seconds = time.monotonic() - begun

    # --- quests ------------------------------------------------------------------------------------------------

    def _drop(self, drops: list[float]) -> None:
        drops.pop(0)
        number, rows = len(self.dropped), self._dice.randint(20, 60)
        write_quest(self.realm.paths.inbox / f"quest_{number:03}.jsonl", rows, 1000 * number)
        self.dropped.append(Dropped(f"quest_{number:03}.jsonl", rows, self._epochs))

    def _open_quests(self) -> int:
        """How many of the dropped ones are neither sealed nor failed."""
        over = sum(1 for lane in ("recently_completed", "failed") for _ in self.realm.lane(lane))
        return len(self.dropped) - over

    # --- kills -------------------------------------------------------------------------------------------------

    def _kill(self, victim: str, drops: list[float], *, in_training: bool) -> None:
        steps = self._dice.randint(1, MOST_STEPS)
        seconds = self._dice.uniform(0.0, LONGEST_WAIT_SECONDS)
        reached = in_training and self._wait_for_steps(steps, drops)
        if not in_training:
            self._wait_for(seconds)
        if victim != "daemon":
            self._wait(self._is_held, "a trainer that may die where it is", PATIENCE_SECONDS)
        if not self.realm.kill(victim):  # the trainer has only just ended by itself
            victim = "daemon"
            self.realm.kill(victim)
        self.figures.kills[victim] += 1
        self.figures.kills["in training"] += reached

    def _wait_for_steps(self, steps: int, drops: list[float]) -> bool:
        """Until so many steps were begun that no trainer had begun before; False when there are no more to come."""
        before = self._furthest()
        seen: set[tuple[int, int]] = set()
        looked_at = time.monotonic()

        def enough() -> bool:
            nonlocal looked_at
            here = self.realm.position()
            if here is not None and here.phase is Phase.STEPPING and (here.ordinal, here.quest_step) > before:
                seen.add((here.ordinal, here.quest_step))
            if time.monotonic() - looked_at < LANES_SECONDS or len(seen) >= steps:
                return len(seen) >= steps
            looked_at = time.monotonic()
            if not self._open_quests() and drops:
                self._drop(drops)
            return not self._open_quests()

        self._wait(enough, f"{steps} steps", PATIENCE_SECONDS)
        return len(seen) >= steps

    def _wait_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= until, "some time", seconds + PATIENCE_SECONDS)

    def _is_held(self) -> bool:
        """Stop the trainer (SIGSTOP) for its kill, unless that were the third strike in one place.

        Three of them withdraw a quest, as they must; here every quest is to be learned. A trainer that is not stopped
        goes on between the look at its place and the kill.
        """
        trainer = self.realm.trainer()
        if trainer is None or self._is_third():
            return False
        with suppress(psutil.NoSuchProcess):
            trainer.suspend()
            while trainer.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                time.sleep(LOOK_SECONDS)
            if self._is_third():
                trainer.resume()
                return False
        if (place := self._charged_place()) is not None:
            self._charged.append(place)
        return True

    def _charged_place(self) -> tuple[int, int] | None:
        """Where a death is charged to the quest: ordinal and step; None where it is charged to nobody."""
        here = self.realm.position()
        if here is None or here.replaying or here.phase not in (Phase.STEPPING, Phase.PREPARING):
            return None
        return here.ordinal, here.quest_step

    def _is_third(self) -> bool:
        here = self._charged_place()
        if here is None or len(self._charged) < 2:
            return False
        places = [*self._charged, here]
        steps = [step for _, step in places]
        return len({ordinal for ordinal, _ in places}) == 1 and max(steps) - min(steps) <= 3

    def _furthest(self) -> tuple[int, int]:
        here = self.realm.position()
        return (here.furthest_ordinal, here.furthest_step) if here is not None else (0, 0)

    # --- looking -----------------------------------------------------------------------------------------------

    def _wait(self, predicate: Callable[[], bool], what: str, timeout: float) -> None:
        """The realm's own waiting, looking more often, and with a sample of the control process now and then."""
        deadline = time.monotonic() + timeout
        while not predicate():
            self._sample()
            if time.monotonic() > deadline:
                raise AssertionError(f"not seen in {timeout:.0f} s: {what}\n{self.realm.story()}")
            time.sleep(LOOK_SECONDS)

    def _sample(self) -> None:
        if time.monotonic() - self._sampled_at >= SAMPLE_SECONDS:
            self._sampled_at = time.monotonic()
            self.figures.look_at(psutil.Process(self.realm.pid))

    def _newest_rss(self) -> str:
        return f"{self.figures.rss[-1] / 1e6:.0f} MB" if self.figures.rss else "not seen for long enough"

    def _note_disk(self) -> None:
        self.figures.disk.append({name: size_of(self.realm.paths.base / name) for name in FOLDERS})


def main(
    quests: Annotated[int, typer.Option(min=1, help="Quests of 20 to 60 rows.")] = 40,
    kills: Annotated[int, typer.Option(min=0, help="Random kills; 0 leaves this part out.")] = 200,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over each of them.")] = 10,
    minutes: Annotated[float, typer.Option(help="No kill after so long.")] = 30.0,
    pairs: Annotated[int, typer.Option(min=0, help="Random pairs of crash points.")] = 0,
    calm_minutes: Annotated[float, typer.Option(min=0, help="Learning without kills, to see what grows.")] = 30.0,
    crowd_seconds: Annotated[
        float, typer.Option(min=0, help="32 clients ask while a run writes; 0 leaves it out.")
    ] = 60,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
) -> None:
    """Print what was killed, what it cost and what is wrong; exit code 1 when anything is, or too little was done."""
    faults = []
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        if kills:
            faults += random_kills(Path(folder), quests=quests, kills=kills, epochs=epochs, minutes=minutes, seed=seed)
        if pairs:
            faults += random_pairs(Path(folder), pairs=pairs, seed=seed)
        if calm_minutes:
            faults += calm(Path(folder), minutes=calm_minutes, tell=typer.echo)
        if crowd_seconds:
            faults += crowd(Path(folder), seconds=crowd_seconds, tell=typer.echo)
    end_with(faults)


def random_kills(
    folder: Path,
    *,
    quests: int,
    kills: int,
    epochs: int,
    minutes: float,
    seed: int,
    command: Callable[..., list[str]] | None = None,
) -> list[str]:
    """Everything that differs in the end; `command` makes another command line of `realm ARGUMENTS`."""
    realm = UndyingRealm(folder / "realm", hyperparams={"batch_size": BATCH_SIZE, "epochs": epochs})
    if command is not None:
        realm.command = command("--base-dir", str(realm.paths.base), "up")
    soak = Soak(realm, random.Random(seed), epochs=epochs, tell=typer.echo)
    try:
        soak.run(quests=quests, kills=kills, minutes=minutes)
        realm.stop()
    finally:
        realm.close()
    oracle = replay_realm(realm.paths, folder / "oracle")
    faults = differences(realm.paths, soak.dropped, oracle)
    _tell_figures(soak, steps=int(oracle.name.split("-")[1]), faults=len(faults))
    made = sum(soak.figures.kills[victim] for victim in VICTIMS)
    if made < kills:
        faults.append(f"{made} of {kills} kills were made within {minutes:g} minutes")
    return faults + _over_budget(soak.figures, size_of(oracle))


def random_pairs(folder: Path, *, pairs: int, seed: int) -> list[str]:
    """Everything that differs after a walk through random pairs of places; trainers come from a nursery."""
    places = folder / "places.txt"
    with Nursery(REALM_CRASH_LIST=str(places)) as nursery:
        return walk_through_pairs(folder, nursery, places, pairs=pairs, seed=seed)


def walk_through_pairs(folder: Path, nursery: Nursery, places: Path, *, pairs: int, seed: int) -> list[str]:
    """`random_pairs` with a nursery that is there already; `places` is the list that its children look at."""
    dice = random.Random(seed)
    realm = UndyingRealm(folder / "pairs", save_budget=1.0)
    realm.command = nursery.command("--base-dir", str(realm.paths.base), "up")
    walk = Walk(realm, places)
    try:
        walk.go([_random_pair(dice) for _ in range(pairs)])
        realm.stop()
    finally:
        realm.close()
    faults = differences(realm.paths, walk.dropped, replay_realm(realm.paths, folder / "oracle-of-pairs"))
    typer.echo(f"pairs of crash points: {pairs}, {len(realm.events('trainer_died'))} deaths of a trainer")
    return faults


def _random_pair(dice: random.Random) -> Station:
    """What leads to the first place, and a second one that the way back, or the next plain quest, leads to."""
    station = dice.choice(STATIONS)
    firsts = [place for place in station.places if not place.startswith(AFTER_A_DEATH)]
    seconds = [place for each in STATIONS for place in each.places if not place.startswith(SPECIAL_PLACES)]
    return replace(station, places=(dice.choice(firsts), dice.choice(seconds)))


def _tell_figures(soak: Soak, *, steps: int, faults: int) -> None:
    figures, kills = soak.figures, soak.figures.kills
    by_victim = ", ".join(f"{kills[victim]} of {victim}" for victim in VICTIMS)
    typer.echo(f"kills: {sum(kills[victim] for victim in VICTIMS)} ({by_victim}), {kills['in training']} in training")
    typer.echo(f"quests: {len(soak.dropped)}, {sum(file.rows for file in soak.dropped)} rows, {steps} steps")
    typer.echo(f"time: {figures.seconds / 60:.1f} minutes")
    typer.echo(f"differences from an undisturbed run fed the same journal: {faults}")
    typer.echo(f"sockets left behind by killed processes: {len(list(soak.tmp.iterdir()))}")
    if figures.rss:
        typer.echo(f"control process: RSS {max(figures.rss) / 1e6:.0f} MB at most, {len(figures.rss)} samples")
    for name in FOLDERS:
        typer.echo(f"{name}/: " + " → ".join(f"{sample[name] / 1e6:.2f}" for sample in _few(figures.disk)) + " MB")


def _over_budget(figures: Figures, checkpoint: int) -> list[str]:
    """What takes too much."""
    over = []
    if figures.rss and max(figures.rss) > RSS_BUDGET:
        over.append(f"the control process has {max(figures.rss) / 1e6:.0f} MB of RSS")
    if figures.disk and figures.disk[-1]["current_model"] > CHECKPOINTS_KEPT * checkpoint:
        over.append(f"current_model/ has {figures.disk[-1]['current_model'] / checkpoint:.1f} sizes of a checkpoint")
    return over


def _few(samples: list[dict[str, int]]) -> list[dict[str, int]]:
    """Five of them, evenly spread, with the last."""
    return samples[:: max(1, len(samples) // 4)][:4] + samples[-1:]


if __name__ == "__main__":
    run_benchmark(main)

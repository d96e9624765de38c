"""What rehearsal is worth: five levels of BIN learned one after the other, with rehearsal and without.

    make bench
    python -m benchmarks.curriculum --quests 24 --rounds 1

Two real realms with the seedling, which make their quests themselves, side by side with one thread each. Both go to
the next level after the same number of examinations, whatever came of them, with as many rows in each quest: they are
taught for as long and, but for the length of the numbers, as many tokens; rehearsal gets the fewer ones. In the end
each of the five levels is examined with problems that were never taught. Forgotten is what a level lost between the
last examination at it and that one.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from benchmarks.figures import Figure, table, write_results
from benchmarks.launching import run_benchmark
from tests.acceptance.living_realm import LivingRealm

LEVELS = 5
PROBLEMS = 50
"""Of each level in the end; the hundredfold of what one answer weighs is 2 %."""
ANY_ACCURACY = 1e-9
"""Masters a level by the number of its examinations alone."""
REHEARSAL = 0.25
"""The default of `curriculum.rehearsal`."""
PATIENCE_SECONDS = 7200.0


class Outcome(NamedTuple):
    """What one realm knows in the end."""

    learned: dict[int, float]
    """Accuracy at each level by the last examination while it was learned."""
    kept: dict[int, float]
    """The same at the very end."""
    tokens: int

    @property
    def forgotten(self) -> float:
        """Mean over the levels below the last one, in parts of all answers; none for what became better."""
        return statistics.mean(max(0.0, self.learned[level] - self.kept[level]) for level in range(1, LEVELS))


def main(
    quests: Annotated[int, typer.Option(help="Of each level, so many examinations.")] = 24,
    rows: Annotated[int, typer.Option(help="Of one quest.")] = 1600,
    rounds: Annotated[int, typer.Option(help="Pairs of runs, each with another seed.")] = 1,
) -> None:
    """Print the table."""
    found: list[tuple[Outcome, Outcome]] = []
    with tempfile.TemporaryDirectory(prefix="curriculum-") as folder:
        for number in range(rounds):
            one = partial(run, seed=42 + number, quests=quests, rows=rows)
            with ThreadPoolExecutor(2) as side_by_side:
                pair = [
                    side_by_side.submit(one, Path(folder) / f"{number}-{share}", rehearsal=share)
                    for share in (REHEARSAL, 0.0)
                ]
                outcomes = [each.result() for each in pair]
            found.append((outcomes[0], outcomes[1]))
    figures = [
        Figure(f"forgotten of {LEVELS} levels, with rehearsal", None, [100 * each[0].forgotten for each in found],
               unit="%"),
        Figure("the same without", None, [100 * each[1].forgotten for each in found], unit="%"),
        Figure("right answers over all levels in the end, with rehearsal", None,
               [100 * statistics.mean(each[0].kept.values()) for each in found], unit="%"),
        Figure("the same without", None, [100 * statistics.mean(each[1].kept.values()) for each in found], unit="%"),
        Figure("tokens taught", "without rehearsal", [each[0].tokens / each[1].tokens for each in found]),
    ]  # fmt: skip
    typer.echo(table(figures))
    details = [{"with": pair[0]._asdict(), "without": pair[1]._asdict()} for pair in found]
    write_results("curriculum", figures, details={"quests": quests, "rows": rows, "runs": details})


def run(base: Path, *, rehearsal: float, seed: int, quests: int, rows: int) -> Outcome:
    """One realm from nothing to the end of its five levels."""
    realm = LivingRealm(
        base, hero="seedling", inbox={},
        trainer={
            "device": "cpu", "threads": 1, "seed": seed, "micro_batch_tokens": 2048, "packing": "never",
        },
        auto_generate={"enabled": True, "count": rows},
        curriculum={
            "seed": seed, "rehearsal": rehearsal, "target_accuracy": ANY_ACCURACY, "min_evals_for_progression": quests,
        },
        examination={"problems": PROBLEMS, "rehearsal_problems": PROBLEMS},
    )  # fmt: skip
    try:
        realm.up()
        realm.wait(lambda: mastered(realm) >= LEVELS, f"{LEVELS} mastered levels", PATIENCE_SECONDS)
        return outcome_of(realm)
    finally:
        realm.close()


def mastered(realm: LivingRealm) -> int:
    rises = realm.events("level_mastered")
    return int(rises[-1]["data"]["mastered_level"]) if rises else 0


def outcome_of(realm: LivingRealm) -> Outcome:
    """As the examinations tell it; of levels below the last one, the re-examinations made while that was learned."""
    parts = realm.http("GET", "/api/examinations?limit=1000", site="watchtower").json()["examinations"]
    parts.sort(key=lambda part: part["number"])
    learned = {part["level"]: part["correct"] / part["total"] for part in parts if part["purpose"] == "level"}
    kept = {part["level"]: part["correct"] / part["total"] for part in parts if part["purpose"] == "again"}
    taught = {level: learned[level] for level in range(1, LEVELS + 1)}
    return Outcome(taught, {level: kept.get(level, taught[level]) for level in taught}, tokens_of(realm))


def tokens_of(realm: LivingRealm) -> int:
    """What was taught: with bytes for tokens, the length of questions and answers."""
    files = [path for lane in ("recently_completed", "awaiting_seal") for path in realm.lane(lane)]
    return sum(len(_text(line)) for path in files for line in path.read_text(encoding="utf-8").splitlines())


def _text(line: str) -> bytes:
    row: dict[str, Any] = json.loads(line)
    return "".join(turn["content"] for turn in row["messages"]).encode()


if __name__ == "__main__":
    run_benchmark(main)

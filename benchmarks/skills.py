"""How fast the built-in skills make problems, and whether all of very many are right.

    python -m benchmarks.skills --samples 100000

Samples are spread over all levels of a skill. The clock runs while they are generated alone; then each is graded, held
against the share that is never taught, written as a quest file and judged by the QUICK gate.
"""

from __future__ import annotations

import gc
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from arena.gatekeepers.gate import inspect_file
from benchmarks.figures import Figure, table, write_results
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import Problem, ProblemSource
from guild.dojo.sources import SOURCES, source_of

ROUNDS = 3
LEAST = {"bin": 5000.0}
"""Samples a second that a skill must make (issue 7)."""


def main(samples: Annotated[int, typer.Option(min=100, help="Of each skill.")] = 100_000) -> None:
    """Print the table; ends with an error when a sample is wrong."""
    figures = []
    details: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for skill_id in sorted(SOURCES):
            source = source_of(skill_id)
            speeds: list[float] = []
            by_level: dict[int, float] = {}
            for seed in range(ROUNDS):
                problems, by_level = made(source, samples, seed)
                speeds.append(len(problems) / sum(by_level.values()))
                check(source, problems, Path(folder) / f"{skill_id}.jsonl")
            each = samples // source.max_level
            details[skill_id] = {str(level): round(each / seconds) for level, seconds in by_level.items()}
            what = f"{skill_id}: {samples} problems over all levels, all right, none held out"
            figures.append(Figure(what, None, speeds, "samples/s", at_least=LEAST.get(skill_id)))
    typer.echo(table(figures))
    for skill_id, speeds_of in details.items():
        slowest = min(speeds_of, key=lambda level: speeds_of[level])
        typer.echo(f"{skill_id}: slowest at level {slowest}, {speeds_of[slowest]} samples/s")
    write_results("skills", figures, details={"samples_per_second_by_level": details})


def made(source: ProblemSource, samples: int, seed: int) -> tuple[list[Problem], dict[int, float]]:
    """As many problems of each level, and the seconds that each level took."""
    problems: list[Problem] = []
    seconds = {}
    for level in range(1, source.max_level + 1):
        gc.collect()
        start = time.perf_counter()
        found = source.problems(level, samples // source.max_level, seed=seed, held_out=False)
        seconds[level] = time.perf_counter() - start
        problems += found
    return problems, seconds


def check(source: ProblemSource, problems: list[Problem], file: Path) -> None:
    """End with an error that names the first sample that is wrong."""
    encode = msgspec.json.Encoder().encode
    with file.open("wb") as quest:
        for problem in problems:
            if not source.grade(problem, problem.answer):
                raise SystemExit(f"Its own answer is graded as wrong: {problem}")
            if is_held_out(problem.key):
                raise SystemExit(f"It is of the share that is never taught: {problem}")
            quest.write(encode({"messages": problem.messages()}) + b"\n")
    verdict = inspect_file(str(file))
    if not verdict["accepted"]:
        raise SystemExit(f"The gate refuses them: {verdict}")


if __name__ == "__main__":
    typer.run(main)

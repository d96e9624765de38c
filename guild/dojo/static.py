"""The static evaluation problems: the same few of each level for ever, so that trends compare like with like (E18).

They are computed, not kept: five held-out problems of each level, each with its golden answer (failure C23). Levelling
asks other ones (`ProblemSource.problems` with a seed of its own), of the same held-out share.
"""

from __future__ import annotations

from typing import Any

from guild.dojo.problem import Problem, ProblemSource

STATIC_SEED = 0x57A71C
PER_LEVEL = 5


def static_problems(source: ProblemSource, level: int, count: int = PER_LEVEL) -> list[Problem]:
    """The static problems of a level, the same at every call and in every process."""
    return source.problems(level, count, seed=STATIC_SEED, held_out=True)


def static_set(source: ProblemSource, levels: range, count: int = PER_LEVEL) -> dict[str, list[dict[str, Any]]]:
    """`{"<level>": [{prompt, answer, metadata}, …]}`, as the seed's `data/validation/{id}_validation.json` has it."""
    return {
        str(level): [
            {"prompt": problem.prompt, "answer": problem.answer, "metadata": dict(problem.metadata)}
            for problem in static_problems(source, level, count)
        ]
        for level in levels
    }

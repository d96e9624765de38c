"""Rows that teach to tell right answers from wrong ones, for any skill (seed 003, spec 1.16).

The label of a row is what the grader says of the answer proposed in it, and nothing else (failure C11): a right answer
is never called INCORRECT. No problem of the held-out share is used, not even one that the model was asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any

from core.errors import InvalidInput
from core.lineage import GENERATOR_REGISTRY
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import Problem, ProblemSource
from guild.wrong_answers import WrongAnswers

GENERATOR_ID = "discrimination"
GENERATOR_VERSION = GENERATOR_REGISTRY[GENERATOR_ID]["version"]

WRONG_SHARE = 0.6
"""Rows with a wrong answer and its correction; the others verify a right one."""
LONGEST_PROPOSAL = 2000
"""Characters of a model's answer that are worth judging."""
FEWEST_DRAWN = 64
"""Problems that are drawn even for fewer rows: wrong answers are made of others."""

PROPOSAL = "{prompt}\n\n---\nProposed answer:\n{answer}\n---\n\nDid the model answer correctly?"
RIGHT, WRONG = "CORRECT", "INCORRECT"
ASK_CORRECTION = "What should the answer have been?"

_LEVELS = re.compile(r"l?([0-9]{1,4})(?:-l?([0-9]{1,4}))?")

Row = dict[str, Any]
"""`{"messages": […], "type": "correct_verification" | "discrimination_correction"}`"""


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels that rows are made for."""

    label: str
    """`L5`, `L1-3` or `all`, as it stands in the file's name."""
    numbers: Sequence[int]


def levels_of(text: str, *, training_level: int, max_level: int) -> Levels:
    """What `--level` says: `auto` (the level being trained), a number, `a-b` or `all`; `InvalidInput` for the rest."""
    wish = text.strip().lower()
    if wish == "all":
        return Levels("all", range(1, max_level + 1))
    said = _LEVELS.fullmatch(str(training_level) if wish == "auto" else wish)
    lowest, highest = (int(said[1]), int(said[2] or said[1])) if said else (0, 0)
    if not 1 <= lowest <= highest <= max_level:
        raise InvalidInput(
            f"There is no level {text!r}.", hint=f"Use auto, a level from 1 to {max_level}, two such as 1-3, or all."
        )
    label = f"L{lowest}" if lowest == highest else f"L{lowest}-{highest}"
    return Levels(label, range(lowest, highest + 1))


def judged_row(source: ProblemSource, problem: Problem, proposed: str) -> Row:
    """The row for a proposed answer, with the grader's verdict on it as its label."""
    right = source.grade(problem, proposed)
    turns = [PROPOSAL.format(prompt=problem.prompt, answer=proposed), RIGHT if right else WRONG]
    if not right:
        turns += [ASK_CORRECTION, problem.answer]
    messages = [{"role": role, "content": text} for role, text in zip(("user", "assistant") * 2, turns, strict=False)]
    return {"messages": messages, "type": "correct_verification" if right else "discrimination_correction"}


def discrimination_rows(
    source: ProblemSource,
    levels: Sequence[int],
    count: int,
    *,
    seed: int,
    answered: Iterable[tuple[Problem, str]] = (),
) -> list[Row]:
    """`count` rows over `levels`, in a mixed order: a function of the arguments and the source's version.

    `answered` are answers of a model, freed of a profile's marks; they are proposed first, as right or wrong as the
    grader finds them. Those of other skills, of other levels and of held-out problems are left out. The rest is golden
    answers, and these with a change. Raises `InvalidInput` for a level that is not there.
    """
    rng = Random(f"{GENERATOR_ID} {GENERATOR_VERSION} {source.skill_id} {source.version} {seed} {list(levels)}")
    wanted = {False: round(count * WRONG_SHARE), True: count - round(count * WRONG_SHARE)}
    proposals: dict[bool, list[tuple[Problem, str]]] = {False: [], True: []}
    for problem, answer in _usable(source, levels, answered):
        verdict = source.grade(problem, answer)
        if len(proposals[verdict]) < wanted[verdict]:
            proposals[verdict].append((problem, answer))
    missing = count - sum(map(len, proposals.values()))
    problems = _problems(source, levels, max(missing, FEWEST_DRAWN), rng)
    wrong_answers = WrongAnswers(source, problems, rng)
    for problem in problems[:missing]:
        if len(proposals[False]) < wanted[False]:
            proposals[False].append((problem, wrong_answers.to(problem)))
        else:
            proposals[True].append((problem, problem.answer))
    mixed = [pair for verdict in (False, True) for pair in proposals[verdict]]
    rng.shuffle(mixed)
    return [judged_row(source, problem, answer) for problem, answer in mixed]


def file_name(levels: Levels, now: datetime) -> str:
    """`discrimination_{L5|L1-3|all}_{YYYYmmdd_HHMMSS}.jsonl`"""
    return f"{GENERATOR_ID}_{levels.label}_{now:%Y%m%d_%H%M%S}.jsonl"


def lineage_of(source: ProblemSource, levels: Levels, rows: Sequence[Row], *, seed: int, now: datetime) -> Row:
    """The sidecar beside the file (spec 1.3)."""
    kinds = Counter(row["type"] for row in rows)
    return {
        "generator_id": GENERATOR_ID,
        "generator_version": GENERATOR_VERSION,
        "generated_at": now.isoformat(),
        "example_count": len(rows),
        "params": {
            "skill": source.skill_id,
            "skill_version": source.version,
            "levels": list(levels.numbers),
            "difficulty": levels.label,
            "seed": seed,
            **dict(sorted(kinds.items())),
        },
        "source": "generated",
    }


def _usable(
    source: ProblemSource, levels: Sequence[int], answered: Iterable[tuple[Problem, str]]
) -> Iterable[tuple[Problem, str]]:
    """Each of them once, without blanks around the answer."""
    seen: set[tuple[bytes, str]] = set()
    for problem, raw in answered:
        answer = raw.strip()
        if problem.skill_id != source.skill_id or problem.level not in levels or is_held_out(problem.key):
            continue
        if 0 < len(answer) <= LONGEST_PROPOSAL and (problem.key, answer) not in seen:
            seen.add((problem.key, answer))
            yield problem, answer


def _problems(source: ProblemSource, levels: Sequence[int], count: int, rng: Random) -> list[Problem]:
    """Problems that may be taught, spread evenly over the levels, in a mixed order; each with a sound golden answer."""
    shares = Counter(levels[place * len(levels) // count] for place in range(count))
    found = []
    for level, share in sorted(shares.items()):
        found += source.problems(level, share, seed=rng.getrandbits(63), held_out=False)
    for problem in found:
        if not source.grade(problem, problem.answer):
            raise InvalidInput(f"The golden answer to {problem.prompt!r} of {source.skill_id} is graded wrong.")
    rng.shuffle(found)
    return found

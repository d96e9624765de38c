"""Quests from examined mistakes: new problems of the kind that was answered wrongly (spec 1.4 and 1.7, seed 003).

What is examined is never taught, or nobody could tell learning from remembering (failure C14). So a mistake is not
taught by itself: other problems of its level and kind are, from the share that may be.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from core.errors import InvalidInput
from core.files import DISK, Files, read_json
from core.lineage import GENERATOR_REGISTRY, FileLineage, lineage_now
from guild.dojo.arithmetic.notation import number_in
from guild.dojo.arithmetic.reading import question_in
from guild.dojo.problem import Problem, ProblemSource
from guild.dojo.syllacrostic import words_in

GENERATOR_ID = "self_correction"
GENERATOR_VERSION = GENERATOR_REGISTRY[GENERATOR_ID]["version"]

ROWS_EACH = 3
"""New problems for one mistake."""
DRAWN_AT_ONCE = 512
MOST_DRAWS = 16
"""For the problems of one kind; a kind that does not come so often is made up with any of the level."""
KEPT_RUNS = 100
"""In the status file."""

DESCRIPTIONS = {
    "empty": "nothing was answered",
    "not_a_number": "the answer is no number in the notation of the question",
    "other_length": "the number is longer than the right one",
    "one_digit": "one digit is wrong",
    "several_digits": "several digits are wrong",
    "relation": "the comparison is wrong",
    "words_missing": "words are missing",
    "words_too_many": "all words are there, and others as well",
    "words_wrong": "words are wrong",
    "other": "the answer is wrong",
}
"""What each error pattern means."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A problem that was answered wrongly in an examination."""

    level: int
    prompt: str
    expected: str
    answer: str
    """Without what a profile puts around it."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A quest that is ready to be dropped into the inbox."""

    name: str
    rows: tuple[Problem, ...]
    lineage: FileLineage
    run: dict[str, Any]
    """One of `correction_runs` in `status/self_correction.json`."""

    def lines(self) -> Iterator[bytes]:
        """The file, line by line."""
        for problem in self.rows:
            yield json.dumps({"messages": problem.messages()}, ensure_ascii=False).encode() + b"\n"


def correct(
    source: ProblemSource,
    mistakes: Sequence[Mistake],
    *,
    tested: int,
    max_examples: int,
    seed: int,
    model: str | None,
    now: datetime,
) -> Correction | None:
    """A quest of at most `max_examples` rows from the mistakes among `tested` answers; None without a mistake.

    The rows are a function of mistakes, `max_examples`, `seed` and the source's version. `model` names the checkpoint
    that was examined, if anybody knows it.
    """
    if max_examples < 1:
        raise InvalidInput("A quest of corrections needs a row at least.", hint="Raise self_correction.max_examples.")
    if not mistakes:
        return None
    patterns = Counter(pattern_of(source.skill_id, mistake) for mistake in mistakes)
    rows = _rows(source, mistakes, max_examples, seed)
    levels = sorted({mistake.level for mistake in mistakes})
    told = [{"type": kind, "count": count, "description": DESCRIPTIONS[kind]} for kind, count in patterns.most_common()]
    run = {
        "timestamp": now.isoformat(),
        "model": model,
        "model_specified": model is not None,
        "errors_captured": len(mistakes),
        "corrections_generated": len(rows),
        "error_patterns": told,
        "tested": tested,
        "correct": tested - len(mistakes),
        "incorrect": len(mistakes),
    }
    params = {"skill": source.skill_id, "levels": levels, "seed": seed, "mistakes": len(mistakes), "patterns": told}
    label = f"level{levels[0]}" if len(levels) == 1 else f"level{levels[0]}-{levels[-1]}"
    name = f"{GENERATOR_ID}_{source.skill_id.upper()}_{label}_{len(rows)}_{now:%Y%m%d_%H%M%S}.jsonl"
    return Correction(name, tuple(rows), lineage_now(GENERATOR_ID, count=len(rows), params=params, now=now), run)


def record_run(path: Path, run: dict[str, Any], *, files: Files = DISK) -> dict[str, Any]:
    """Add a run to `status/self_correction.json`, which keeps the last 100; returns the whole. Raises `OSError`."""
    kept = read_json(path)
    body: dict[str, Any] = kept if isinstance(kept, dict) else {}
    runs = body.get("correction_runs")
    runs = [*(runs if isinstance(runs, list) else []), run][-KEPT_RUNS:]
    told = {
        **body,
        "correction_runs": runs,
        "total_errors_captured": _count(body.get("total_errors_captured")) + run["errors_captured"],
        "total_corrections_generated": _count(body.get("total_corrections_generated")) + run["corrections_generated"],
        "last_updated": run["timestamp"],
    }
    files.write_json(path, told, durable=True)
    return told


def pattern_of(skill_id: str, mistake: Mistake) -> str:
    """What went wrong, as a key of `DESCRIPTIONS`."""
    answer = mistake.answer.strip()
    if not answer:
        return "empty"
    if skill_id == "bin":
        return _pattern_of_number(mistake, answer)
    if skill_id == "sy":
        return _pattern_of_words(words_in(mistake.expected), words_in(answer))
    return "other"


def _pattern_of_number(mistake: Mistake, answer: str) -> str:
    question = question_in(mistake.prompt)
    if question is None:
        return "other"
    expected, found = number_in(mistake.expected, question.notation), number_in(answer, question.notation)
    if expected is None:
        return "relation"
    if found is None:
        return "not_a_number"
    if found.bit_length() > len(mistake.expected.strip()):
        return "other_length"
    return "one_digit" if (expected ^ found).bit_count() == 1 else "several_digits"


def _pattern_of_words(expected: frozenset[str], found: frozenset[str]) -> str:
    if found < expected:
        return "words_missing"
    return "words_too_many" if found > expected else "words_wrong"


def _rows(source: ProblemSource, mistakes: Sequence[Mistake], most: int, seed: int) -> list[Problem]:
    """New problems for each kind of mistake, as many as its mistakes ask for; where that is too much, fewer of each."""
    wanted = Counter((mistake.level, _kind_of(mistake.prompt)) for mistake in mistakes)
    share = min(1.0, most / (ROWS_EACH * len(mistakes)))
    rows: list[Problem] = []
    seen: set[bytes] = set()
    # The most frequent first, so that what is rounded away are rows of rare kinds.
    for (level, kind), count in sorted(wanted.items(), key=lambda item: (-item[1], item[0])):
        room = most - len(rows)
        rows += _problems_of(source, level, kind, min(room, max(1, round(ROWS_EACH * count * share))), seed, seen)
    Random(f"{GENERATOR_ID} {seed}").shuffle(rows)
    return rows


def _problems_of(
    source: ProblemSource, level: int, kind: str, count: int, seed: int, seen: set[bytes]
) -> list[Problem]:
    """`count` problems of that level and kind, or fewer where the level has no more; `seen` gets their keys."""
    found: dict[bytes, Problem] = {}
    others: dict[bytes, Problem] = {}
    for draw in range(MOST_DRAWS):
        if len(found) >= count:
            break
        for problem in source.problems(level, DRAWN_AT_ONCE, seed=_seed_of(seed, level, draw), held_out=False):
            if problem.key not in seen and len(found) < count:
                (found if _kind_of(problem.prompt) == kind else others)[problem.key] = problem
    chosen = [*found.values(), *others.values()][:count]
    seen.update(problem.key for problem in chosen)
    return chosen


def _kind_of(prompt: str) -> str:
    """What a problem asks for: operation and notation of arithmetic; of others, the level says all there is."""
    question = question_in(prompt)
    return f"{question.operation.name} {question.notation}" if question is not None else ""


def _seed_of(seed: int, level: int, draw: int) -> int:
    return Random(f"{GENERATOR_ID} {seed} {level} {draw}").getrandbits(63)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

"""Answers that look right and are wrong: a golden answer with one small change, checked by the grader of its skill."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from random import Random

from core.errors import InvalidInput
from guild.dojo.problem import Problem, ProblemSource

MOST_CHANGES = 50
"""Changes tried on one answer; the grader may take some for right, such as another order of words."""

BETWEEN_PARTS = ", "
"""Stands between the parts of an answer that has several."""


class WrongAnswers:
    """Wrong answers that are written like the golden answers to `problems`; the grader has rejected each."""

    def __init__(self, source: ProblemSource, problems: Sequence[Problem], rng: Random) -> None:
        self._source = source
        self._rng = rng
        self._golden = [problem.answer for problem in problems]
        self._alike: defaultdict[frozenset[str], list[str]] = defaultdict(list)
        for answer in self._golden:
            self._alike[_kinds_of_signs(answer)].append(answer)

    def to(self, problem: Problem) -> str:
        """The golden answer with a change, or a golden one to another problem.

        Changes take from answers in the same kinds of signs, so that nobody can tell by these what is wrong; from any,
        where that gives nothing. Raises `InvalidInput` where no change makes the answer wrong.
        """
        for others in (self._alike.get(_kinds_of_signs(problem.answer), []), self._golden):
            for _ in range(MOST_CHANGES):
                changed = _changed(problem.answer, others, self._rng).strip()
                if changed and not self._source.grade(problem, changed):
                    return changed
        raise InvalidInput(
            f"Whatever is changed in an answer of {self._source.skill_id}, level {problem.level}, is graded right.",
            hint=f"The problem is {problem.prompt!r}, its answer {problem.answer!r}.",
        )


def _kinds_of_signs(answer: str) -> frozenset[str]:
    """Digits, circled digits, letters, blanks …: Unicode's general categories."""
    return frozenset(map(unicodedata.category, answer))


def _changed(answer: str, others: Sequence[str], rng: Random) -> str:
    parts = answer.split(BETWEEN_PARTS)
    chance = rng.random()
    if len(parts) > 1 and chance < 0.5:
        return _other_parts(parts, others, rng)
    if chance < 0.8:
        return _other_characters(answer, others, rng)
    return _one_of(others, rng) if others else _other_characters(answer, others, rng)


def _other_parts(parts: list[str], others: Sequence[str], rng: Random) -> str:
    """One part left out, or in its place a part of another answer."""
    place = int(rng.random() * len(parts))
    instead = [_one_of(_one_of(others, rng).split(BETWEEN_PARTS), rng)] if others and rng.getrandbits(1) else []
    return BETWEEN_PARTS.join(parts[:place] + instead + parts[place + 1 :])


def _other_characters(answer: str, others: Sequence[str], rng: Random) -> str:
    """One character left out, exchanged with the next one, or in its place one that answers are written with."""
    if not answer:
        return answer
    place = int(rng.random() * len(answer))
    before, rest = answer[:place], answer[place + 1 :]
    way = rng.random()
    if way < 0.2:
        return before + rest
    if way < 0.4 and rest:
        return before + rest[0] + answer[place] + rest[1:]
    return before + _one_of("".join(others) or answer, rng) + rest


def _one_of(choices: Sequence[str], rng: Random) -> str:
    return choices[int(rng.random() * len(choices))]

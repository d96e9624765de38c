"""Tells whether a row of anybody's file asks a held-out problem of a skill that is built in (failure C14).

A key is held out or not whatever text it is made of, so the text itself must be known as a problem. Numbers may mean
something else in another file: only a question with the answer that the skill gives to it is taken for its problem, or
one that is put up for judgement.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from guild.dojo.arithmetic.operations import OPERATIONS
from guild.dojo.arithmetic.reading import question_in
from guild.dojo.held_out import is_held_out
from guild.dojo.problem import problem_key

PROPOSED = "\n\n---\nProposed answer:\n"
"""Behind the problem, where the model is to judge an answer (spec 1.16)."""
LONGEST = 8192
"""Characters of a problem of any skill."""

_PUZZLE = re.compile(r"Make words of [^\n:]+:(?:\n[0-9]+\. [^\n]+)+")
_SIGNS = {
    sign for operation in OPERATIONS.values() for texts in operation.texts.values() for text in texts for sign in text
}
_ARITHMETIC = re.compile(f"[{re.escape(''.join(sorted(_SIGNS - set('{2}'))))}01⓪①]{{3,256}}\\Z")


def held_out_problem(asked: str, answer: str) -> str | None:
    """The skill whose held-out problem a user turn asks, which is answered so; None for everything else."""
    problem, proposed, _ = asked[: LONGEST + len(PROPOSED)].partition(PROPOSED)
    if len(problem) > LONGEST:
        return None
    for skill_id, (shape, is_asked) in _ASKED.items():
        # The shape first: of nearly all rows it says at their first letter that they are none.
        if shape.match(problem) is None or not is_held_out(problem_key(skill_id, problem)):
            continue
        if is_asked(problem, None if proposed else answer.strip()):
            return skill_id
    return None


def _asks_arithmetic(problem: str, answer: str | None) -> bool:
    """Whether BIN asks so, and answers so where there is an answer."""
    question = question_in(problem)
    return question is not None and (answer is None or question.answer() == answer)


def _asks_for_words(problem: str, answer: str | None) -> bool:
    """Whether SY asks so; nobody else does."""
    return _PUZZLE.fullmatch(problem) is not None


_ASKED: dict[str, tuple[re.Pattern[str], Callable[[str, str | None], bool]]] = {
    "bin": (_ARITHMETIC, _asks_arithmetic),
    "sy": (re.compile("Make words of "), _asks_for_words),
}
"""For each skill, what its problems look like, and whether a user turn is one; the answer is None where that is yet
to be judged."""

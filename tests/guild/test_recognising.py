"""Problems of the built-in skills are recognised by their text alone."""

from __future__ import annotations

import pytest

from guild.dojo.arithmetic.reading import question_in
from guild.dojo.problem import HeldOutExhausted, Problem, ProblemSource
from guild.dojo.recognising import LONGEST, held_out_problem
from guild.dojo.sources import SOURCES, source_of


def drawn(source: ProblemSource, level: int, *, held_out: bool) -> list[Problem]:
    try:
        return source.problems(level, 8, seed=level, held_out=held_out)
    except HeldOutExhausted:
        return []


@pytest.mark.parametrize("skill_id", sorted(SOURCES))
def test_the_held_out_problems_of_each_level_are_known_and_no_others(skill_id: str) -> None:
    """C14: a skill whose problems nobody recognises could be taught what it is examined with."""
    source = source_of(skill_id)
    for level in range(1, source.max_level + 1):
        for problem in drawn(source, level, held_out=True):
            assert held_out_problem(problem.prompt, problem.answer) == skill_id
        for problem in drawn(source, level, held_out=False):
            assert held_out_problem(problem.prompt, problem.answer) is None


def test_arithmetic_is_read_back_with_its_answer() -> None:
    source = source_of("bin")
    for level in range(1, source.max_level + 1):
        for problem in drawn(source, level, held_out=False):
            question = question_in(problem.prompt)
            assert question is not None
            facts = problem.metadata
            assert (question.operation.name, question.notation) == (facts["operation"], facts["notation"])
            assert (list(question.operands), question.answer()) == (list(facts["operands"]), problem.answer)
    assert question_in("101+11=") is None, "numbers of two lengths"
    assert question_in("1010/00=") is not None
    assert held_out_problem("1010/00=", "0") is None
    assert held_out_problem("x" * (LONGEST + 1), "x") is None

"""Grades an examination by rule: what was asked is made again from the plan of its quest (failure E14)."""

from __future__ import annotations

import logging

from arena.protocol import Examined, ExamSheet
from guild.curriculum.planning import QuestPlan
from guild.dojo.problem import Problem, ProblemSource
from guild.dojo.sources import source_of
from guild.profiles import plain_answer
from guild.quests.making import questions_of, tokens_for
from guild.records import Examination, Graded

logger = logging.getLogger(__name__)


def sheet_of(plan: QuestPlan) -> ExamSheet | None:
    """What the trainer asks after the quest; None when nobody examines."""
    questions = questions_of(plan)
    if not questions:
        return None
    return ExamSheet(
        exam_id=plan.exam_id,
        questions=[problem.prompt for problem in questions],
        max_new_tokens=tokens_for(plan, questions),
    )


def number_of(exam_id: str) -> int | None:
    """The number of the quest that an examination belongs to; None for an id that is none of ours."""
    number = exam_id.rpartition("-")[2]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else None


def graded(plan: QuestPlan, examined: Examined) -> Examination:
    """The examination with a verdict on each answer; what was not answered is unknown, not wrong (failure E7)."""
    problems = questions_of(plan)
    answers = examined.answers
    if len(answers) != len(problems):
        text = "%s has %d answers to %d questions: none of them can be told apart"
        logger.warning(text, plan.exam_id, len(answers), len(problems), extra={"event": "examination_odd"})
        answers = [None] * len(problems)
    source = source_of(plan.skill)
    purposes = [portion.purpose for portion in plan.examination for _ in range(portion.count)]
    questions = [_graded(source, *asked) for asked in zip(problems, purposes, answers, strict=True)]
    return Examination(
        plan.number, plan.exam_id, examined.quest_id, plan.skill, examined.step, examined.seconds, tuple(questions)
    )


def _graded(source: ProblemSource, problem: Problem, purpose: str, answer: str | None) -> Graded:
    if answer is None:
        return Graded(problem.level, purpose, problem.prompt, problem.answer, None, "unknown")
    right = source.grade(problem, plain_answer(answer))
    return Graded(problem.level, purpose, problem.prompt, problem.answer, answer, "right" if right else "wrong")

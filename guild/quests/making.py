"""The rows and questions of a planned quest: made from the plan alone, as often as anybody needs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any

from core.errors import Conflict
from core.lineage import GENERATOR_REGISTRY
from guild.curriculum.planning import QuestPlan, seed_of
from guild.dojo.problem import HeldOutExhausted, Problem, ProblemSource
from guild.dojo.sources import source_of

GENERATOR_ID = "curriculum"
GENERATOR_VERSION = GENERATOR_REGISTRY[GENERATOR_ID]["version"]

ANSWER_ROOM = 32
"""Tokens of an answer beside the text itself: what a profile puts around it, and its end."""


def holds_out(source: ProblemSource, level: int) -> bool:
    """Whether the level has problems that are never taught."""
    try:
        source.problems(level, 1, seed=0, held_out=True)
    except HeldOutExhausted:
        return False
    return True


def lines_of(plan: QuestPlan) -> Iterator[bytes]:
    """The quest's file, line by line, levels mixed. Raises `Conflict` for a plan that this version cannot carry out."""
    source = _source_for(plan)
    problems = [
        problem
        for portion in plan.rows
        for problem in source.problems(portion.level, portion.count, seed=portion.seed, held_out=portion.held_out)
    ]
    Random(seed_of(plan.rows[0].seed, plan.number, "order")).shuffle(problems)
    for problem in problems:
        yield json.dumps({"messages": problem.messages()}, ensure_ascii=False).encode() + b"\n"


def questions_of(plan: QuestPlan) -> list[Problem]:
    """What the hero is asked after this quest, in the order of the sheet; `[]` when nobody examines."""
    if not plan.examination:
        return []
    source = _source_for(plan)
    return [
        problem
        for portion in plan.examination
        for problem in source.problems(portion.level, portion.count, seed=portion.seed, held_out=portion.held_out)
    ]


def tokens_for(plan: QuestPlan, questions: list[Problem]) -> int:
    """Tokens of one answer at most: as the settings say, else twice the bytes of the longest right one."""
    if plan.max_new_tokens is not None:
        return plan.max_new_tokens
    return 2 * max(len(problem.answer.encode()) for problem in questions) + ANSWER_ROOM


def lineage_of(plan: QuestPlan, history: str, *, made_at: str) -> dict[str, Any]:
    """The sidecar beside the file (spec 1.3); `history` names the model's history that the number belongs to."""
    return {
        "generator_id": GENERATOR_ID,
        "generator_version": GENERATOR_VERSION,
        "generated_at": made_at,
        "example_count": plan.count,
        "params": {"history": history, **plan.to_json()},
        "source": "generated",
    }


def number_in(lineage: object, history: str) -> int | None:
    """The number of the quest with this sidecar; None for one that the guild has not made for this history."""
    params = lineage.get("params") if isinstance(lineage, dict) else None
    if not isinstance(params, dict) or params.get("history") != history:
        return None
    number = params.get("number")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _source_for(plan: QuestPlan) -> ProblemSource:
    source = source_of(plan.skill)
    if source.version != plan.version:
        raise Conflict(
            f"Quest {plan.number} was planned with version {plan.version} of {plan.skill}; version {source.version}, "
            "which is here, makes other problems."
        )
    return source

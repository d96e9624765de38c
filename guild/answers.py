"""What the API of a skill sends, as models: they describe the answers in the OpenAPI document (spec 1.17)."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from core.http.answer_models import Answer


class SkillInfo(Answer):
    """A skill, as its file and its generator tell of it."""

    id: str
    name: str
    version: str
    """Of the generator: another one may make other problems from the same seed."""
    description: str
    category: str
    max_level: int
    tags: list[str]
    rpg_name: str


class LevelInfo(Answer):
    """One level; each skill tells more of its own."""

    model_config = ConfigDict(extra="allow")

    level: int
    space: int | None
    """How many different problems there are; null for more than 10⁹."""
    held_out: float
    """Share of them that is never generated for training."""


class LevelList(Answer):
    """All levels, lowest first."""

    skill: str
    levels: list[LevelInfo]


class Message(Answer):
    """One turn of a chat."""

    role: str
    content: str


class GeneratedSample(Answer):
    """One problem as a chat."""

    messages: list[Message]
    metadata: dict[str, Any]
    """What the grader needs."""
    golden_answers: list[str]


class Generated(Answer):
    """Samples to train on; none is of the held-out share."""

    skill: str
    level: int
    count: int
    seed: int
    """The same seed, level and count give the same samples."""
    samples: list[GeneratedSample]
    level_info: LevelInfo


class EvalProblem(Answer):
    """One static evaluation problem."""

    prompt: str
    answer: str
    metadata: dict[str, Any]


class EvalSet(Answer):
    """The static evaluation problems: the same at every call, all of the held-out share."""

    skill: str
    version: str
    problems: dict[str, list[EvalProblem]]
    """By level; a level that holds nothing out is missing."""

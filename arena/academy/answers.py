"""What the routes of the curriculum send, as models: they describe the answers in the OpenAPI document (spec 1.17)."""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer


class Counted(Answer):
    """What was asked in one part of an examination."""

    level: int
    problems: int
    answered: int
    """The others are unknown, not wrong."""
    correct: int


class AccuracyPoint(Answer):
    """An examination at the level that was being learned."""

    step: int
    """Global step of the weights."""
    accuracy: float | None
    training_level: int
    """The level that was examined."""
    timestamp: str
    exam_id: str
    metadata: Counted


class Progression(Answer):
    """How a mastered level came about."""

    earned_level: int
    old_mastered: int
    new_mastered: int
    cause: Literal["examined", "set", "reset"]
    quest_number: int
    timestamp: str


class SkillState(Answer):
    """Where the hero stands in one skill; unknown is null."""

    name: str | None
    current_level: int
    """The seed's name for `mastered_level`."""
    mastered_level: int
    """0 for none."""
    training_level: int
    max_level: int | None
    threshold: float | None
    """Part of right answers that the level being learned asks for."""
    accuracy: float | None
    """Mean of the last three examinations at it."""
    eval_count: int
    """Examinations at it so far."""
    evals_needed: int
    """As many at least."""
    total_evals: int
    zone: Literal["recovery", "productive", "stretch", "overload"] | None
    """How hard the level is at present (`guild.curriculum.strain`)."""
    xp: int
    kept: dict[str, float]
    """Accuracy at each mastered level when it was examined last."""
    accuracy_history: list[AccuracyPoint]
    """The newest hundred, oldest first."""
    progression_history: list[Progression]


class HeroStats(Answer):
    """The numbers of the game (DESIGN section 6)."""

    level: int | None
    """Thousands of steps."""
    xp: int | None
    """Steps."""
    gold: int
    """A hundred for each completed quest."""
    accuracy: float | None


class Earned(Answer):
    """Something worth a line of its own."""

    name: str
    title: str
    why: str
    number: int
    """Of the quest after which it was earned."""
    at: str


class Curriculum(Answer):
    """What is learned, and how far the hero is: also `status/curriculum_state.json`."""

    enabled: bool
    """Whether quests are made by themselves."""
    active_skill: str
    """That of the next quest."""
    skills: dict[str, SkillState]
    quests_generated: int
    hero: HeroStats
    achievements: list[Earned]
    started_at: str | None
    """When the model's history began."""
    last_updated: str


class ExaminationPart(Answer):
    """One level in one examination."""

    exam_id: str
    number: int
    """Of the quest after which it was."""
    quest_id: str
    skill: str
    level: int
    purpose: Literal["level", "again", "static"]
    """Fresh problems of the level being learned, of a mastered one, or the ones that are always the same."""
    step: int
    total: int
    answered: int
    correct: int
    seconds: float
    """Of the whole examination."""
    at: str


class Examinations(Answer):
    """The newest first."""

    examinations: list[ExaminationPart]


class GradedAnswer(Answer):
    """A question and what became of it."""

    number: int
    place: int
    level: int
    purpose: Literal["level", "again", "static"]
    prompt: str
    expected: str
    answer: str | None
    """As the model wrote it; null where it could not be asked."""
    verdict: Literal["right", "wrong", "unknown"]


class ExaminationAnswers(Answer):
    """One examination, question by question; the answers of old ones are not kept."""

    exam_id: str
    parts: list[ExaminationPart]
    answers: list[GradedAnswer]


class LevelSet(Answer):
    """A level that somebody has decided on."""

    skill: str
    mastered_level: int
    training_level: int
    was_mastered: int
    message: str

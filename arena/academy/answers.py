"""What the routes of the curriculum send, as models: they describe the answers in the OpenAPI document (spec 1.17)."""

from __future__ import annotations

from typing import Any, Literal

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
    total: int
    """Parts that are on record in all."""


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


class SkillCard(Answer):
    """A skill, and where the hero stands in it; unknown is null."""

    id: str
    name: str
    rpg_name: str
    rpg_description: str
    icon: str
    color: str
    short_name: str
    max_level: int
    mastered_level: int
    """0 for none."""
    training_level: int
    accuracy: float | None
    """Mean of the last three examinations at the level being learned."""
    eval_count: int
    """Examinations at it so far."""
    category: str
    description: str
    zone: Literal["recovery", "productive", "stretch", "overload"] | None
    threshold: float | None
    evals_needed: int
    xp: int
    weight: float | None
    """How often it is learned beside others; null for a skill that `curriculum.skills` does not name."""


class BrokenSkill(Answer):
    """A skill file that cannot be used."""

    file: str
    problem: str


class SkillCards(Answer):
    """All skills (spec 1.17)."""

    skills: list[SkillCard]
    active_skill: str
    """That of the next quest of the guild."""
    total_mastered: int
    """Mastered levels of all skills together."""
    broken: list[BrokenSkill]


class Rung(Answer):
    """One level of a skill."""

    level: int
    state: Literal["mastered", "training", "locked"]
    threshold: float
    """Part of right answers that the level asks for."""
    accuracy: float | None
    """Of a mastered level, when it was examined last; of the one being learned, the mean of the last three."""
    forgotten: bool
    """Whether a mastered level was below its threshold when it was examined last."""
    mastered_at: str | None
    cause: Literal["examined", "set", "reset"] | None
    """How it came to be mastered."""
    about: dict[str, Any] | None
    """What is new at this level, as the skill's file says it."""


class Evaluation(Answer):
    """One level in one examination (spec 1.17)."""

    key: str
    checkpoint_step: int
    skill: str
    level: int
    accuracy: float | None
    correct: int
    answered: int
    total: int
    timestamp: str
    validation_type: Literal["level", "again", "static"]
    exam_id: str


class Evaluations(Answer):
    """The newest first."""

    skill: str
    level: int | None
    """null for all levels."""
    total: int
    """Parts of examinations that are on record in all."""
    evaluations: list[Evaluation]


class SkillData(Answer):
    """One skill: its file, where the hero stands, and every level."""

    id: str
    config: dict[str, Any]
    """The skill's file."""
    state: SkillState
    levels: list[Rung]
    again: list[Evaluation]
    """Re-examinations of mastered levels, oldest first: what they show is what was kept, or forgotten."""
    is_active: bool
    """Whether the next quest of the guild is of this skill."""


class StaticProblem(Answer):
    """A problem that is never taught, with its right answer."""

    prompt: str
    answer: str
    metadata: dict[str, Any]


class StaticProblems(Answer):
    """The problems that every examination of a level asks, always the same."""

    skill: str
    level: int
    version: str
    held_out: Literal[True]
    """None of them is ever taught."""
    problems: list[StaticProblem]
    """Empty for a level that is too small to hold anything out."""


class ComingQuest(Answer):
    """A quest of the guild that is not over."""

    number: int
    name: str
    skill: str
    training_level: int
    rows: int
    examination: int
    """Questions that follow it."""
    where: Literal["planned", "inbox", "waiting", "learning", "examining", "settling"]
    at: str


class NextQuest(Answer):
    """The quest after all that are planned, from the curriculum as it stands."""

    number: int
    skill: str
    training_level: int


class Outlook(Answer):
    """What comes next in the school."""

    state: Literal["not_begun", "off", "halted", "making", "resting", "examining", "enough"]
    """What it waits for: `examining`, for the answers after a quest; `enough`, for the board to run low."""
    reason: str
    on_their_way: list[ComingQuest]
    next: NextQuest | None

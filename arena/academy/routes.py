"""The curriculum over HTTP: `/api/curriculum` and `/api/examinations` of port 8081, and its one wish on 8767."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from arena.academy.school import School
from core.errors import NotFound
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_NUMBER, FROM_TEXT, Inputs

TAG = "curriculum"

SkillName = Annotated[str, Field(min_length=1, max_length=64, description="Id of a skill, such as `bin`.")]


class LevelWish(Inputs):
    """Which level of a skill counts as mastered from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"skill": "bin", "mastered_level": 3}]})

    skill: SkillName
    mastered_level: Annotated[int, Field(ge=0, le=1000, description="0 begins the skill anew."), FROM_NUMBER]


class Wanted(Inputs):
    """Which examinations to list."""

    skill: SkillName | None = None
    limit: Annotated[int, Field(ge=1, le=1000), FROM_TEXT] = Field(
        default=50, description="Parts of examinations at most."
    )


class OneExamination(Inputs):
    """An examination."""

    exam_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="`{skill}-{number of the quest}`.")


def curriculum_routes(school: School) -> list[Endpoint]:
    """What there is to see."""

    async def examinations(query: Wanted) -> dict[str, Any]:
        return {"examinations": await school.examinations(limit=query.limit, skill=query.skill)}

    async def examination(path: OneExamination) -> dict[str, Any]:
        return await school.answers(path.exam_id)

    return [
        Endpoint("GET", "/api/curriculum", school.view,
                 "What is learned, level by level, with examinations and achievements.",
                 tag=TAG, answer="arena.academy.answers:Curriculum"),
        Endpoint("GET", "/api/examinations", examinations,
                 "The newest examinations, level by level.",
                 tag=TAG, answer="arena.academy.answers:Examinations"),
        Endpoint("GET", "/api/examinations/{exam_id}", examination,
                 "One examination: questions, right answers, and what the hero answered.",
                 tag=TAG, answer="arena.academy.answers:ExaminationAnswers", raises=[NotFound]),
    ]  # fmt: skip


def curriculum_wishes(school: School) -> list[Endpoint]:
    """What can be wished for."""

    async def set_level(body: LevelWish) -> dict[str, Any]:
        return await school.set_level(body.skill, body.mastered_level)

    return [
        Endpoint("POST", "/api/training/curriculum", set_level,
                 "Say which level of a skill is mastered, up or down; quests made from now on follow.",
                 tag=TAG, answer="arena.academy.answers:LevelSet", raises=[NotFound]),
    ]  # fmt: skip

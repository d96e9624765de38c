"""The curriculum over HTTP: `/api/curriculum` and `/api/examinations` of port 8081, and its one wish on 8767."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from arena.academy.guild_desk import GuildDesk
from arena.academy.school import School
from core.errors import InvalidInput, NotFound
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_NUMBER, FROM_TEXT, Inputs

TAG = "curriculum"

SkillName = Annotated[str, Field(min_length=1, max_length=64, description="Id of a skill, such as `bin`.")]


PageSize = Annotated[int, Field(ge=1, le=1000, description="Parts of examinations at most."), FROM_TEXT]
PageStart = Annotated[int, Field(ge=0, le=1_000_000, description="So many of the newest are left out."), FROM_TEXT]
LevelNumber = Annotated[int, Field(ge=1, le=1000), FROM_TEXT]


class LevelWish(Inputs):
    """Which level of a skill counts as mastered from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"skill": "bin", "mastered_level": 3}]})

    skill: SkillName
    mastered_level: Annotated[int, Field(ge=0, le=1000, description="0 begins the skill anew."), FROM_NUMBER]


class Wanted(Inputs):
    """Which examinations to list."""

    skill: SkillName | None = None
    limit: PageSize = 50
    offset: PageStart = 0


class Page(Inputs):
    """Which part of a long list is wanted."""

    limit: PageSize = 50
    offset: PageStart = 0


class OneSkill(Inputs):
    """A skill."""

    skill: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Its id, or another name of it.")


class OneLevel(OneSkill):
    """A level of a skill."""

    level: LevelNumber


class OneExamination(Inputs):
    """An examination."""

    exam_id: str = Field(pattern=r"^[A-Za-z0-9_-]{1,100}$", description="`{skill}-{number of the quest}`.")


def curriculum_routes(school: School) -> list[Endpoint]:
    """What there is to see."""

    async def examinations(query: Wanted) -> dict[str, Any]:
        parts, total = await school.examinations(limit=query.limit, offset=query.offset, skill=query.skill)
        return {"examinations": parts, "total": total}

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


def guild_routes(desk: GuildDesk) -> list[Endpoint]:
    """Skills, one skill, its examinations and its static problems, and what comes next."""

    async def skill(path: OneSkill) -> dict[str, Any]:
        return await desk.skill(path.skill)

    async def evals(path: OneSkill, query: Page) -> dict[str, Any]:
        return await desk.evals(path.skill, None, limit=query.limit, offset=query.offset)

    async def level_evals(path: OneLevel, query: Page) -> dict[str, Any]:
        return await desk.evals(path.skill, path.level, limit=query.limit, offset=query.offset)

    async def static_problems(path: OneLevel) -> dict[str, Any]:
        return await desk.static_problems(path.skill, path.level)

    models, wrong = "arena.academy.answers", [NotFound, InvalidInput]
    return [
        Endpoint("GET", "/skills", desk.cards, "All skills, and where the hero stands in each.",
                 tag=TAG, answer=f"{models}:SkillCards"),
        Endpoint("GET", "/skill-data/{skill}", skill, "One skill: its file, every level, and what was kept of them.",
                 tag=TAG, answer=f"{models}:SkillData", raises=wrong),
        Endpoint("GET", "/api/evals/{skill}", evals, "Examinations in one skill, level by level, the newest first.",
                 tag=TAG, answer=f"{models}:Evaluations", raises=wrong),
        Endpoint("GET", "/api/evals/{skill}/{level}", level_evals, "Examinations of one level, the newest first.",
                 tag=TAG, answer=f"{models}:Evaluations", raises=wrong),
        Endpoint("GET", "/api/validation/{skill}/{level}", static_problems,
                 "The held-out problems that every examination of a level asks, with the right answers.",
                 tag=TAG, answer=f"{models}:StaticProblems", raises=wrong),
        Endpoint("GET", "/api/curriculum/outlook", desk.outlook,
                 "Which quests of the guild are on their way, what comes next, and what the school waits for.",
                 tag=TAG, answer=f"{models}:Outlook"),
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

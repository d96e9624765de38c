"""The API of one built-in skill over HTTP: `/info`, `/levels`, `/generate`, `/eval` (spec 1.17)."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from core.errors import NotFound
from core.http.endpoints import Endpoint
from core.http.inputs import FROM_NUMBER, FROM_TEXT, Inputs
from guild.dojo.static import static_set
from guild.skills.loader import BuiltinTrainer
from guild.skills.types import HIGHEST_LEVEL

MOST_AT_ONCE = 10_000
"""Samples of one answer, which is made in one go."""
LARGEST_SEED = (1 << 53) - 1
"""The largest whole number that every reader of JSON keeps."""


class Wish(Inputs):
    """What samples are wanted."""

    level: Annotated[int, Field(ge=1, le=HIGHEST_LEVEL), FROM_NUMBER]
    count: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), FROM_NUMBER] = 100
    seed: Annotated[int, Field(ge=0, le=LARGEST_SEED), FROM_NUMBER] | None = Field(None, description="Left out: any.")


class EvalAsked(Inputs):
    level: Annotated[int, Field(ge=1, le=HIGHEST_LEVEL), FROM_TEXT] | None = Field(None, description="Only this level.")


def skill_routes(trainer: BuiltinTrainer) -> list[Endpoint]:
    """The endpoints of one skill; problems are made in threads, levels that are not there are not found."""
    skill, source = trainer.skill, trainer.source

    def check(level: int) -> None:
        if level > skill.max_level:
            raise NotFound(f"Skill {skill.id} has no level {level}.", hint=f"Its levels are 1 to {skill.max_level}.")

    async def info() -> dict[str, Any]:
        return trainer.info()

    async def levels() -> dict[str, Any]:
        return {"skill": skill.id, "levels": await asyncio.to_thread(trainer.levels)}

    async def generate(body: Wish) -> dict[str, Any]:
        check(body.level)
        return await asyncio.to_thread(generated, trainer, body)

    async def evaluation(query: EvalAsked) -> dict[str, Any]:
        if query.level is not None:
            check(query.level)
        wanted = range(1, skill.max_level + 1) if query.level is None else range(query.level, query.level + 1)
        problems = await asyncio.to_thread(static_set, source, wanted, skill.eval.samples_per_level)
        return {"skill": skill.id, "version": source.version, "problems": problems}

    tag, models = "skill", "guild.answers"
    return [
        Endpoint("GET", "/info", info, "What the skill is.", tag=tag, answer=f"{models}:SkillInfo"),
        Endpoint("GET", "/levels", levels, "What each level is made of, and how much of it is held out.",
                 tag=tag, answer=f"{models}:LevelList"),
        Endpoint("POST", "/generate", generate, "Samples of a level to train on, with their golden answers.",
                 tag=tag, answer=f"{models}:Generated", raises=[NotFound]),
        Endpoint("GET", "/eval", evaluation, "The static evaluation problems, with their golden answers.",
                 tag=tag, answer=f"{models}:EvalSet", raises=[NotFound]),
    ]  # fmt: skip


def generated(trainer: BuiltinTrainer, wish: Wish) -> dict[str, Any]:
    """One batch as `/generate` answers it."""
    batch = trainer.sample(wish.level, wish.count, wish.seed)
    return {
        "skill": batch.skill_id,
        "level": batch.level,
        "count": len(batch.samples),
        "seed": batch.level_info["seed"],
        "samples": [asdict(sample) for sample in batch.samples],
        "level_info": batch.level_info,
    }

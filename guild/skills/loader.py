"""Skills and their trainers by id: the functions that programs use (seed 003).

from guild.skills import get_skill, get_trainer, list_skills

get_skill("sy").icon
get_trainer("sy").sample(level=5, count=100)
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from core.paths import RealmPaths, resolve_base_dir
from guild.dojo.problem import Problem, ProblemSource
from guild.dojo.sources import source_of
from guild.skills.contract import SkillClient
from guild.skills.registry import SkillRegistry, load_skill_config
from guild.skills.types import Batch, Sample, SkillConfig, SkillTrainer

__all__ = ["BuiltinTrainer", "get_skill", "get_trainer", "list_skills", "load_skill_config"]


def list_skills(base_dir: str | Path | None = None) -> list[str]:
    """Ids of all skills, sorted: `['bin', 'sy']` and the user's own. A broken file is logged (`realm skill check`)."""
    return _registry(base_dir).ids()


def get_skill(skill_id: str, base_dir: str | Path | None = None) -> SkillConfig:
    """What the file of a skill says; aliases and any case are understood (failure C12)."""
    return _registry(base_dir).get(skill_id)


def get_trainer(skill_id: str, base_dir: str | Path | None = None) -> SkillTrainer:
    """What gives samples of a skill: in this process if it is built in, else its API."""
    return trainer_of(get_skill(skill_id, base_dir))


def trainer_of(skill: SkillConfig) -> SkillTrainer:
    """`get_trainer` of a skill that has been read already."""
    return BuiltinTrainer(skill) if skill.source == "builtin" else SkillClient(skill)


class BuiltinTrainer:
    """Gives samples of a skill whose generator is part of the realm; needs no server."""

    def __init__(self, skill: SkillConfig) -> None:
        self.skill = skill
        self.source: ProblemSource = source_of(skill.id)

    def sample(self, level: int, count: int = 100, seed: int | None = None) -> Batch:
        """`count` samples of the taught share, the same for the same seed; without one, any."""
        self.skill.check_wish(level, count)
        seed = secrets.randbits(32) if seed is None else seed
        problems = self.source.problems(level, count, seed=seed, held_out=False)
        info = {**self.source.level_info(level), "seed": seed}
        return Batch(self.skill.id, level, [_sample(problem) for problem in problems], info)

    def health(self) -> bool:
        return True

    def info(self) -> dict[str, Any]:
        return skill_info(self.skill, self.source)

    def levels(self) -> list[dict[str, Any]]:
        return [self.source.level_info(level) for level in range(1, self.skill.max_level + 1)]


def skill_info(skill: SkillConfig, source: ProblemSource) -> dict[str, Any]:
    """What `/info` of a skill's API tells of it."""
    return {
        "id": skill.id,
        "name": skill.name,
        "version": source.version,
        "description": skill.description,
        "category": skill.category,
        "max_level": skill.max_level,
        "tags": list(skill.tags),
        "rpg_name": skill.rpg_name,
    }


def _sample(problem: Problem) -> Sample:
    return Sample(problem.messages(), dict(problem.metadata), [problem.answer])


def _registry(base_dir: str | Path | None) -> SkillRegistry:
    return SkillRegistry(RealmPaths(resolve_base_dir(base_dir)))

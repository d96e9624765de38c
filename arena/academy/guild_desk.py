"""What the pages of guild and skill ask: cards, ladders, examinations and the problems that are never taught (1.17)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from arena.academy.ladder import ladder
from arena.academy.outlook import outlook
from arena.academy.school import School
from arena.academy.telling import ledger_row, skill_state
from arena.deeds.wall import SkillShown
from arena.quest_board import QuestBoard
from core.errors import NotFound
from core.paths import RealmPaths
from guild.curriculum.planning import choose_skill
from guild.curriculum.standing import SkillStanding
from guild.dojo.problem import HeldOutExhausted
from guild.dojo.sources import canonical_skill_id, source_of
from guild.dojo.static import static_set
from guild.skills.shelf import SkillShelf
from guild.skills.types import SkillConfig

SHOWN_AGAIN = 500
"""Re-examinations that a skill's page draws."""
CARD = ("mastered_level", "training_level", "accuracy", "eval_count")


class GuildDesk:
    """Answers the web; whatever it asks of the disk, it asks in threads."""

    def __init__(self, paths: RealmPaths, school: School, board: QuestBoard) -> None:
        self._school = school
        self._board = board
        self._shelf = SkillShelf(paths)

    async def cards(self) -> dict[str, Any]:
        """The body of `GET /skills`."""
        return await asyncio.to_thread(self._cards)

    async def skill(self, name: str) -> dict[str, Any]:
        """The body of `GET /skill-data/{id}`; raises `NotFound`, and `InvalidInput` for a broken file."""
        return await asyncio.to_thread(self._skill, name)

    async def outlook(self) -> dict[str, Any]:
        """What comes next, and what is waited for."""
        school = self._school
        return await asyncio.to_thread(
            outlook, school.register, self._board, school.settings, halted=school.halted,
            cooldown_left=school.cooldown_left,
        )  # fmt: skip

    async def evals(self, name: str, level: int | None, *, limit: int, offset: int) -> dict[str, Any]:
        """Parts of examinations in one skill, the newest first; raises `NotFound`."""
        skill = await asyncio.to_thread(self._shelf.get, name)
        parts, total = await self._school.examinations(limit=limit, offset=offset, skill=skill.id, level=level)
        rows = [ledger_row(part) for part in parts]
        return {"skill": skill.id, "level": level, "total": total, "evaluations": rows}

    async def static_problems(self, name: str, level: int) -> dict[str, Any]:
        """The problems of a level that every examination asks; raises `NotFound`."""
        return await asyncio.to_thread(self._static_problems, name, level)

    def shown(self) -> dict[str, SkillShown]:
        """The skills that are learned or were examined, by id; reads the disk."""
        standings, weights = self._standings(), self._weights()
        return {
            skill.id: SkillShown(skill.short_name, skill.max_level, self._examined(skill.id))
            for skill in self._shelf.survey()[0].values()
            if skill.id in weights or skill.id in standings
        }

    def _examined(self, skill: str) -> frozenset[int]:
        register = self._school.register
        rises = register.records.levels(skill, limit=1000) if register is not None else []
        return frozenset(rise["new_mastered"] for rise in rises if rise["cause"] == "examined")

    # --- in a thread --------------------------------------------------------------------------------------------

    def _cards(self) -> dict[str, Any]:
        skills, broken = self._shelf.survey()
        standings, weights = self._standings(), self._weights()
        cards = [_card(skill, self._state(skill, standings), weights.get(skill.id)) for skill in skills.values()]
        return {
            "skills": cards,
            "active_skill": self._active(weights),
            "total_mastered": sum(card["mastered_level"] for card in cards),
            "broken": [{"file": file.name, "problem": problem} for file, problem in broken.items()],
        }

    def _skill(self, name: str) -> dict[str, Any]:
        skill = self._shelf.get(name)
        register, settings = self._school.register, self._school.settings
        standing = self._standings().get(skill.id)
        again = register.records.examinations(limit=SHOWN_AGAIN, skill=skill.id, purpose="again") if register else []
        config = skill.model_dump(mode="json")
        about = {int(level): told for level, told in config["level_progression"].items()}
        rises = register.records.levels(skill.id) if register is not None else []
        return {
            "id": skill.id,
            "config": config,
            "state": self._state(skill, {skill.id: standing} if standing is not None else {}),
            "levels": ladder(skill, standing, settings.curriculum.target_accuracy, rises, about),
            "again": [ledger_row(part) for part in reversed(again)],
            "is_active": skill.id == self._active(self._weights()),
        }

    def _static_problems(self, name: str, level: int) -> dict[str, Any]:
        skill = self._shelf.get(name)
        if not 1 <= level <= skill.max_level:
            raise NotFound(f"Skill {skill.id} has no level {level}.", hint=f"Its levels are 1 to {skill.max_level}.")
        if skill.source != "builtin":
            raise NotFound(
                f"The problems of skill {skill.id} come from {skill.api_url}; none of them are kept here.",
                hint=f"{skill.api_url}{skill.eval.endpoint} may have them.",
            )
        source = source_of(skill.id)
        problems: Sequence[Mapping[str, Any]] = []
        with suppress(HeldOutExhausted):  # of a level that is too small to hold anything out
            problems = static_set(source, range(level, level + 1), skill.eval.samples_per_level)[str(level)]
        return {
            "skill": skill.id,
            "level": level,
            "version": source.version,
            "held_out": True,
            "problems": list(problems),
        }

    def _state(self, skill: SkillConfig, standings: Mapping[str, SkillStanding]) -> dict[str, Any]:
        known = standings.get(skill.id, SkillStanding(skill.max_level))
        return skill_state(self._school.register, skill.id, skill, known, self._school.settings)

    def _standings(self) -> Mapping[str, SkillStanding]:
        register = self._school.register
        return register.records.newest_standing().skills if register is not None else {}

    def _weights(self) -> dict[str, float]:
        wanted = self._school.settings.curriculum.skills
        return {canonical_skill_id(name): weight for name, weight in wanted.items()}

    def _active(self, weights: Mapping[str, float]) -> str:
        register = self._school.register
        return choose_skill(weights, (register.records.last_number() if register is not None else 0) + 1)


def _card(skill: SkillConfig, state: Mapping[str, Any], weight: float | None) -> dict[str, Any]:
    return {
        "id": skill.id,
        "name": skill.name,
        "rpg_name": skill.rpg_name,
        "rpg_description": skill.rpg_description,
        "icon": skill.icon,
        "color": skill.color,
        "short_name": skill.short_name,
        "max_level": skill.max_level,
        **{key: state[key] for key in CARD},
        "category": skill.category,
        "description": skill.description,
        "zone": state["zone"],
        "threshold": state["threshold"],
        "evals_needed": state["evals_needed"],
        "xp": state["xp"],
        "weight": weight,
    }

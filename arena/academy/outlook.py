"""What comes next in the school, and what it waits for: quests on their way, and the one after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arena.academy.register import Register
from arena.academy.whereabouts import find
from arena.quest_board import QuestBoard
from core.settings import Settings
from guild.curriculum.planning import choose_skill
from guild.dojo.sources import canonical_skill_id
from guild.records import CLOSED, GeneratedQuest

WHERE = {"inbox": "inbox", "waiting": "waiting", "trainer": "learning", "over": "examining"}
"""What people are told of where a quest is; of all others, that it is being settled."""


def outlook(
    register: Register | None, board: QuestBoard, settings: Settings, *, halted: str | None, cooldown_left: float
) -> dict[str, Any]:
    """The body of `GET /api/curriculum/outlook`."""
    if register is None:
        reason = "The curriculum begins with the first start of the trainer."
        return {"state": "not_begun", "reason": reason, "on_their_way": [], "next": None}
    unfinished = [quest for quest in register.records.unfinished() if quest.status not in CLOSED]
    coming = [_told(quest, _where(board, quest, register.history)) for quest in unfinished]
    state, reason = _state(register, board, settings, coming, halted=halted, cooldown_left=cooldown_left)
    return {"state": state, "reason": reason, "on_their_way": coming, "next": _next(register, settings)}


def _state(
    register: Register,
    board: QuestBoard,
    settings: Settings,
    coming: Sequence[dict[str, Any]],
    *,
    halted: str | None,
    cooldown_left: float,
) -> tuple[str, str]:
    """In the order in which the school itself asks."""
    wanted = settings.auto_generate
    if not wanted.enabled:
        return "off", "The guild makes no quests of its own: auto_generate.enabled is off."
    if halted is not None:
        return "halted", halted
    if any(quest["where"] == "planned" for quest in coming):
        return "making", "A quest is being written."
    if cooldown_left > 0:
        return "resting", f"The next quest is made in {cooldown_left:.0f} s (auto_generate.cooldown_sec)."
    after = register.records.last_number() - wanted.min_queue_depth
    if register.records.standing_after(after) is None:
        return "examining", f"The examination after quest {after} has to come first."
    in_inbox = sum(quest["where"] == "inbox" for quest in coming)
    waiting = int(board.counts()["total_queued"]) + in_inbox
    if waiting > wanted.threshold:
        return "enough", f"Enough quests wait: {waiting}; the guild writes more from {wanted.threshold} on down."
    return "making", "A quest is about to be written."


def _where(board: QuestBoard, quest: GeneratedQuest, history: str) -> str:
    place = find(board, quest, history).where
    if quest.status == "planned" and place == "gone":
        return "planned"
    return WHERE.get(place, "settling")


def _told(quest: GeneratedQuest, where: str) -> dict[str, Any]:
    return {
        "number": quest.number,
        "name": quest.name,
        "skill": quest.plan.skill,
        "training_level": quest.plan.training_level,
        "rows": quest.plan.count,
        "examination": sum(portion.count for portion in quest.plan.examination),
        "where": where,
        "at": quest.at,
    }


def _next(register: Register, settings: Settings) -> dict[str, Any]:
    """The quest after all that are planned; its level is that of the curriculum as it stands."""
    number = register.records.last_number() + 1
    weights = {canonical_skill_id(name): weight for name, weight in settings.curriculum.skills.items()}
    skill = choose_skill(weights, number)
    known = register.records.newest_standing().skills.get(skill)
    return {"number": number, "skill": skill, "training_level": known.training_level if known is not None else 1}

"""What people are told of the curriculum: two files in `status/`, and `/api/curriculum`.

All of it is derived from the guild's records, and made again whenever these change (spec 1.17).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from arena.academy.register import Register, threshold_of
from arena.telling.live_report import LiveReport
from arena.telling.snapshot import GOLD_PER_QUEST, STEPS_PER_LEVEL
from core.errors import RealmError
from core.files import Files
from core.paths import RealmPaths
from core.settings import Settings
from guild.curriculum.planning import choose_skill
from guild.curriculum.standing import SkillStanding, mean_of_last
from guild.curriculum.strain import zone_of
from guild.dojo.sources import canonical_skill_id
from guild.records import NO_QUEST
from guild.skills.types import SkillConfig

HISTORY = 100
"""Examinations of each skill that are listed (spec 1.17)."""
LEDGER = 300
"""Parts of examinations in the evaluation ledger."""


def curriculum_view(register: Register | None, settings: Settings, *, now: datetime) -> dict[str, Any]:
    """The body of `GET /api/curriculum` but for `hero`; what is not known is null."""
    wanted = [canonical_skill_id(name) for name in settings.curriculum.skills]
    standing = register.records.newest_standing() if register is not None else None
    known = standing.skills if standing is not None else {}
    last = register.records.last_number() if register is not None else 0
    names = sorted({*wanted, *known})
    weights = {canonical_skill_id(name): weight for name, weight in settings.curriculum.skills.items()}
    return {
        "enabled": settings.auto_generate.enabled,
        "active_skill": choose_skill(weights, last + 1),
        "skills": {
            name: skill_state(register, name, _config(register, name), known.get(name), settings) for name in names
        },
        "quests_generated": last,
        "achievements": _achievements(register) if register is not None else [],
        "started_at": register.history if register is not None else None,
        "last_updated": now.astimezone(UTC).isoformat(),
    }


def curriculum_brief(register: Register | None, settings: Settings) -> dict[str, Any]:
    """The part of `GET /api/game` (spec 4.1)."""
    weights = {canonical_skill_id(name): weight for name, weight in settings.curriculum.skills.items()}
    standing = register.records.newest_standing() if register is not None else None
    known = standing.skills if standing is not None else {}
    last = register.records.last_number() if register is not None else 0
    return {
        "active_skill": choose_skill(weights, last + 1) if weights else None,
        "skills": {name: _skill_in_short(known.get(name)) for name in sorted({*weights, *known})},
    }


def _skill_in_short(known: SkillStanding | None) -> dict[str, Any]:
    passes = known.passes if known is not None else ()
    return {
        "current_level": known.mastered_level if known is not None else 0,
        "training_level": known.training_level if known is not None else 1,
        "recent_accuracy": mean_of_last(passes, min(len(passes), 3)) if passes else None,
        "eval_count": len(passes),
    }


def hero_stats(report: LiveReport) -> dict[str, Any]:
    """The numbers of the game (DESIGN section 6)."""
    return {
        "level": report.step // STEPS_PER_LEVEL if report.step is not None else None,
        "xp": report.step,
        "gold": report.quests_completed * GOLD_PER_QUEST,
        "accuracy": report.accuracy,
    }


def accuracy_now(register: Register) -> float | None:
    """Accuracy of the newest examination at a training level; None before there is one (failure E17)."""
    parts = register.records.examinations(limit=1, purpose="level")
    return accuracy_of(parts[0]) if parts else None


def write_views(paths: RealmPaths, register: Register, view: Mapping[str, Any], *, files: Files) -> None:
    """Both status files. Raises `OSError`."""
    files.write_json(paths.curriculum_state, dict(view), durable=False)
    parts = register.records.examinations(limit=LEDGER)
    body = {"evaluations": [ledger_row(part) for part in parts], "last_updated": view["last_updated"]}
    files.write_json(paths.evaluation_ledger, body, durable=False)


def _achievements(register: Register) -> list[dict[str, Any]]:
    """Those that examinations were for."""
    return [row for row in register.records.achievements() if row["number"] != NO_QUEST]


def _config(register: Register | None, name: str) -> SkillConfig | None:
    try:
        return register.skill(name) if register is not None else None
    except RealmError:
        return None


def skill_state(
    register: Register | None,
    name: str,
    config: SkillConfig | None,
    known: SkillStanding | None,
    settings: Settings,
) -> dict[str, Any]:
    """One skill; of one whose file is broken, what is known without it."""
    standing = known or SkillStanding(max_level=1)
    if config is not None:
        standing = replace(standing, max_level=config.max_level)
    limit = threshold_of(config, settings.curriculum.target_accuracy)(standing.training_level) if config else None
    parts = register.records.examinations(limit=HISTORY, skill=name, purpose="level") if register is not None else []
    return {
        "name": config.name if config else None,
        "current_level": standing.mastered_level,
        "mastered_level": standing.mastered_level,
        "training_level": standing.training_level,
        "max_level": standing.max_level if config or known else None,
        "threshold": limit,
        "accuracy": mean_of_last(standing.passes, min(len(standing.passes), 3)) if standing.passes else None,
        "eval_count": len(standing.passes),
        "evals_needed": settings.curriculum.min_evals_for_progression,
        "total_evals": standing.examinations,
        "zone": zone_of(standing.passes, limit) if limit is not None else None,
        "xp": _experience(standing, config),
        "kept": {str(level): accuracy for level, accuracy in sorted(standing.kept.items())},
        "accuracy_history": [_history_row(part) for part in reversed(parts)],
        "progression_history": [_rise(row) for row in register.records.levels(name)] if register is not None else [],
    }


def _experience(standing: SkillStanding, config: SkillConfig | None) -> int:
    """A hundred for each mastered level, times what the skill's file says."""
    return round(standing.mastered_level * 100 * (config.xp_multiplier if config else 1.0))


def accuracy_of(part: Mapping[str, Any]) -> float | None:
    return part["correct"] / part["answered"] if part["answered"] else None


def _history_row(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "step": part["step"],
        "accuracy": accuracy_of(part),
        "training_level": part["level"],
        "timestamp": part["at"],
        "exam_id": part["exam_id"],
        "metadata": {name: part[key] for name, key in _COUNTS.items()},
    }


_COUNTS = {"level": "level", "problems": "total", "answered": "answered", "correct": "correct"}


def _rise(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "earned_level": row["new_mastered"],
        "old_mastered": row["old_mastered"],
        "new_mastered": row["new_mastered"],
        "cause": row["cause"],
        "quest_number": row["number"],
        "timestamp": row["at"],
    }


def ledger_row(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": f"{part['step']}:{part['skill']}:{part['level']}:{part['purpose']}",
        "checkpoint_step": part["step"],
        "skill": part["skill"],
        "level": part["level"],
        "accuracy": accuracy_of(part),
        "correct": part["correct"],
        "answered": part["answered"],
        "total": part["total"],
        "timestamp": part["at"],
        "validation_type": part["purpose"],
        "exam_id": part["exam_id"],
    }

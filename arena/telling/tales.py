"""The saga as a battle log: each event with its category, a sign and the local time (spec 4.1, `/saga`).

The category of an event follows from its kind alone, so that kinds which nobody has listed here are found, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.saga import Event, Saga

CATEGORIES = ("battle", "quests", "guild", "vault", "realm", "trouble")

_TROUBLE = (
    "_blocked", "_failed", "_failing", "_died", "_lost", "_rotten", "_quarantined", "_corrupt", "_cut_off", "_held",
    "_silent", "_invalid", "_rejected", "_refused", "_withdrawn", "_strike", "_unreadable", "_damaged", "_missing",
    "_full", "_short", "_low", "_read_only", "_strange", "_unloadable", "_incomplete", "_not_kept", "_not_carried",
)  # fmt: skip
"""Ends of kinds that tell of something going wrong."""
_TROUBLES = {
    "out_of_memory", "not_finite", "spike", "no_checkpoint_left", "went_back", "quest_lost", "evaluation_not_finite",
    "strays_ignored", "weights_only",
}  # fmt: skip
_BEGINNINGS = {
    "quest": "quests", "quests": "quests", "inbox": "quests", "lanes": "quests", "gate": "quests", "claims": "quests",
    "moves": "quests",
    "level": "guild", "examined": "guild", "examination": "guild", "achievement": "guild", "mistakes": "guild",
    "school": "guild",
    "checkpoint": "vault", "save": "vault", "snapshot": "vault", "ledger": "vault", "pruned": "vault",
    "quarantine": "vault", "asset": "vault", "assets": "vault", "catalog": "vault", "zone": "vault",
    "transfer": "vault", "disk": "vault", "copy": "vault", "branch": "vault", "head": "vault", "adopted": "vault",
    "scrub": "vault", "sealed": "vault",
    "trainer": "battle", "paused": "battle", "resumed": "battle", "stopping": "battle", "stopped": "battle",
    "hero": "battle", "rewound": "battle", "replaying": "battle", "evaluation": "battle", "memory": "battle",
    "nothing": "battle",
}  # fmt: skip
_BATTLE = {"quest_started", "quest_learned", "quest_skipped", "quest_lost"}

ICONS = {"battle": "⚔️", "quests": "📜", "guild": "🎓", "vault": "💎", "realm": "🏰", "trouble": "⚠️"}
KIND_ICONS = {
    "quest_started": "⚔️", "quest_learned": "🏆", "quest_sealed": "🔒", "quest_accepted": "📜", "quest_rejected": "🚫",
    "quest_refused": "🚫", "quest_skipped": "⏭️", "quest_withdrawn": "🏳️", "quest_strike": "💥",
    "quest_generated": "🪶", "checkpoint_saved": "💾", "hero_level_up": "⭐", "level_mastered": "🎖️",
    "achievement": "🏅", "examined": "📝", "trainer_ready": "☀️", "trainer_died": "💀", "spike": "🩸",
    "not_finite": "🩸", "paused": "⏸️", "resumed": "▶️", "realm_up": "🏰", "realm_down": "🌙", "disk_full": "🪣",
    "disk_ok": "✅", "rewound": "⏪",
}  # fmt: skip


def category_of(kind: str) -> str:
    """One of `CATEGORIES`."""
    if kind in _BATTLE:
        return "battle"
    if kind in _TROUBLES or kind.endswith(_TROUBLE):
        return "trouble"
    return _BEGINNINGS.get(kind.partition("_")[0], "realm")


def icon_of(kind: str) -> str:
    return KIND_ICONS.get(kind, ICONS[category_of(kind)])


def tale_of(event: Event) -> dict[str, Any]:
    """The event as the battle log shows it; time and date are those of this machine."""
    local = datetime.fromisoformat(event.at).astimezone()
    icon = icon_of(event.kind)
    return {
        "id": event.id,
        "at": event.at,
        "time": local.strftime("%H:%M:%S"),
        "date": local.strftime("%Y-%m-%d"),
        "icon": icon,
        "message": event.message,
        "type": event.kind,
        "category": category_of(event.kind),
        "display": f"{local:%H:%M:%S} {icon} {event.message}",
        "data": event.data,
    }


class TaleTeller:
    """Looks tales up for the web."""

    def __init__(self, saga: Saga) -> None:
        self._saga = saga

    async def tales(self, *, limit: int, before: int | None, category: str | None, words: str) -> dict[str, Any]:
        """The body of `GET /saga`: the newest first; `next_before` asks for the page after this one."""
        return await asyncio.to_thread(self._tales, limit, before, category, words)

    async def stats(self) -> dict[str, Any]:
        """The body of `GET /saga/stats`."""
        return await asyncio.to_thread(self._stats)

    def _tales(self, limit: int, before: int | None, category: str | None, words: str) -> dict[str, Any]:
        kinds = None if category is None else self._kinds_in(category)
        found = self._saga.find_events(limit=limit + 1, before=before, kinds=kinds, text=words)
        shown = found[:limit]
        return {
            "tales": [tale_of(event) for event in shown],
            "count": len(shown),
            "next_before": shown[-1].id if len(found) > limit else None,
        }

    def _kinds_in(self, category: str) -> list[str]:
        return [kind for kind in self._saga.event_kinds() if category_of(kind) == category]

    def _stats(self) -> dict[str, Any]:
        by_kind = self._saga.count_by_kind()
        newest = self._saga.latest_events(1)
        return {
            "total": sum(by_kind.values()),
            "by_category": _by_category(by_kind),
            "by_type": by_kind,
            "newest_id": newest[-1].id if newest else None,
            "newest_at": newest[-1].at if newest else None,
            "told_at": datetime.now(UTC).isoformat(),
        }


def _by_category(by_kind: Mapping[str, int]) -> dict[str, int]:
    counts = dict.fromkeys(CATEGORIES, 0)
    for kind, count in by_kind.items():
        counts[category_of(kind)] += count
    return counts

"""Which events are worth a message, and of which kind: the one table for ravens and for the browser's notifications."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from arena.disk.hindrance import EVENTS as DISK_EVENTS

NEWS: Mapping[str, frozenset[str]] = {
    "quest_complete": frozenset({"quest_sealed"}),
    "level_up": frozenset({"achievement", "level_mastered"}),
    "trouble": frozenset({
        "asset_not_carried", "checkpoint_quarantined", "checkpoint_rotten", "database_corrupt", "disk_low",
        "examination_not_kept", "head_rotten", "journal_failed", "no_checkpoint_left", "quest_lost", "quest_refused",
        "quest_rejected", "quest_strike", "quest_unreadable", "quest_withdrawn", "quests_wait_for_model",
        "realm_was_cut_off", "save_failed", "settings_invalid", "trainer_died", "trainer_held",
        "trainer_silent", "went_back", *DISK_EVENTS.values(),
        *(f"{work}_blocked" for work in (
            "claims", "gate", "inbox", "moves", "records", "school", "snapshot", "status", "trainer", "upkeep",
        )),
    }),
}  # fmt: skip
"""By what `notifications.events` may name, the kinds of events in the saga."""

WORDS = {"quest_complete": ("quest complete", "quests complete"), "level_up": ("level up", "levels up")}


def wanted_kinds(names: Iterable[str]) -> frozenset[str]:
    """The kinds of events that belong to these names."""
    return frozenset[str]().union(*(NEWS[name] for name in names))


def news_of(kind: str, names: Collection[str] = NEWS.keys()) -> str | None:
    """To which of `names` an event of this kind belongs; None for one that nobody is told of."""
    return next((name for name in names if kind in NEWS[name]), None)


def counted(name: str, count: int) -> str:
    """`3 quests learned`, for people."""
    one, several = WORDS.get(name, (name, name))
    return f"{count} {one if count == 1 else several}"

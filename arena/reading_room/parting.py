"""What the saga keeps of quests whose files are deleted: when the lane's days or size are over, or by a person.

The history shows them on, with the loss before and after each, until the events themselves are past their budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from arena.lanes.forgetting import Forgotten
from arena.quests import Quest, QuestRecord
from arena.reading_room.telling import as_text
from core.saga import Event, News, Saga

REMOVED = "quest_remove"
"""The event of a removal."""
FORGOTTEN = "quests_forgotten"
"""The event of files that were past their days or size: of the latest `TOLD` of a sweep, each event tells of
`TOGETHER`; of thousands the rest is counted."""
TOGETHER = 20
TOLD = 500
EVENTS_AT_ONCE = 50
MOST_EVENTS = 1000
"""So many are looked at for the quests that they tell of; those of earlier versions tell of none."""


def removal_of(quest: Quest) -> dict[str, Any]:
    """What the event of a removal keeps of a quest."""
    return {**_kept(quest.name, quest.record), "lane": quest.lane}


def news_of_forgotten(lane: str, gone: Sequence[Forgotten]) -> list[News]:
    """What to tell of a sweep; `gone` are the oldest first."""
    counted, told = gone[: max(0, len(gone) - TOLD)], gone[max(0, len(gone) - TOLD) :]
    news = [_news(lane, counted, [])] if counted else []
    for first in range(0, len(told), TOGETHER):
        part = told[first : first + TOGETHER]
        quests = [{**_kept(each.name, each.record), "ended_at": each.finished_at.isoformat()} for each in part]
        news.append(_news(lane, part, quests))
    return news


def forgotten_quests(saga: Saga, at_most: int) -> list[dict[str, Any]]:
    """The latest that are known, each with its `lane`, `file`, `ended_at` (ISO 8601) and what else was kept."""
    found: list[dict[str, Any]] = []
    before = None
    for _ in range(MOST_EVENTS // EVENTS_AT_ONCE):
        events = saga.find_events(limit=EVENTS_AT_ONCE, before=before, kinds=[FORGOTTEN])
        for event in events:
            found += _quests_in(event)
        if len(events) < EVENTS_AT_ONCE or len(found) >= at_most:
            break
        before = events[-1].id
    return found[:at_most]


def _news(lane: str, gone: Sequence[Forgotten], quests: list[dict[str, Any]]) -> News:
    message = f"{len(gone)} quests of queue/{lane}/ were past their days or size and are deleted"
    files = [as_text(each.name) for each in gone[:TOGETHER]]
    return News(FORGOTTEN, message, {"lane": lane, "files": files, "quests": quests})


def _quests_in(event: Event) -> list[dict[str, Any]]:
    """Those that an event tells of, the latest first; events of earlier versions tell of none."""
    data = event.data or {}
    quests = data.get("quests")
    told = [each for each in quests if isinstance(each, dict)] if isinstance(quests, list) else []
    return [{**each, "lane": data.get("lane")} for each in reversed(told) if _has_place(each)]


def _has_place(told: dict[str, Any]) -> bool:
    try:
        return isinstance(told["file"], str) and datetime.fromisoformat(told["ended_at"]).astimezone(UTC) is not None
    except (KeyError, TypeError, ValueError):
        return False


def _kept(name: str, record: QuestRecord | None) -> dict[str, Any]:
    if record is None:
        return {"file": as_text(name)}
    return {
        "quest_id": record.quest_id,
        "file": as_text(name),
        "priority": record.priority,
        "rows": record.rows,
        "added_at": record.submitted_at,
        "outcome": record.outcome,
        "reason": record.reason,
        "rows_learned": record.rows_learned,
        "loss_first": record.loss_first,
        "loss_last": record.loss_last,
    }

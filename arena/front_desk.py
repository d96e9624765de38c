"""Answers what the web asks of training and carries out its wishes (`arena.routes.TrainingService`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.command.battle_control import BattleControl
from arena.command.granting import NOTHING_TO_SKIP, effect_of
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.reading_room.parting import removal_of
from arena.reading_room.telling import as_text
from arena.supervision.trainer_events import TrainerEvents
from arena.telling.live_report import LiveReport
from core.errors import Conflict
from core.paths import RealmPaths
from core.status_files import read_status


class FrontDesk:
    """One per daemon."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        board: QuestBoard,
        control_files: BattleControl,
        report: LiveReport,
        events: TrainerEvents,
        by_hand: Callable[[], AbstractContextManager[None]],
        on_news: Callable[[], None],
    ) -> None:
        """Quests are moved within `by_hand`, which raises where they cannot be now (`GoingBack.by_hand`); `on_news`
        hears that the board has changed."""
        self._paths = paths
        self._board = board
        self._control_files = control_files
        self._report = report
        self._events = events
        self._by_hand = by_hand
        self._on_news = on_news

    async def status(self) -> dict[str, Any]:
        return await asyncio.to_thread(read_status, self._paths.training_status, now=datetime.now(UTC))

    async def queue(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._board.queue_view)

    async def control(self, action: str, reason: str | None) -> dict[str, Any]:
        if action == "skip" and await asyncio.to_thread(self._board.running) is None:
            raise Conflict(NOTHING_TO_SKIP)
        now = datetime.now(UTC)
        before = await asyncio.to_thread(self._control_files.read)
        effect = effect_of(action, self._report.state, held=before.held)
        await asyncio.to_thread(self._control_files.write, action, reason or "asked for over HTTP", now=now)
        return {"success": True, "action": action, "message": f"{action}: {effect}"}

    async def quest_action(self, action: str, quest: str, priority: str | None) -> dict[str, Any]:
        now = datetime.now(UTC)
        work: dict[str, Callable[[], Quest | Path | None]] = {
            "retry": lambda: self._board.retry(quest, now=now),
            "remove": lambda: self._board.remove(quest),
            "move": lambda: self._board.move(quest, priority or "normal"),
        }
        with self._by_hand():
            before = await asyncio.to_thread(self._board.find, quest)
            done = await asyncio.to_thread(work[action])
        self._on_news()
        name = done.name if done is not None else quest
        told = removal_of(before) if before is not None and action == "remove" else {"file": as_text(name)}
        if isinstance(done, Quest):
            told |= {"quest_id": done.quest_id, "lane": done.lane}
        await self._events.tell(f"quest_{action}", f"{name}: {action}", now, **told)
        return {"success": True, "action": action, "quest": name}

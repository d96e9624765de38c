"""Asks everybody in the arena what keeps the realm from going on, and puts it together (`arena.telling.momentum`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from arena.academy.school import School
from arena.blockade import Blockade
from arena.command.wishes import WishKeeper
from arena.disk.governor import DiskGovernor
from arena.proving.assay import Assay
from arena.quest_board import QuestBoard
from arena.supervision.strikes import strikes_in_a_row
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.live_report import LiveReport
from arena.telling.momentum import GuildFacts, QuestFacts, TrainerFacts, momentum


@dataclass(frozen=True)
class _Fighter:
    """The quest in `processing/`, when the board was last looked at."""

    name: str
    strikes: int


class Outlook:
    """One per daemon; for the loop's thread, but for `look`."""

    def __init__(
        self,
        *,
        report: LiveReport,
        board: QuestBoard,
        wishes: WishKeeper,
        governor: DiskGovernor,
        supervisor: TrainerSupervisor,
        events: TrainerEvents,
        assay: Assay,
        school: School,
        inbox_report: Callable[[], dict[str, Any]],
        counts: Callable[[], dict[str, Any]],
        blockades: Callable[[], Iterable[Blockade]],
    ) -> None:
        """`counts` gives what `QuestBoard.counts` said last; `blockades` everything that may be held up."""
        self._report = report
        self._board = board
        self._wishes = wishes
        self._governor = governor
        self._supervisor = supervisor
        self._events = events
        self._assay = assay
        self._school = school
        self._inbox_report = inbox_report
        self._counts = counts
        self._blockades = blockades
        self._fighter: _Fighter | None = None

    def look(self) -> None:
        """Look at the quest in `processing/`; reads the disk."""
        # A realm at rest has none, and should not be made to look for it.
        quest = self._board.processing() if self._counts().get("processing", 1) else None
        self._fighter = _Fighter(quest.name, strikes_in_a_row(quest.record.strikes)) if quest is not None else None

    async def now(self) -> dict[str, Any]:
        """The body of `GET /api/momentum`."""
        await asyncio.to_thread(self.look)
        return self.view()

    def view(self) -> dict[str, Any]:
        """The same, with the quest in `processing/` as it was at the last look."""
        counts, fighter = self._counts(), self._fighter
        quests = QuestFacts(
            waiting=int(counts.get("total_queued", 0)), running=fighter.name if fighter is not None else None,
            strikes=fighter.strikes if fighter is not None else 0, failed=int(counts.get("failed", 0)),
            measuring=self._assay.measuring, missing_tokenizer=self._assay.missing_tokenizer,
        )  # fmt: skip
        reason = self._governor.reason
        return momentum(
            report=self._report,
            wishes=self._wishes.wishes,
            disk=(reason, self._governor.since) if reason is not None else None,
            trainer=TrainerFacts(hold=self._events.hold, next_start_at=self._supervisor.next_start_at),
            quests=quests,
            guild=GuildFacts(enabled=self._school.makes_quests, next_at=self._school.next_quest_at),
            inbox=self._inbox_report(),
            blockades=self._blockades(),
        )

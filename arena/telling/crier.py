"""Tells the world how training stands: status files, frames for the page, and the snapshot that a page begins with.

All of it is derived from the live report, the quest board, the inbox and the saga (law 4). What cannot be written now
is told with the next heartbeat.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from arena.blockade import Blockade
from arena.command.battle_control import BattleControl
from arena.quest_board import QuestBoard
from arena.telling.live_report import LiveReport
from arena.telling.machine_watch import MachineWatch
from arena.telling.outlook import Outlook
from arena.telling.snapshot import lanes_part, live_part, stored_part
from core.checkpoint_ledger import CheckpointLedger
from core.paths import RealmPaths
from core.saga import Saga
from core.status_files import write_status
from core.tasks import beat, comes_within

STATUS_SECONDS = 1.0
QUIET_STATUS_SECONDS = 2.0
"""While no quest is fought: an idle realm should cost next to nothing."""
SHORTEST_STATUS_SECONDS = 0.1
STATUS_VALID_SECONDS = 15.0
HEARTBEAT_SECONDS = 5.0
HUNG_SECONDS = 60.0


class Crier:
    """One per daemon."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        report: LiveReport,
        board: QuestBoard,
        ledger: CheckpointLedger,
        saga: Saga,
        control_files: BattleControl,
        inbox_report: Callable[[], dict[str, Any]],
        outlook: Outlook,
        machine: MachineWatch,
        curriculum: Callable[[], dict[str, Any] | None],
        on_progress: Callable[[Callable[[], dict[str, Any]]], None],
        version: str,
    ) -> None:
        self._paths = paths
        self._report = report
        self._board = board
        self._ledger = ledger
        self._saga = saga
        self._control_files = control_files
        self._inbox_report = inbox_report
        self._outlook = outlook
        self._machine = machine
        self._curriculum = curriculum
        self._on_progress = on_progress
        self._version = version
        self._held = Blockade(saga, "status")
        self._changed = asyncio.Event()
        self._last_told: tuple[object, ...] = ()
        self._last_told_at = float("-inf")
        self.counts: dict[str, Any] = {}
        """Of the quest board, when it was last looked at; empty before the first look."""

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold the status files up."""
        return [self._held]

    @property
    def waiting(self) -> int:
        """Quests that were waiting when the board was last looked at."""
        return int(self.counts.get("total_queued", 0))

    def note_change(self) -> None:
        """The state has changed: it is on disk within `SHORTEST_STATUS_SECONDS`."""
        self._changed.set()

    def count_quests(self) -> None:
        """Look at the quest board."""
        self.counts = self._board.counts()
        self._outlook.look()

    async def run(self) -> None:
        """Never returns. A change of state is on disk at once, numbers of a running quest within a second."""
        while True:
            beat(HUNG_SECONDS)
            self._changed.clear()
            await self._refresh()
            await asyncio.sleep(SHORTEST_STATUS_SECONDS)
            quiet = self._report.quest is None
            await comes_within(QUIET_STATUS_SECONDS if quiet else STATUS_SECONDS, self._changed)

    async def write(self) -> None:
        """The status files of the arena; every reader knows until when they hold (law 7)."""
        try:
            await asyncio.to_thread(self.count_quests)
            await asyncio.to_thread(self._write_files, datetime.now(UTC))
        except OSError as error:
            await self._held.raise_up(f"The status files are out of date, as they cannot be written: {error}")
        else:
            await self._held.lift("The status files are written again")
        self.show_progress()

    def show_progress(self) -> None:
        """Let whoever watches be shown a frame."""
        self._on_progress(self._frame)

    async def snapshot(self) -> dict[str, Any]:
        """See `tavern/answers.py` for its shape."""
        # Kept: a frame that follows must not tell of an older board than this does.
        await asyncio.to_thread(self.count_quests)
        stored = await asyncio.to_thread(stored_part, self._saga, self._ledger)
        machine = await self._machine.fresh()
        return {**self._frame(), **stored, **machine, "curriculum": self._curriculum()}

    async def _refresh(self) -> None:
        """Write what has changed, and in quiet times only as often as the heartbeat needs."""
        report = self._report
        disk = report.disk.get("state")
        told = (report.state, report.reason, report.step, disk, self.counts, self._inbox_report())
        now = time.monotonic()
        if told != self._last_told or now - self._last_told_at >= HEARTBEAT_SECONDS:
            self._last_told, self._last_told_at = told, now
            await self.write()
        else:
            with contextlib.suppress(OSError):  # which is told with the next heartbeat
                await asyncio.to_thread(self.count_quests)

    def _frame(self) -> dict[str, Any]:
        live = live_part(self._report, waiting=self.waiting, version=self._version, now=datetime.now(UTC))
        lanes = lanes_part(self.counts, self._inbox_report()) if self.counts else {}
        return {**live, **lanes, **self._machine.view(), "momentum": self._outlook.view()}

    def _write_files(self, now: datetime) -> None:
        report, waiting = self._report, self.waiting
        if report.checkpoint and not (self._paths.current_model / report.checkpoint).is_dir():
            latest = self._ledger.get_latest()  # somebody deleted it (A24)
            report.checkpoint = latest.canonical_name if latest else None
        training = report.training_status(waiting=waiting, now=now)
        write_status(self._paths.training_status, training, now=now, valid_for=STATUS_VALID_SECONDS)
        completed = report.quests_completed
        battle = report.battle_status(campaign=completed, total_campaigns=completed + waiting, now=now)
        write_status(self._paths.battle_status, battle, now=now, valid_for=STATUS_VALID_SECONDS)
        write_status(self._paths.inbox_status, self._inbox_report(), now=now, valid_for=STATUS_VALID_SECONDS)
        file = report.quest.file if report.quest else None
        self._control_files.write_state(report.state, current_file=file, reason=report.reason, now=now)

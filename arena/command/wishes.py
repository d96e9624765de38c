"""Carrying out the control files: what a user wants, told to the trainer (DESIGN section 5, Control semantics)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from arena.command.battle_control import BattleControl, Wish, Wishes
from arena.protocol import Pause, Resume, Save, Skip
from arena.quest_board import QuestBoard
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from arena.telling.live_report import LiveReport


class WishKeeper:
    """Reads `control/` again and again and acts on every change; levels win over edges, stop over pause."""

    def __init__(
        self,
        control: BattleControl,
        board: QuestBoard,
        supervisor: TrainerSupervisor,
        events: TrainerEvents,
        report: LiveReport,
        disk_reason: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`disk_reason` tells why the disk lets nothing go on; that pauses too, beside what people wish."""
        self._control = control
        self._board = board
        self._supervisor = supervisor
        self._events = events
        self._report = report
        self._disk_reason = disk_reason
        self.wishes = Wishes()
        """What lay in `control/` at the last look."""
        self._wished: str | None = None
        """Why people want it paused; None when they do not."""
        self.stopped = False
        self._told: tuple[str | None, bool] = (None, False)
        """The reason for pausing that the trainer knows, and whether people were a part of it."""

    def read_at_start(self) -> None:
        """Wishes set before the start hold from the first step on (B15)."""
        wishes = self._control.read()
        if wishes.resume:
            self._control.apply_resume()
            wishes = self._control.read()
        self.wishes = wishes
        self._wished = wishes.pause.reason if wishes.pause else None
        self.stopped = wishes.stop is not None
        if wishes.stop is not None:
            self._report.enter("stopped", datetime.now(UTC), wishes.stop.reason)

    async def obey(self) -> None:
        """One look at the control files."""
        wishes = await asyncio.to_thread(self._control.read)
        if wishes.resume:
            await asyncio.to_thread(self._control.apply_resume)
            wishes = await asyncio.to_thread(self._control.read)
        self.wishes = wishes
        await self._obey_stop(wishes.stop)
        await self._obey_pause(wishes.pause)
        if wishes.skip is not None:
            await self._bind_skip()
        if wishes.save is not None and self._supervisor.ready:
            save = await asyncio.to_thread(self._control.take_save)
            if save is not None:  # one that cannot be removed is not obeyed four times a second
                await self._supervisor.send(Save(reason=f"asked for: {save.reason}"))

    @property
    def pause_reason(self) -> str | None:
        """Why training is paused: what people wish, what the disk does not allow, or both; None when it is not."""
        return "; ".join(reason for reason in (self._wished, self._disk_reason()) if reason) or None

    @property
    def paused(self) -> bool:
        return self.pause_reason is not None

    def pause_for_begin(self) -> str | None:
        """Why a new child starts paused, if it does; a change after this answer is told once it is ready."""
        self._told = self.pause_reason, self._wished is not None
        return self.pause_reason

    async def drop_stale_skip(self) -> None:
        """Forget a skip that was meant for a quest which is not running any more."""
        bound = await asyncio.to_thread(self._control.bound_skip)
        if bound is None:
            return
        running = await asyncio.to_thread(self._board.running)
        if running is None or running.quest_id != bound[0]:
            await asyncio.to_thread(self._control.clear_skip)

    async def send_bound_skip(self) -> None:
        """Tell the trainer of a skip once it works on the quest that was meant."""
        bound = await asyncio.to_thread(self._control.bound_skip)
        if bound is None:
            return
        quest_id, wish = bound
        if self._report.quest is not None and self._report.quest.quest_id == quest_id:
            await self._supervisor.send(Skip(quest_id=quest_id, reason=wish.reason))

    async def on_quest_over(self, quest_id: str) -> None:
        bound = await asyncio.to_thread(self._control.bound_skip)
        if bound is not None and bound[0] == quest_id:
            await asyncio.to_thread(self._control.clear_skip)

    async def _obey_stop(self, stop: Wish | None) -> None:
        now = datetime.now(UTC)
        if stop is not None and (not self.stopped or self._supervisor.wanted):
            self.stopped = True
            alive = self._supervisor.pid is not None
            self._report.enter("stopping" if alive else "stopped", now, stop.reason)
            await self._supervisor.retire(stop.reason)
            await self._events.tell("stopping" if alive else "stopped", f"Training stops: {stop.reason}", now)
        elif stop is None and self.stopped:
            self.stopped = False
            self._report.enter("starting", now)
            self._supervisor.want()
            await self._events.tell("resumed", "Training goes on", now)

    async def _obey_pause(self, pause: Wish | None) -> None:
        self._wished = pause.reason if pause else None
        reason, wished = self.pause_reason, self._wished is not None
        if not self._supervisor.ready or (reason, wished) == self._told:
            return
        (known, was_wished), self._told = self._told, (reason, wished)
        now = datetime.now(UTC)
        if reason is None:
            await self._supervisor.send(Resume())
        elif reason != known:
            await self._supervisor.send(Pause(reason=reason))
            if self._report.state == "paused":
                self._report.enter("paused", now, reason)  # the trainer tells of states only, not of new reasons
        # Of what the disk does not allow, the governor tells.
        if wished and not was_wished:
            await self._events.tell("paused", f"Training pauses: {self._wished}", now)
        elif was_wished and not wished:
            await self._events.tell("resumed", f"Still paused, {reason}" if reason else "Training goes on", now)

    async def _bind_skip(self) -> None:
        """A skip is for the quest that runs now; a later one is never hit by it (B14)."""
        running = await asyncio.to_thread(self._board.running)
        if running is not None:
            await asyncio.to_thread(self._control.bind_skip, running.quest_id)
            # Over meanwhile, its end was told before there was a bound skip to clear.
            after = await asyncio.to_thread(self._board.running)
            if after is not None and after.quest_id == running.quest_id:
                await self.send_bound_skip()
                return
        await asyncio.to_thread(self._control.clear_skip)
        now = datetime.now(UTC)
        await self._events.tell("nothing_to_skip", "A skip was asked for while no quest was running", now)

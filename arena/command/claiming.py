"""Hands the next quest to a trainer that has none (DESIGN section 4, "Claim"; ADR 0016).

The trainer is told first, and the quest moves to `processing/` once its claim is in the journal: neither this move nor
that of the quest before, for which the disk takes ten times as long, comes between two steps. One quest is claimed at a
time, and which one is decided when the one before is over.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from arena.academy.school import School
from arena.blockade import Blockade
from arena.command.beginning import claim_of
from arena.command.live_settings import LiveSettings
from arena.command.wishes import WishKeeper
from arena.heroes import Hero
from arena.proving.assay import Assay
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.supervision.strike_bench import StrikeBench
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from core.crash_points import crash_point
from core.errors import RealmError
from core.paths import PRIORITIES
from core.saga import Saga
from core.tasks import beat, comes_within, rest

logger = logging.getLogger(__name__)

HUNG_SECONDS = 600.0
"""A claim may hash and move a large file."""
LONGEST_CLAIM_SECONDS = 1.0
"""So long the board is left as it is for a trainer that does not say that it has written its claim down, or for a gate
that has not proven the next quest."""
RETRY_SECONDS = 0.25
DISK_RETRY_SECONDS = 5.0
"""Pause after the disk refused what a claim needs."""


class Told(NamedTuple):
    """A quest that the trainer has, and that may still lie where it waited."""

    quest_id: str
    proof: dict[str, Any] | None
    begun: bool = False
    """Whether its claim is in the journal."""


class ClaimTable:
    """One per daemon; `note_news` says that there may be something to claim, or somebody to claim it."""

    def __init__(
        self,
        *,
        hero: Hero,
        settings: LiveSettings,
        board: QuestBoard,
        saga: Saga,
        events: TrainerEvents,
        supervisor: TrainerSupervisor,
        wishes: WishKeeper,
        bench: StrikeBench,
        assay: Callable[[], Assay | None],
        school: School,
    ) -> None:
        """`assay` gives the one that a quest must pass before training; None when it need not."""
        self._hero = hero
        self._settings = settings
        self._board = board
        self._events = events
        self._supervisor = supervisor
        self._wishes = wishes
        self._bench = bench
        self._assay = assay
        self._school = school
        self._held, self._moves_held = Blockade(saga, "claims"), Blockade(saga, "moves")
        self._news = asyncio.Event()
        self._deciding = asyncio.Lock()
        self._told: Told | None = None
        self._no_moves_before = float("-inf")
        """Until then board and disk are left to those that the next step waits for."""
        self._put_off = False
        """Whether that was so when the task last looked, so that it has to look again without any news."""

    @property
    def trouble(self) -> str | None:
        """Why no quest is claimed although a trainer is there; None while that goes on."""
        return self._held.message or self._moves_held.message

    # --- what the daemon hears of the trainer ----------------------------------------------------------------

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold claims up."""
        return [self._held, self._moves_held]

    def note_news(self) -> None:
        """Look again."""
        self._news.set()

    def note_claimed(self, quest_id: str) -> None:
        """The trainer has written this claim down, or replays it: now the board can follow."""
        told = self._told if self._told is not None and self._told.quest_id == quest_id else None
        # Nobody here has told of one that a realm that was killed has left where it waited.
        self._told = Told(quest_id, told.proof if told is not None else None, begun=True)
        self._no_moves_before = float("-inf")
        self.note_news()

    async def note_end(self, quest_id: str) -> None:
        """The trainer is done with this quest: tell it of the next one before either is moved."""
        await self.follow()  # where it was over so soon that it lies where it waited
        if self._told is not None or self._deciding.locked() or not self._may_tell(quest_id):
            return
        try:
            async with self._deciding:
                await self.refresh_settings()
                await self._tell_next(quest_id)
        except (RealmError, OSError) as error:  # tried again when the quest has left processing/
            logger.info("no quest follows at once: %s", error, extra={"event": "claim_delayed"})

    async def let_go(self) -> None:
        """The trainer is gone: the quest that it was told of shall lie in `processing/` for the next one.

        One that the disk keeps where it waited stays promised until that begins: this one may have died of it.
        """
        await self.follow()
        self._told = None

    # --- the task --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never returns."""
        while True:
            rest()
            await comes_within(self._moves_wait() if self._put_off else None, self._news)
            beat(HUNG_SECONDS)
            is_new = self._news.is_set()
            self._news.clear()
            if not self._moves_wait():
                await self.follow()
            if is_new and self._may_tell():
                await self._try_to_claim()
            self._put_off = self._moves_wait() > 0
            if not self._put_off:
                await asyncio.to_thread(self._board.tidy)

    def _moves_wait(self) -> float:
        """Seconds for which board and disk are left to others."""
        return max(0.0, self._no_moves_before - time.monotonic())

    async def follow(self) -> None:
        """Move the quest that the trainer was told of to `processing/`, unless another one is still there."""
        if self._told is None:
            return
        # Whoever tells the next trainer where the quests lie holds this too.
        async with self._events.making_up:
            told = self._told
            if told is None:
                return
            try:
                running = await asyncio.to_thread(self._board.processing)
                if running is not None and running.quest_id != told.quest_id:
                    if told.begun:
                        await asyncio.to_thread(self._board.note_begun, told.quest_id)
                    return
                claimed = await asyncio.to_thread(self._move, told) if running is None else None
            except OSError as error:
                await self._moves_held.raise_up(f"The quest that is learned still lies where it waited: {error}")
                return
            if self._told is not None and self._told.quest_id == told.quest_id:
                self._told = None
            if claimed is not None and (assay := self._assay()):
                assay.note_claimed(claimed)
        if claimed is not None or running is not None:
            await self._moves_held.lift("Quests that are learned lie in processing/ again")

    def _move(self, told: Told) -> Quest | None:
        """The quest in `processing/`; None when it does not wait any more."""
        quest = self._board.find(told.quest_id)
        if quest is None or quest.lane not in PRIORITIES or quest.record.outcome is not None:
            self._board.break_promise()
            return None
        try:
            claimed = self._board.claim(quest, told.proof, tidy_later=True)
        except RealmError as error:  # changed by hand, it is for the gates: what was learned is of another file
            logger.warning("not moved to processing/: %s", error, extra={"event": "claim_not_followed"})
            self._board.break_promise()
            return None
        crash_point("claim.moved")
        return claimed

    async def _try_to_claim(self) -> None:
        try:
            async with self._deciding:
                await self._claim_next()
        except RealmError as error:
            logger.warning("nothing could be claimed: %s", error, extra={"event": "claim_failed"})
            await asyncio.sleep(RETRY_SECONDS)
            self.note_news()
        except OSError as error:
            await self._held.raise_up(f"No quest is claimed, as the disk does not let it: {error}")
            await asyncio.sleep(DISK_RETRY_SECONDS)
            self.note_news()
        else:
            await self._held.lift("Quests are claimed again")

    # --- one claim -------------------------------------------------------------------------------------------

    async def _claim_next(self) -> None:
        await self.refresh_settings()
        quest = await asyncio.to_thread(self._board.processing)
        assay = self._assay()
        if quest is None:
            await self._tell_next()
        elif assay is None or await self._may_go_on(quest, assay):
            await self._tell(quest)

    async def _tell_next(self, ended: str | None = None) -> None:
        """Tell the trainer of the first quest that waits, if there is one and the assay has a proof of it.

        `ended` is the id of the one that has still to leave `processing/`.
        """
        waiting = await asyncio.to_thread(self._board.next_waiting)
        if waiting is None or waiting.quest_id == ended:
            return
        assay, proof = self._assay(), None
        if assay is not None:
            proof = await assay.proof_for(waiting)
            if proof is None:
                # The assay says when there is one. That may be in a moment, and then nobody should hold the board.
                self._no_moves_before = time.monotonic() + LONGEST_CLAIM_SECONDS
                return
        crash_point("claim.chosen")
        quest = await asyncio.to_thread(self._board.promise, waiting, behind=ended)
        if not await self._tell(quest, proof, ended):
            await asyncio.to_thread(self._board.break_promise)

    async def _tell(self, quest: Quest, proof: dict[str, Any] | None = None, ended: str | None = None) -> bool:
        """Send the claim; False when the trainer was not told."""
        if not self._may_tell(ended):
            return False  # it has died meanwhile, and the next one begins with what its journal holds
        try:
            sheet, curriculum = self._school.examination_after(quest.record), self._school.copy()
            claim = claim_of(self._hero, self._settings.current, quest, sheet, curriculum)
        except RealmError as error:
            now = datetime.now(UTC)
            await asyncio.to_thread(self._board.fail, quest.quest_id, outcome="refused", reason=str(error), now=now)
            await self._events.tell("quest_refused", f"{quest.name} cannot be learned: {error}", now)
            self.note_news()
            return False
        # Noted before it is sent: an answer may come while this coroutine waits for the socket.
        self._events.in_trainer.append(quest.quest_id)
        self._told = Told(quest.quest_id, proof)
        self._no_moves_before = time.monotonic() + LONGEST_CLAIM_SECONDS
        asyncio.get_running_loop().call_later(LONGEST_CLAIM_SECONDS, self.note_news)
        await self._supervisor.send(claim)
        crash_point("claim.told")
        return True

    def _may_tell(self, ended: str | None = None) -> bool:
        """Whether the trainer has no quest, or `ended` alone, and nobody wants it to rest."""
        free = not self._events.busy if ended is None else self._events.in_trainer == [ended]
        return free and self._supervisor.ready and not (self._wishes.stopped or self._wishes.paused)

    async def _may_go_on(self, quest: Quest, assay: Assay) -> bool:
        """Whether a quest that lies in `processing/` already may be trained: it was before, or there is a proof."""
        if await asyncio.to_thread(self._bench.is_in_journal, quest.quest_id):
            return True
        proof = await assay.proof_for(quest)
        if proof is not None:
            await asyncio.to_thread(self._board.note_proof, quest.quest_id, proof)
            assay.note_claimed(quest)
        return proof is not None

    async def refresh_settings(self) -> None:
        """Hyperparameters are read at claim; changed settings that cannot be used are told of."""
        complaint = await asyncio.to_thread(self._settings.refresh, time.monotonic())
        if complaint is not None:
            message = f"The changed settings are not used, those of before stay in force: {complaint}"
            await self._events.tell("settings_invalid", message, datetime.now(UTC))

"""Hands the next quest to a trainer that has none (DESIGN section 4, "Claim")."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

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
from core.saga import Saga
from core.tasks import beat, rest

logger = logging.getLogger(__name__)

HUNG_SECONDS = 600.0
"""A claim may hash and move a large file."""
LONGEST_CLAIM_SECONDS = 1.0
"""So long the board is left as it is for a trainer that does not say that it has written its claim down."""
RETRY_SECONDS = 0.25
DISK_RETRY_SECONDS = 5.0
"""Pause after the disk refused a move."""


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
        self._held = Blockade(saga, "claims")
        self._news = asyncio.Event()
        self._no_tidying_before = float("-inf")
        """Until then the disk is the trainer's, which writes its claim down."""

    def note_news(self) -> None:
        """Look again."""
        self._news.set()

    def note_claimed(self) -> None:
        """The trainer has written its claim down: now the board can be tidied up."""
        self._no_tidying_before = float("-inf")
        self.note_news()

    async def run(self) -> None:
        """Never returns."""
        while True:
            rest()
            await self._news.wait()
            beat(HUNG_SECONDS)
            self._news.clear()
            if not (self._events.busy or self._wishes.stopped or self._wishes.paused) and self._supervisor.ready:
                await self._try_to_claim()
            if time.monotonic() >= self._no_tidying_before:
                await asyncio.to_thread(self._board.tidy)

    async def _try_to_claim(self) -> None:
        try:
            await self._claim_next()
        except RealmError as error:
            logger.warning("nothing could be claimed: %s", error, extra={"event": "claim_failed"})
            await asyncio.sleep(RETRY_SECONDS)
            self.note_news()
        except OSError as error:
            await self._held.raise_up(f"No quest is claimed, as the disk does not let it move: {error}")
            await asyncio.sleep(DISK_RETRY_SECONDS)
            self.note_news()
        else:
            await self._held.lift("Quests are claimed again")

    async def _claim_next(self) -> None:
        await self.refresh_settings()
        quest = await asyncio.to_thread(self._board.processing)
        assay = self._assay()
        if quest is None:
            quest = await self._take_next(assay)
            if quest is None:
                return
        elif assay is not None and not await self._may_go_on(quest, assay):
            return
        if not self._supervisor.ready or self._events.busy:
            return  # the trainer has died meanwhile, and the next one begins with what its journal holds
        # Noted before it is sent: an answer may come while this coroutine waits for the socket.
        self._events.in_trainer.append(quest.quest_id)
        try:
            claim = claim_of(self._hero, self._settings.current, quest)
        except RealmError as error:
            self._events.in_trainer.remove(quest.quest_id)
            now = datetime.now(UTC)
            await asyncio.to_thread(self._board.fail, quest.quest_id, outcome="refused", reason=str(error), now=now)
            await self._events.tell("quest_refused", f"{quest.name} cannot be learned: {error}", now)
            self.note_news()
            return
        crash_point("claim.moved")
        await self._supervisor.send(claim)
        self._no_tidying_before = time.monotonic() + LONGEST_CLAIM_SECONDS
        crash_point("claim.told")

    async def _take_next(self, assay: Assay | None) -> Quest | None:
        """Move the first waiting quest to `processing/`; None when none waits, or the assay has no proof of it yet."""
        waiting = await asyncio.to_thread(self._board.next_waiting)
        if waiting is None:
            return None
        proof = await assay.proof_for(waiting) if assay is not None else None
        if assay is not None and proof is None:
            return None  # the assay says when there is one
        crash_point("claim.chosen")
        quest = await asyncio.to_thread(self._board.claim, waiting, proof, tidy_later=True)
        if assay is not None:
            assay.note_claimed(quest)
        return quest

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

"""Going back to an earlier checkpoint while the realm is up: what `realm rewind` does, with the trainer sent to rest.

The trainer saves and ends, nothing is deleted meanwhile, the history is turned under the model's own lock, and what the
daemon knows is read from the disk anew, as a start does. A realm that is killed in between finishes it when it starts;
one whose disk refused in between, with the next trainer or the next round of the house.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from arena.annals.turning import is_turning
from arena.hall.standing import finish_what_was_begun, model_at_rest
from arena.supervision.trainer_events import TrainerEvents
from arena.supervision.trainer_supervisor import TrainerSupervisor
from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict
from core.paths import RealmPaths
from core.saga import Saga
from vault.checkpoint_facts import must_stand
from vault.checkpoints import CheckpointStore
from vault.treasury import Treasury

if TYPE_CHECKING:
    from arena.annals.rewinding import Rewound

BASE = "base"
"""The beginning of the history, where no checkpoint need stand (`Rewinder`)."""

LAST_SAVE_SECONDS = 600.0
"""How long the trainer may take to finish its step and save."""


class GoingBack:
    """One per daemon; one turn at a time, which its caller sees to."""

    def __init__(
        self,
        paths: RealmPaths,
        *,
        supervisor: TrainerSupervisor,
        events: TrainerEvents,
        treasury: Treasury,
        ledger: CheckpointLedger,
        saga: Saga,
        held: Callable[[], str | None],
        recover: Callable[[], None],
        on_turned: Callable[[], None],
    ) -> None:
        """`held` tells why the disk lets nothing go on; `recover` reads anew where training stands; `on_turned` hears
        that it stands elsewhere."""
        self._paths = paths
        self._supervisor = supervisor
        self._events = events
        self._treasury = treasury
        self._ledger = ledger
        self._saga = saga
        self._held = held
        self._recover = recover
        self._on_turned = on_turned
        self.alone = asyncio.Lock()
        """Held while the history is turned, and by whoever else moves quests about without the board being asked."""
        self._standing = asyncio.Lock()
        """Held while trainers are kept from starting: who ends that first would let them start under the other."""
        self._is_moving = False
        self._hands = 0
        self._no_hands = asyncio.Event()
        self._no_hands.set()

    async def go_back(self, reference: str, *, requeue: bool) -> Rewound | None:
        """Make that checkpoint the present one; None where it is, and nothing was learned since. Training goes on from
        it, unless it was stopped. Raises as `Rewinder.rewind` does, and `Conflict` while the disk holds everything."""
        if (reason := self._held()) is not None:
            raise Conflict(f"Nothing can be changed now: {reason}", hint="Try again once training goes on.")
        address = BASE
        holding: AbstractContextManager[None] = nullcontext()
        if reference != BASE:
            standing = await asyncio.to_thread(must_stand, self._paths, self._ledger, reference)
            # The trainer saves before it ends, and that may cost the rolling slot the very checkpoint that is wanted.
            address = standing.address
            holding = self._treasury.holding(standing.found.path, "The hero is going back to it.")
        with holding:
            async with (
                self._standing,
                self._supervisor.standing_down(f"the hero goes back to {address}", LAST_SAVE_SECONDS),
                self._moving_quests(),
            ):
                await self._finish_what_broke_off()
                done = await asyncio.to_thread(self._turn, address, requeue)
                if done is not None:
                    await self._take_up(done.left_behind)
        return done

    async def finish(self) -> None:
        """Finish a turn that broke off after it was decided, before anybody works on what it left; most often there is
        none. For whoever keeps trainers from starting meanwhile. Raises `RealmError` or `OSError` where it cannot be.
        """
        if is_turning(self._paths):
            async with self._moving_quests():
                await self._finish_what_broke_off()

    async def finish_at_rest(self) -> None:
        """The same for whoever keeps no trainer from starting; while training is stopped, none has it done."""
        if not is_turning(self._paths):
            return
        async with self._standing:
            # Who was waited for may have done it, and the trainer then has no reason to stand down.
            if is_turning(self._paths):
                reason = "going back, which broke off, is finished"
                async with self._supervisor.standing_down(reason, LAST_SAVE_SECONDS):
                    await self.finish()

    @contextmanager
    def by_hand(self) -> Iterator[None]:
        """Somebody moves a quest by hand until the end of the block; a turn waits for that. Raises `Conflict` while the
        quests of undone history are being moved: the same file would be taken to two places."""
        if self._is_moving:
            raise Conflict(
                "The hero is going back to an earlier checkpoint, and quests are moved for that.",
                hint="Try again in a moment.",
            )
        self._hands += 1
        self._no_hands.clear()
        try:
            yield
        finally:
            self._hands -= 1
            if not self._hands:
                self._no_hands.set()

    @asynccontextmanager
    async def _moving_quests(self) -> AsyncIterator[None]:
        async with self.alone:
            self._is_moving = True
            try:
                await self._no_hands.wait()
                yield
            finally:
                self._is_moving = False

    async def _finish_what_broke_off(self) -> None:
        """To be called with `_moving_quests`; somebody may have done it while that was waited for."""
        if is_turning(self._paths):
            await asyncio.to_thread(self._finish)
            left = await asyncio.to_thread(CheckpointStore(self._paths.current_model).branches)
            await self._take_up([each.name for each in left])

    async def _take_up(self, left_behind: Collection[str]) -> None:
        """Have all who work here know where the hero stands now."""
        async with self._events.making_up:
            self._events.begin_anew()
        self._supervisor.forget_progress()
        try:
            await asyncio.to_thread(self._recover)
        finally:
            await asyncio.to_thread(self._tell_catalog, left_behind)
            self._on_turned()

    def _finish(self) -> None:
        with self._treasury.untouched():
            finish_what_was_begun(self._paths, self._saga)

    def _turn(self, reference: str, requeue: bool) -> Rewound | None:
        # Loaded on use: no start waits for it.
        from arena.annals.rewinding import Rewinder

        with self._treasury.untouched(), model_at_rest(self._paths, f"rewind {reference}", self._saga):
            return Rewinder(self._paths, saga=self._saga).rewind(reference, now=datetime.now(UTC), requeue=requeue)

    def _tell_catalog(self, left_behind: Collection[str]) -> None:
        """The turn has written the ledger's index itself: whoever keeps other books has not heard of it."""
        if self._ledger.on_change is not None:
            self._ledger.on_change([*left_behind, *(record.canonical_name for record in self._ledger.list_all())])

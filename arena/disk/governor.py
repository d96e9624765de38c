"""Watches the disk under a running realm and decides what stands still while it is full, read-only, gone or failing.

Plenty → few more saves fit: told (`disk_low`), and what may go by the rules of retention goes → full: the reserve is
given up, training is paused warm, files stay in the inbox (`disk_full`) → there is room: the reserve is taken again and
all goes on (`disk_ok`). A read-only, missing or failing disk is the same without the first steps. Nobody's quest is to
blame for any of it. Each turn is told once, in the log at once and in the saga as soon as that can be written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from arena.blockade import LateNews
from arena.disk.gauge import EPISODE_ENDS, Gauge, Limits, Room, judge, megabytes
from arena.disk.headroom import Headroom
from arena.disk.hindrance import Hindrance
from arena.disk.places import Places
from arena.protocol import DiskShort
from core.checkpoint_ledger import CheckpointLedger
from core.errors import RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from core.saga import Saga
from core.settings import DiskSettings
from vault.treasury import Deletion, Treasury

logger = logging.getLogger(__name__)

FORECAST_SECONDS = 30.0
"""How old the size of the newest checkpoint may be."""
PRUNE_SECONDS = 60.0
"""Pause between two attempts to make room."""
RETRY_SECONDS = 30.0
"""Pause after the disk refused the reserve although it seems to have room."""
SHORT_SECONDS = 75.0
"""The trainer reminds of a save that waits twice within this."""
TURNS_KEPT = 8
"""Events that wait for a saga which cannot be written."""


@dataclass(frozen=True)
class _WaitingSave:
    """A save that the trainer has no room for."""

    hindrance: Hindrance
    needed_bytes: int
    """What must be free for it."""
    until: float
    """Monotonic; it waits no longer unless the trainer says so again."""


class DiskGovernor:
    """One per daemon. `hindrance` is for the loop's thread; the looks themselves run in others."""

    def __init__(
        self,
        paths: RealmPaths,
        settings: DiskSettings,
        *,
        saga: Saga,
        treasury: Treasury,
        ledger: CheckpointLedger,
        on_turn: Callable[[], None],
        files: Files = DISK,
    ) -> None:
        """`on_turn` hears of every change."""
        self._limits = Limits.of(settings)
        self._headroom = Headroom(paths.current_model, self._limits.reserve, files)
        self._places = Places(paths, files)
        self._gauge = Gauge(paths, self._headroom, files)
        self._treasury = treasury
        self._ledger = ledger
        self._on_turn = on_turn
        self._news = LateNews(saga, TURNS_KEPT)
        self._looking = asyncio.Lock()
        self._no_pruning_before = self._no_reserve_before = self._no_forecast_before = float("-inf")
        self._short: _WaitingSave | None = None
        self._room: Room | None = None
        """That of `current_model/` at the last look."""
        self._save_bytes: int | None = None
        self._usable = asyncio.Event()
        self._usable.set()
        self.is_low = False
        """Few more checkpoints fit."""
        self.since: datetime | None = None
        """When the disk began to be as it is, where it is not well."""
        self.hindrance: Hindrance | None = None
        """Why nothing goes on; None while the disk is well."""

    # --- what others ask ---------------------------------------------------------------------------------------

    @property
    def reason(self) -> str | None:
        """Why training is paused and files stay in the inbox, `disk: …`; None while the disk lets both go on."""
        return self.hindrance.reason if self.hindrance and self.hindrance.holds_work else None

    @property
    def bars_trainer(self) -> bool:
        """Whether no trainer can be started."""
        return self.hindrance is not None and self.hindrance.bars_trainer

    def check_trainer(self) -> None:
        """Raise `Unavailable` where no trainer can be started."""
        if self.bars_trainer:
            raise Unavailable(str(self.reason))

    async def until_usable(self) -> None:
        """Return once a trainer can be started."""
        await self._usable.wait()

    def view(self) -> dict[str, Any]:
        """For status files and pages: `{state, message, free_bytes, reserved_bytes, next_save_bytes}`."""
        state = self.hindrance.kind if self.hindrance else "low" if self.is_low else "plenty"
        return {
            "state": state,
            "message": self.hindrance.message if self.hindrance else None,
            "free_bytes": self._room.free if self._room else None,
            "reserved_bytes": self._room.held if self._room else None,
            "next_save_bytes": self._save_bytes,
        }

    # --- what the trainer says -----------------------------------------------------------------------------------

    async def note_short(self, short: DiskShort) -> None:
        """The trainer has no room for a save, and says so again and again until it has."""
        needs = f"needs {megabytes(short.needed_bytes)} free, and there are {megabytes(short.free_bytes)}"
        message = f"a checkpoint ({short.what}) {needs}; it is made by itself once there is room"
        if self._waiting_save is None:
            # The rules of retention, by which was pruned a moment ago, may have let nothing go.
            self._no_pruning_before = float("-inf")
        hindrance = Hindrance("short", "current_model", message)
        self._short = _WaitingSave(hindrance, short.needed_bytes, time.monotonic() + SHORT_SECONDS)
        await self.look()

    async def note_saved(self) -> None:
        """The trainer made a checkpoint."""
        self._no_forecast_before = float("-inf")
        if self._short is not None:
            self._short = None
            await self.look()

    # --- looking -------------------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Look at the disk, act, and tell what has changed."""
        async with self._looking:
            found, low = await asyncio.to_thread(self._look_and_hold)
            if low and not self.is_low:
                self.is_low = True
                await self._tell_low()
            if _wants_room(found, low):
                if await self._make_room(self._wanted(found)):
                    found, low = await asyncio.to_thread(self._look)
                await asyncio.to_thread(self._hold_reserve, found)
            await self._turn_to(found, low)
            await self._news.catch_up()

    def _look_and_hold(self) -> tuple[Hindrance | None, bool]:
        """`_look`, and where no room need be made, all that there is to do: a realm at rest wakes one thread for it."""
        found, low = self._look()
        if not _wants_room(found, low):
            self._hold_reserve(found)
        return found, low

    def _look(self) -> tuple[Hindrance | None, bool]:
        hindrance = self._places.look()
        if hindrance is not None:
            return hindrance, self.is_low
        rooms = self._gauge.read()
        if isinstance(rooms, Hindrance):
            return rooms, self.is_low
        self._room = rooms.get("current_model")
        hindrance = judge(rooms, self._limits, self.hindrance)
        waiting = self._waiting_save
        return hindrance or (waiting.hindrance if waiting else None), self._is_low_now()

    @property
    def _waiting_save(self) -> _WaitingSave | None:
        return self._short if self._short and time.monotonic() <= self._short.until else None

    def _is_low_now(self) -> bool:
        if self._room is None:
            return self.is_low
        if time.monotonic() >= self._no_forecast_before:
            self._no_forecast_before = time.monotonic() + FORECAST_SECONDS
            whole = (record.size_bytes for record in self._ledger.list_all() if record.has_optimizer)
            self._save_bytes = next(whole, None)
        limit = self._limits.low_below(self._save_bytes)
        return self._room.spare < (limit * EPISODE_ENDS if self.is_low else limit)

    def _hold_reserve(self, found: Hindrance | None) -> None:
        if found is None or found.kind == "short":
            if time.monotonic() >= self._no_reserve_before and not self._headroom.take():
                # As with a quota, which the free space does not show.
                self._no_reserve_before = time.monotonic() + RETRY_SECONDS
        elif _is_full(found):
            self._headroom.give_up()

    async def _turn_to(self, found: Hindrance | None, low: bool) -> None:
        before, was_low, self.is_low = self.hindrance, self.is_low, low
        if found is not None and found.is_still(before):
            return  # its words stay, whatever the numbers are by now
        self.hindrance, self.since = found, datetime.now(UTC) if found is not None else None
        if self.bars_trainer:
            self._usable.clear()
        else:
            self._usable.set()
        if found is not None and (before is None or (before.event, before.place) != (found.event, found.place)):
            message = _as_news(found)
            logger.warning("%s", message, extra={"event": found.event})
            await self._news.tell(found.event, message, {"place": found.place} | self.view())
        if found is None and (before is not None or (was_low and not low)):
            was_full = before is None or before.kind in ("full", "short")
            message = "The disk has room again" if was_full else "The disk is back"
            message += ", and all goes on" if before is not None else ""
            logger.info("%s", message, extra={"event": "disk_ok"})
            await self._news.tell("disk_ok", message, self.view())
        if found != before:
            self._on_turn()

    async def _tell_low(self) -> None:
        room, save = self._room, self._save_bytes
        if room is None:
            return
        fits = room.free // save if save else None
        goes = await asyncio.to_thread(self._names_to_go)
        message = f"Little room is left on the disk of current_model/: {megabytes(room.free)} are free"
        message += f", {fits} times the size of a checkpoint" if fits is not None else ""
        message += f"; by the rules of retention goes {', '.join(goes[:5])}" if goes else ""
        logger.warning("%s", message, extra={"event": "disk_low"})
        await self._news.tell("disk_low", message, self.view() | {"saves_that_fit": fits, "may_go": goes})

    # --- making room ---------------------------------------------------------------------------------------------

    def _names_to_go(self) -> list[str]:
        try:
            return [deletion.holding.name for deletion in self._treasury.plan(datetime.now(UTC))]
        except (OSError, RealmError):  # told when it is really to make room
            return []

    def _wanted(self, found: Hindrance | None) -> int | None:
        """Bytes that end the want of room; None where only that may go which the rules let go."""
        room = self._room
        if _is_full(found):
            return int(self._limits.low_below(self._save_bytes) * EPISODE_ENDS) - (room.spare if room else 0)
        waiting = self._waiting_save
        missing = waiting.needed_bytes - (room.free if room else 0) if waiting else 0
        return missing if missing > 0 else None

    async def _make_room(self, bytes_wanted: int | None) -> bool:
        """Have deleted what the rules let go, or so many bytes of whatever nothing holds; False when nothing went."""
        if time.monotonic() < self._no_pruning_before:
            return False
        self._no_pruning_before = time.monotonic() + PRUNE_SECONDS
        try:
            gone = await asyncio.to_thread(self._prune, bytes_wanted)
        except (OSError, RealmError) as error:
            logger.warning("no room could be made: %s", error, extra={"event": "prune_failed"})
            return False
        return bool(gone)

    def _prune(self, bytes_wanted: int | None) -> list[Deletion]:
        now = datetime.now(UTC)
        return self._treasury.prune(now) if bytes_wanted is None else self._treasury.make_room(bytes_wanted, now)


def _is_full(found: Hindrance | None) -> bool:
    return found is not None and found.kind == "full"


def _as_news(hindrance: Hindrance) -> str:
    return f"{'Training waits' if hindrance.holds_work else 'A save waits'} for the disk: {hindrance.message}"


def _wants_room(found: Hindrance | None, low: bool) -> bool:
    return low or (found is not None and found.kind in ("full", "short"))

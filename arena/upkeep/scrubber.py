"""Reads published checkpoints again in quiet times, so that rot is found before a checkpoint is needed.

The reading is the scribe's (`vault.rereading`), within the budget of `scrub.megabytes_per_second`; it rests while the
trainer works or files come in. A rotten checkpoint is set aside, but HEAD only once a newer one took its place: the
trainer still has in memory what HEAD holds, and is asked to save it anew.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_survey import saved_at
from core.errors import RealmError
from core.paths import RealmPaths
from core.settings import ScrubSettings
from core.tasks import beat, rest
from vault.checkpoints import CheckpointDir, CheckpointStore
from vault.scrub_record import read_scrub_record, write_scrub_record

logger = logging.getLogger(__name__)

SLICE_SECONDS = 0.25
"""One slice is what the budget allows in so many seconds: short enough that the intake hardly waits for it."""
LARGEST_SLICE = 32 << 20
BUSY_SECONDS = 2.0
"""How long it waits before it looks again whether the realm is quiet."""
NOTHING_DUE_SECONDS = 60.0
"""The same where there is nothing to read, or where the disk or the scribe refused."""
HUNG_SECONDS = 900.0

Ask = Callable[[str, dict[str, Any]], Awaitable[Any]]
"""Has the scribe run a job: `Scribe.run`."""
Tell = Callable[..., Awaitable[None]]
"""Tells an event: kind, sentence, time, data."""
SaveAnew = Callable[[str], Awaitable[bool]]
"""Asks the trainer for a checkpoint of what it holds, for this reason; False when there is no trainer."""


@dataclass
class _Reading:
    """One checkpoint that is being read."""

    found: CheckpointDir
    inode: int
    files: list[tuple[str, str]]
    """Names and hashes of the files that are still to be read, in order."""
    offset: int = 0
    again: bool = False
    """Whether the present file is read for the second time, as it seemed altered the first time."""
    problems: list[str] = field(default_factory=list)


@dataclass
class _Rotten:
    """A checkpoint that is not as it was saved and still stands under its name."""

    inode: int
    problems: list[str]
    asked_at: datetime | None = None


class Scrubber:
    """One per daemon; `round` does one slice and may be called from one task only."""

    def __init__(
        self,
        paths: RealmPaths,
        ledger: CheckpointLedger,
        ask: Ask,
        *,
        settings: Callable[[], ScrubSettings],
        is_quiet: Callable[[], bool],
        save_anew: SaveAnew,
        tell: Tell,
    ) -> None:
        self._file = paths.scrub_record
        self._store = CheckpointStore(paths.current_model)
        self._ledger = ledger
        self._ask = ask
        self._settings = settings
        self._is_quiet = is_quiet
        self._save_anew = save_anew
        self._tell = tell
        self._record = read_scrub_record(self._file)
        self._reading: _Reading | None = None
        self._rotten: dict[str, _Rotten] = {}
        self._told: str | None = None

    async def run(self) -> None:
        """Read for ever."""
        while True:
            beat(HUNG_SECONDS)
            begun = time.monotonic()
            pause = await self.round(datetime.now(UTC))
            rest()
            # The time that the slice took is part of the budget's interval.
            await asyncio.sleep(max(begun + pause - time.monotonic(), pause / 10))

    async def round(self, now: datetime) -> float:
        """Read one slice if the realm is quiet; returns after how many seconds the next round may begin."""
        try:
            await self._deal_with_rotten(now)
            budget = self._settings().megabytes_per_second * 1_000_000
            if not budget or not self._is_quiet():
                return BUSY_SECONDS
            if self._reading is None and not await self._begin(now):
                return NOTHING_DUE_SECONDS
            length = min(LARGEST_SLICE, max(1, int(budget * SLICE_SECONDS)))
            return await self._read(length, now) / budget
        except (OSError, RealmError) as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("no checkpoint is read again for now: %s", error, extra={"event": "scrub_failed"})
            return NOTHING_DUE_SECONDS

    async def note_read(self, name: str, inode: int, problems: list[str], now: datetime) -> None:
        """Somebody else has read all of the checkpoint that was `inode` again: written down, and acted upon, as if it
        was read here."""
        found = next((each for each in await asyncio.to_thread(self._store.list) if each.name == name), None)
        if found is None or await asyncio.to_thread(inode_of, found.path) != inode:
            return  # deleted, set aside or saved anew meanwhile
        if self._reading is not None and self._reading.found.name == name:
            self._reading = None  # it need not be read to its end once more
            self._record.reading, self._record.files_read = None, []
        await self._conclude(found.name, inode, problems, now)

    # --- reading ------------------------------------------------------------------------------------------

    async def _begin(self, now: datetime) -> bool:
        """Open the checkpoint whose turn it is; False when none is due."""
        found = await asyncio.to_thread(self._next_due, now)
        if found is None:
            return False
        inode = await asyncio.to_thread(inode_of, found.path)
        opened = await self._ask("vault.rereading:open_checkpoint", {"folder": str(found.path)})
        before = set(self._record.files_read) if self._record.reading == found.name else set()
        if not before:
            self._record.reading, self._record.files_read = found.name, []
        if opened["problems"]:
            self._reading = _Reading(found, inode, [], problems=opened["problems"])
        else:
            entries: dict[str, Any] = opened["files"]
            left = [(name, entry["blake3"]) for name, entry in sorted(entries.items()) if name not in before]
            self._reading = _Reading(found, inode, left)
        return True

    def _next_due(self, now: datetime) -> CheckpointDir | None:
        """The checkpoint that was begun before a restart, else the one that was verified longest ago."""
        every = timedelta(days=self._settings().every_days)
        present = [found for found in self._store.list() if found.name not in self._rotten]
        last = {found.name: self._last_known_good(found) for found in present}
        # A clock that was wrong for a while makes them due, never unreadable for years.
        due = [found for found in present if abs(now - last[found.name]) >= every]
        return min(due, key=lambda found: (found.name != self._record.reading, last[found.name]), default=None)

    def _last_known_good(self, found: CheckpointDir) -> datetime:
        told = self._record.verified_at.get(found.name)
        return datetime.fromisoformat(told) if told else saved_at(found.path)

    async def _read(self, length: int, now: datetime) -> int:
        """The next slice of the present checkpoint; returns how many bytes it was."""
        reading = self._reading
        assert reading is not None
        if not reading.files:
            await self._finish(reading, now)
            return 0
        name, wanted = reading.files[0]
        arguments = {"path": str(reading.found.path / name), "offset": reading.offset, "length": length}
        answer = await self._ask("vault.rereading:read_slice", arguments)
        count: int = max(answer["offset"] - reading.offset, 0)
        reading.offset = answer["offset"]
        if answer["digest"] is None and answer["problem"] is None:
            return count
        problem = answer["problem"] or ("was altered" if answer["digest"] != wanted else None)
        reading.offset = 0
        if problem is not None and not reading.again:
            # Memory and cables err too: only what is wrong twice is the checkpoint's fault.
            reading.again = True
            return count
        reading.again = False
        del reading.files[0]
        if problem is not None:
            reading.problems.append(f"{name} {problem}")
        else:
            self._record.files_read.append(name)
            await self._write(now)
        return count

    async def _finish(self, reading: _Reading, now: datetime) -> None:
        self._reading = None
        self._record.reading, self._record.files_read = None, []
        name = reading.found.name
        if await asyncio.to_thread(inode_of, reading.found.path) != reading.inode:
            return  # deleted, set aside or saved anew meanwhile
        await self._conclude(name, reading.inode, reading.problems, now)

    async def _conclude(self, name: str, inode: int, problems: list[str], now: datetime) -> None:
        if not problems:
            self._record.verified_at[name] = now.isoformat()
            await self._write(now)
            return
        self._rotten[name] = _Rotten(inode, problems)
        self._record.verified_at.pop(name, None)
        message = f"Checkpoint {name} has rotted on the disk: {'; '.join(problems)}"
        logger.error("%s", message, extra={"event": "checkpoint_rotten"})
        await self._tell("checkpoint_rotten", message, now, checkpoint=name, problems=problems)
        await self._write(now)

    async def _write(self, now: datetime) -> None:
        names = {found.name for found in await asyncio.to_thread(self._store.list)}
        record = self._record
        record.verified_at = {name: at for name, at in record.verified_at.items() if name in names}
        record.rotten = {name: rotten.problems for name, rotten in self._rotten.items()}
        await asyncio.to_thread(write_scrub_record, self._file, record, now=now)

    # --- what is rotten -----------------------------------------------------------------------------------

    async def _deal_with_rotten(self, now: datetime) -> None:
        for name, rotten in list(self._rotten.items()):
            folder = self._store.root / name
            if await asyncio.to_thread(inode_of, folder) != rotten.inode:
                del self._rotten[name]  # deleted, or saved anew under the same name
            elif await asyncio.to_thread(self._store.head) == name:
                await self._ask_for_another(name, rotten, now)
            else:
                await asyncio.to_thread(self._set_aside, name, rotten.problems, now)
                del self._rotten[name]
                message = f"Checkpoint {name} was set aside: {'; '.join(rotten.problems)}."
                await self._tell("checkpoint_quarantined", message, now, checkpoint=name)
                await self._write(now)

    async def _ask_for_another(self, name: str, rotten: _Rotten, now: datetime) -> None:
        """HEAD is rotten: what the trainer holds is saved anew. Asked again every minute, as a save may fail."""
        if rotten.asked_at is not None and timedelta(0) <= now - rotten.asked_at < timedelta(minutes=1):
            return
        first, rotten.asked_at = rotten.asked_at is None, now
        asked = await self._save_anew(f"the present checkpoint {name} has rotted on the disk")
        if first and asked:
            message = f"{name} is the present checkpoint; the trainer still holds all of it and saves it anew."
            await self._tell("save_asked_for", message, now, checkpoint=name)
        elif first:
            message = (
                f"{name} is the present checkpoint, and no trainer holds what is in it: the next start goes on from an "
                "older one and trains again what came after it."
            )
            await self._tell("head_rotten", message, now, checkpoint=name)

    def _set_aside(self, name: str, problems: list[str], now: datetime) -> None:
        self._store.quarantine(name, problems, now=now)
        # The ledger derives from the disk; this line tells its history why the checkpoint is gone.
        self._ledger.forget(name, f"set aside: {'; '.join(problems)}", now=now)


def inode_of(folder: Path) -> int:
    """Tells one directory from another of the same name; -1 when there is none."""
    try:
        return folder.stat().st_ino
    except OSError:
        return -1

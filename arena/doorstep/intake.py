"""From `inbox/` to the quest board: whatever has settled is judged in the scribe and admitted or rejected.

Files go in portions: one job of the scribe, one round of syncs and one transaction for several of them. While a quest
is trained, the work rests between portions (`Pace`), so that thousands of files at once slow down no step.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.blockade import Blockade
from arena.doorstep.arrival import Arrival, verdict_of_failure
from arena.doorstep.inbox import Inbox, InboxFile, Scan
from arena.doorstep.inbox_report import inbox_report
from arena.doorstep.inbox_watch import InboxWatch
from arena.doorstep.pace import Pace
from arena.doorstep.unpacking import clear_unpacking, forget_unpacked
from arena.doorstep.watch_keeper import WatchKeeper
from arena.gatekeepers.rejection import write_rejection
from arena.lanes.admission import place_to_unpack
from arena.lanes.reading import Stamp, stamp_of
from arena.proving.proofs import is_of_this_job
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.telling.lineage_counts import CountVerdicts, Judged, count_nothing
from core.crash_points import crash_point
from core.errors import RealmError
from core.files import DISK, Files
from core.saga import News, Saga
from core.scribe import Scribe, ScribeBug
from core.tasks import beat, comes_within, rest

logger = logging.getLogger(__name__)

JUDGE = "arena.gatekeepers.judging:judge_files"
RETRY_SECONDS = 5.0
"""Pause after the disk refused to take files."""
TURN_PAUSES = 3
"""A file that a full disk refused gives way to others for so many pauses: there may be room for smaller ones."""
TROUBLE_PAUSES = 12
"""The same for a file with a trouble of its own."""
HUNG_SECONDS = 300.0
"""A scan, or the move of one portion, that takes longer than this hangs."""
SLOWEST_COPY = 1 << 20
"""Bytes per second of the slowest network share that is still waited for."""
JUDGE_SECONDS = 600.0
JUDGE_SECONDS_PER_MEGABYTE = 5.0
"""While a quest is trained, the scribe gets a hundredth of a core, and a packed megabyte may hold twenty of text."""
ROUND_SECONDS = 2.0
"""After so much taking in, the inbox is looked at again: something of high priority may have come."""
PORTION_FILES = 16
PORTION_BYTES = 1 << 20
"""A larger file is a portion of its own."""
HINTS_TOGETHER_SECONDS = 0.02
SCAN_SHARE = 0.005
"""Part of one core that scanning may take, however much lies in the inbox: it comes out of the same share of the time
as the work itself (`arena.doorstep.pace`)."""
LONGEST_SCAN_PAUSE = 30.0
TIDY_SECONDS = 0.5
"""So long after a move, what it has left behind is tidied up."""
TOLD_AT_ONCE = 20
"""Strange things of one scan that get an event each; of a folder full of pictures, the rest is counted."""
DEATHS = 3
"""So many times the gates may die of a file before it is rejected; once may have been for want of memory."""
MOST_DEADLY = 1000
"""Such files that are remembered."""
FULL_OR_READ_ONLY = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


class Intake:
    """The task that empties the inbox. File system events only bring the next scan forward."""

    def __init__(
        self,
        inbox: Inbox,
        board: QuestBoard,
        scribe: Scribe,
        saga: Saga,
        *,
        scan_seconds: float,
        on_admitted: Callable[[], None],
        in_hurry: Callable[[], bool] = lambda: True,
        held: Callable[[], str | None] = lambda: None,
        is_swept: Callable[[], bool] = lambda: True,
        retry_seconds: float = RETRY_SECONDS,
        count_verdicts: CountVerdicts = count_nothing,
        files: Files = DISK,
    ) -> None:
        """`in_hurry` is true while nothing is trained that the work could disturb; `held` tells why nothing may be
        taken in for now, if so; `is_swept` whether the moves that the last realm left half done are finished, before
        which nothing is taken in either."""
        self._inbox = inbox
        self._board = board
        self._scribe = scribe
        self._saga = saga
        self._scan_seconds = scan_seconds
        self._on_admitted = on_admitted
        self._retry_seconds = retry_seconds
        self._count_verdicts = count_verdicts
        self._files = files
        self._hint = asyncio.Event()
        self._held = held
        self._is_swept = is_swept
        self._pace = Pace(in_hurry)
        self._blockade = Blockade(saga, "inbox")
        self._refused: dict[Path, Arrival] = {}
        """Judged, but not moved: gigabytes are not unpacked and judged again with every try."""
        self._deaths: dict[Path, tuple[Stamp, int]] = {}
        """Files of which the gates died, and how often."""
        self._has_cleared = False
        """Whether what the last realm had unpacked is gone."""
        self._is_untidy = False
        """Whether moves into the lanes have left something behind: for later, as a trainer may wait for the quests, and
        the disk takes as long for it as for the moves."""
        self._tidying: asyncio.Task[None] | None = None
        self._told_strange: dict[str, str] = {}
        self.watch: WatchKeeper | None = None
        self.waiting = 0
        """Files in the inbox at the last scan that are not settled or not taken yet."""
        self.coming = 0
        """Those of them that will be judged in a moment; the seal of an empty board and the gate wait for no others."""
        self._scan: Scan | None = None
        """The last one."""
        self._scan_cost = 0.0
        """CPU seconds that it took."""
        self._warming: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Scan for ever."""
        self.watch = self._new_watch()
        try:
            while True:
                beat(HUNG_SECONDS)
                await self._wait_for_next(*await self._once())
        finally:
            self.watch.stop()
            for task in (self._tidying, self._warming):
                if task is not None:
                    task.cancel()
            if self._is_untidy:
                self._board.tidy()  # the marks of moves must not outlive them

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold the intake up."""
        return [self._blockade]

    def report(self) -> dict[str, Any]:
        """What lies in the inbox (`arena.doorstep.inbox_report`)."""
        blocked = self._held() or self._blockade.message
        return inbox_report(self._board.paths.inbox, self.waiting, self._scan, blocked)

    def _new_watch(self) -> WatchKeeper:
        loop, root = asyncio.get_running_loop(), self._board.paths.inbox

        def hint() -> None:
            loop.call_soon_threadsafe(self._hint.set)

        def tell(kind: str, message: str) -> None:
            self._saga.tell([News(kind, message)], now=datetime.now(UTC))

        return WatchKeeper(root, lambda: InboxWatch(root, hint), tell)

    async def _once(self) -> tuple[float, float]:
        """Look at the inbox and take in what is ready; returns after how many seconds to look again, at least and at
        most: a hint brings the next look forward within these."""
        begun = time.monotonic()
        if not self._has_cleared and self._is_swept():
            await asyncio.to_thread(clear_unpacking, self._board.paths, self._files)
            self._has_cleared = True
        self._hint.clear()  # before the look: what comes while it lasts may be missed by it
        scan, cost = await asyncio.to_thread(self._look, begun)
        # One scan alone may have come upon a collection of garbage or a busy host: half a minute deaf for nothing.
        pause = min(min(cost, self._scan_cost) / SCAN_SHARE, LONGEST_SCAN_PAUSE)
        self._scan_cost = cost
        self.waiting, self._scan = scan.waiting + len(scan.ready), scan
        await self._forget_gone()
        self.coming = scan.coming
        if self.coming and not scan.ready:
            self._warm_up()
        await self._tell_all_strange(scan)
        portions = _portions(scan.ready)
        while scan.ready and (portion := await asyncio.to_thread(next, portions, None)):
            # Looked at for each: judging takes long enough for a disk to become full.
            if self._held() is not None or not self._has_cleared or not await self._take(portion):
                self.coming = 0
                return self._retry_seconds, self._retry_seconds
            self.coming = max(0, self.coming - len(portion))
            await self._pace.rest()
            if time.monotonic() - begun > max(ROUND_SECONDS, pause):
                return 0.0, 0.0
        settled_in = self._scan_seconds if scan.due is None else scan.due - time.monotonic()
        return pause, min(self._scan_seconds, settled_in)

    def _warm_up(self) -> None:
        """A file is on its way: have the scribe ready, with all that it needs, by the time it has settled."""
        if self._scribe.worker_pid is None and (self._warming is None or self._warming.done()):
            self._warming = asyncio.create_task(self._make_ready(), name="intake warming up")

    async def _make_ready(self) -> None:
        with suppress(RealmError, OSError, ScribeBug):  # what is wrong shows with the file
            await self._scribe.run(JUDGE, {"jobs": []})

    async def _forget_gone(self) -> None:
        """What was unpacked of a file that somebody has taken away to make room must not fill the disk instead."""
        if self._refused:
            gone = [path for path in self._refused if not await asyncio.to_thread(os.path.lexists, path)]
            unpacked = [self._refused.pop(path).unpack_to for path in gone]
            await asyncio.to_thread(forget_unpacked, unpacked, self._files)

    def _look(self, now: float) -> tuple[Scan, float]:
        """Everything that is to be seen to in the inbox itself; also tells the CPU seconds that the scan took."""
        if self.watch is not None:
            self.watch.look(now)
        begun = time.thread_time()
        scan = self._inbox.scan(now)
        for folder in scan.deserted:
            with suppress(OSError):  # someone has just put something into it
                folder.rmdir()
        return scan, time.thread_time() - begun

    def _tidy_soon(self) -> None:
        self._is_untidy = True
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy(), name="intake tidying up")

    async def _tidy(self) -> None:
        while self._is_untidy:
            await asyncio.sleep(TIDY_SECONDS)
            self._is_untidy = False  # what moves from here on has to wait in its turn
            await asyncio.to_thread(self._board.tidy)

    async def _wait_for_next(self, at_least: float, at_most: float) -> None:
        await asyncio.sleep(at_least)
        if await comes_within(max(0.0, at_most - at_least), self._hint):
            # One write brings several events, of which the last one counts. Bursts of scans are held up by `at_least`.
            await asyncio.sleep(min(HINTS_TOGETHER_SECONDS, self._scan_seconds))

    async def _take(self, portion: Sequence[tuple[InboxFile, Stamp]]) -> bool:
        """Judge and admit some files; False when the disk takes nothing any more."""
        old = [arrival for file, _ in portion if (arrival := self._refused.pop(file.path, None))]
        stamps = {file.path: stamp for file, stamp in portion}
        judged = [each for each in old if _is_same(stamps[each.file.path], each.stamp) and each.rows_are_there()]
        if unwanted := [each.unpack_to for each in old if each not in judged]:
            await asyncio.to_thread(forget_unpacked, unwanted, self._files)
        known = {arrival.file.path for arrival in judged}
        fresh = [place for place in portion if place[0].path not in known]
        arrivals = judged + (await self._judge(fresh) if fresh else [])
        beat(HUNG_SECONDS + sum(arrival.stamp[1] for arrival in arrivals) / SLOWEST_COPY)
        self._tidy_soon()
        refused, verdicts = await asyncio.to_thread(self._admit, arrivals)
        self.waiting -= len(arrivals) - len(refused)
        if len(refused) < len(arrivals):
            self._on_admitted()
        await asyncio.to_thread(self._count_verdicts, verdicts, datetime.now(UTC))
        if arrivals and not refused:
            await self._blockade.lift("Files from the inbox are taken in again")
        for arrival, _ in refused:
            self._refused[arrival.file.path] = arrival
            self._hold_back(arrival.file, TURN_PAUSES)
        for arrival, error in refused:
            # One that is refused again while others go is the one to be told of, not the disk.
            if self._is_blocked(error) and (self._blockade.is_up or arrival.file.path not in known):
                await self._blockade.raise_up(f"Files stay in the inbox, as the queue cannot take them: {error}")
                return False
            await self._leave(arrival.file, error)
        return True

    async def _judge(self, portion: Sequence[tuple[InboxFile, Stamp]]) -> list[Arrival]:
        """The gates' verdicts; not on files that went or changed meanwhile, or that the scribe cannot judge."""
        rest()  # the scribe has a time limit of its own
        unpacked = [place_to_unpack(self._board.paths) for _ in portion]
        files = zip((file.path for file, _ in portion), unpacked, strict=True)
        jobs = [{"path": str(path), "unpack_to": str(place)} for path, place in files]
        try:
            megabytes = sum(stamp[1] for _, stamp in portion) / 1e6
            timeout = JUDGE_SECONDS + JUDGE_SECONDS_PER_MEGABYTE * megabytes
            verdicts = await self._scribe.run(JUDGE, {"jobs": jobs}, timeout)
        except (RealmError, ScribeBug, OSError) as error:
            await asyncio.to_thread(forget_unpacked, unpacked, self._files)
            if len(portion) == 1:
                if self._is_deadly(*portion[0], error):
                    return [Arrival(*portion[0], verdict_of_failure(error), unpacked[0])]
                await self._leave(portion[0][0], error)
                return []
            # The scribe may have died of one of them, which must not keep back the others.
            return [arrival for place in portion for arrival in await self._judge([place])]
        finally:
            beat(HUNG_SECONDS)
        arrivals = [Arrival(*file, *found) for file, *found in zip(portion, verdicts, unpacked, strict=True)]
        taken = [arrival for arrival in arrivals if self._is_taken(arrival)]
        kept = {arrival.unpack_to for arrival in taken}
        await asyncio.to_thread(forget_unpacked, [place for place in unpacked if place not in kept], self._files)
        return taken

    def _is_deadly(self, file: InboxFile, stamp: Stamp, error: Exception) -> bool:
        """Whether the gates have died of this very file again and again, so that it must not be tried for ever."""
        if not is_of_this_job(error):
            return False  # there is no room, or no scribe
        before, deaths = self._deaths.get(file.path, (stamp, 0))
        if len(self._deaths) > MOST_DEADLY:
            self._deaths.clear()
        self._deaths[file.path] = (stamp, deaths + 1 if _is_same(stamp, before) else 1)
        return self._deaths[file.path][1] >= DEATHS

    def _is_taken(self, arrival: Arrival) -> bool:
        """False for a file that went, was changed since it was judged, or may still be growing."""
        if arrival.verdict["incomplete"] and self._inbox.wait_for_more(arrival.file, time.monotonic()):
            return False
        return _is_same(stamp_of(arrival.file.path), arrival.stamp)

    def _admit(self, arrivals: Sequence[Arrival]) -> tuple[list[tuple[Arrival, OSError]], list[Judged]]:
        """Move the files into their lanes and tell of it; returns those that the disk did not take, and the verdicts on
        the others."""
        now = datetime.now(UTC)
        crash_point("unpack.judged")
        outcomes = self._board.admit_all([each.admission(now) for each in arrivals], now=now, tidy_later=True)
        crash_point("intake.admitted")
        news, refused = [], []
        judged: list[Judged] = []
        for arrival, outcome in zip(arrivals, outcomes, strict=True):
            if isinstance(outcome, OSError):
                refused.append((arrival, outcome))
                continue
            self._told_strange.pop(str(arrival.file.path), None)
            self._deaths.pop(arrival.file.path, None)
            if isinstance(outcome, Quest):
                news.append(arrival.news(outcome))
                judged.append((outcome.record, arrival.verdict))
                if not arrival.accepted:
                    self._write_report(arrival, outcome, now)
        kept = {arrival.unpack_to for arrival, _ in refused}
        forget_unpacked((each.unpack_to for each in arrivals if each.unpack_to not in kept), self._files)
        self._saga.tell(news, now=now)
        return refused, judged

    def _write_report(self, arrival: Arrival, quest: Quest, now: datetime) -> None:
        try:
            write_rejection(quest.path, arrival.verdict, now=now, files=self._files)
        except OSError as error:  # the reason stands in the sidecar and in the event too
            logger.warning("no report on %s: %s", quest.path, error, extra={"event": "report_failed"})

    def _is_blocked(self, error: OSError) -> bool:
        """True when the queue takes no file at all, whichever it is."""
        in_queue = error.filename is not None and Path(str(error.filename)).is_relative_to(self._board.paths.queue)
        return in_queue or error.errno in FULL_OR_READ_ONLY

    async def _leave(self, file: InboxFile, error: Exception) -> None:
        """This file stays for now; the others go on."""
        reason = f"it could not be taken in yet and stays: {error}"
        self._hold_back(file, TROUBLE_PAUSES, reason)
        await self._tell_strange(str(file.path), reason)

    def _hold_back(self, file: InboxFile, pauses: int, reason: str | None = None) -> None:
        self._inbox.hold_back(file, time.monotonic() + pauses * self._retry_seconds, reason)

    async def _tell_all_strange(self, scan: Scan) -> None:
        for strange in scan.strange[:TOLD_AT_ONCE]:
            await self._tell_strange(strange.shown, strange.reason)
        if len(scan.strange) > TOLD_AT_ONCE:
            more = f"{len(scan.strange) - TOLD_AT_ONCE} more files in the inbox are not taken either"
            await asyncio.to_thread(self._saga.tell, [News("inbox_strange", more)], now=datetime.now(UTC))

    async def _tell_strange(self, path: str, reason: str) -> None:
        """Report an odd thing in the inbox once, until its reason changes."""
        if self._told_strange.get(path) == reason:
            return
        if len(self._told_strange) > 10_000:
            self._told_strange.clear()
        self._told_strange[path] = reason
        news = News("inbox_strange", f"{path}: {reason}", {"path": path})
        await asyncio.to_thread(self._saga.tell, [news], now=datetime.now(UTC))


def _is_same(now: Stamp | None, before: Stamp) -> bool:
    """Whether a file is still as it was; on some network shares its inode number changes by itself."""
    return now is not None and now[1:] == before[1:]


def _portions(files: Sequence[InboxFile]) -> Iterator[list[tuple[InboxFile, Stamp]]]:
    """The files in portions, each file as it is at that moment; what is gone is left out."""
    portion: list[tuple[InboxFile, Stamp]] = []
    size = 0
    for file in files:
        stamp = stamp_of(file.path)
        if stamp is None:
            continue
        if portion and (len(portion) == PORTION_FILES or size + stamp[1] > PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append((file, stamp))
        size += stamp[1]
    if portion:
        yield portion

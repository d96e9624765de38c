"""From `inbox/` to the quest board: whatever has settled is judged in the scribe and admitted or rejected."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from arena.gatekeepers.rejection import describe_verdict, write_rejection
from arena.inbox import Inbox, InboxFile, Scan
from arena.inbox_watch import InboxWatch
from arena.quest_board import QuestBoard
from arena.quests import QuestRecord, new_quest_id, read_lineage
from core.errors import RealmError
from core.files import DISK, Files
from core.saga import Saga
from core.scribe import Scribe

logger = logging.getLogger(__name__)

GATE = "arena.gatekeepers.gate:inspect_file"
RETRY_SECONDS = 5.0
"""Pause after the disk or the scribe failed; the files stay in the inbox meanwhile."""


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
        files: Files = DISK,
    ) -> None:
        self._inbox = inbox
        self._board = board
        self._scribe = scribe
        self._saga = saga
        self._scan_seconds = scan_seconds
        self._on_admitted = on_admitted
        self._files = files
        self._hint = asyncio.Event()
        self._told_strange: dict[str, str] = {}
        self.waiting = 0
        """Files in the inbox at the last scan that are not settled or not taken yet."""

    async def run(self) -> None:
        """Scan for ever."""
        loop = asyncio.get_running_loop()

        def hint() -> None:
            loop.call_soon_threadsafe(self._hint.set)

        watch = InboxWatch(self._board.paths.inbox, hint)
        watch.start()
        try:
            while True:
                await self._once()
                self._hint.clear()
                try:
                    await asyncio.wait_for(self._hint.wait(), self._scan_seconds)
                    # A burst of events must not become a burst of scans.
                    await asyncio.sleep(min(0.1, self._scan_seconds))
                except TimeoutError:
                    pass
        finally:
            watch.stop()

    async def _once(self) -> None:
        scan: Scan = await asyncio.to_thread(self._inbox.scan, time.monotonic())
        self.waiting = scan.waiting + len(scan.ready)
        for strange in scan.strange:
            await self._tell_strange(strange.shown, strange.reason)
        for file in scan.ready:
            try:
                await self._take(file)
            except (OSError, RealmError) as error:
                logger.warning("%s stays in the inbox: %s", file.path, error, extra={"event": "intake_failed"})
                await self._tell_strange(str(file.path), f"it could not be taken in yet and stays: {error}")
                await asyncio.sleep(RETRY_SECONDS)
                return
            self.waiting -= 1

    async def _take(self, file: InboxFile) -> None:
        before = file.path.stat()
        verdict = await self._scribe.run(GATE, {"path": str(file.path)})
        after = file.path.stat()
        if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
            return
        await asyncio.to_thread(self._admit, file, verdict)
        self._told_strange.pop(str(file.path), None)
        self._on_admitted()

    def _admit(self, file: InboxFile, verdict: dict[str, Any]) -> None:
        now = datetime.now(UTC)
        record = self._record(file, verdict, now)
        lane = file.priority if verdict["accepted"] else "failed"
        quest = self._board.admit(file.path, record, lane, file.name, now=now)
        data = {"quest_id": quest.quest_id, "file": quest.name, "priority": file.priority, "rows": record.rows}
        if verdict["accepted"]:
            message = f"{quest.name} joins the quest board ({file.priority}, {record.rows} rows)"
            self._saga.append("quest_accepted", message, now=now, data=data)
            return
        write_rejection(quest.path, verdict, now=now, files=self._files)
        judgement, *reasons = describe_verdict(verdict)
        message = f"{quest.name} was {judgement}" + (f"; {reasons[0]}" if reasons else "")
        self._saga.append("quest_rejected", message, now=now, data={**data, "reasons": reasons[:10]})

    def _record(self, file: InboxFile, verdict: dict[str, Any], now: datetime) -> QuestRecord:
        lineage = read_lineage(file.path)
        header = verdict.get("header") or {}
        accepted = bool(verdict["accepted"])
        return QuestRecord(
            quest_id=new_quest_id(now),
            submitted_at=now.isoformat(),
            priority=file.priority,
            content_hash=verdict.get("content_hash") or "",
            rows=verdict.get("rows") or 0,
            schema_id=verdict.get("schema_id") or "",
            original_name=file.path.name,
            epochs=_whole_number(lineage.get("epochs", header.get("epochs"))),
            profile=_text(lineage.get("profile", header.get("profile"))),
            system_prompt=_text(lineage.get("system_prompt", header.get("system_prompt"))),
            outcome=None if accepted else "rejected",
            reason=None if accepted else "; ".join(describe_verdict(verdict)[:2]),
            finished_at=None if accepted else now.isoformat(),
            lineage={"validator_versions": verdict.get("validators", {}), "validation_passed": accepted},
        )

    async def _tell_strange(self, path: str, reason: str) -> None:
        """Report an odd thing in the inbox once, until its reason changes."""
        if self._told_strange.get(path) == reason:
            return
        if len(self._told_strange) > 10_000:
            self._told_strange.clear()
        self._told_strange[path] = reason
        now = datetime.now(UTC)
        await asyncio.to_thread(self._saga.append, "inbox_strange", f"{path}: {reason}", now=now, data={"path": path})


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None

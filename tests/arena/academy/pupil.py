"""A school with its board, and a pupil in the place of intake and trainer: moves quests and answers by hand."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from arena.academy.register import EXAMINATIONS
from arena.academy.school import School
from arena.command.live_settings import LiveSettings
from arena.examinations import Examinations
from arena.journal import JOURNAL_NAME, Genesis, Journal
from arena.lanes.reading import content_hash
from arena.protocol import Examined
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord, new_quest_id
from arena.telling.live_report import LiveReport
from core.db import Database
from core.paths import PRIORITIES, RealmPaths
from core.saga import MIGRATIONS, News, Saga
from core.scribe_worker import find_target
from core.settings import BudgetSettings, Settings
from guild.curriculum.planning import QuestPlan
from guild.quests.making import questions_of
from guild.records import GuildRecords

BEGUN = "2026-11-21T20:00:00+00:00"
SETTINGS: dict[str, Any] = {
    "auto_generate": {"enabled": True, "count": 40},
    "examination": {"problems": 4, "rehearsal_problems": 2},
}


class InlineScribe:
    """Runs the scribe's jobs in a thread of this process, with what came over the pipe."""

    async def run(self, target: str, kwargs: dict[str, Any], timeout: float | None = None) -> Any:
        return await asyncio.to_thread(find_target(target), **json.loads(json.dumps(kwargs)))


class Class:
    """One realm's school and its pupil."""

    def __init__(self, base: Path, *, genesis_at: str = BEGUN, scribe: Any = None, **settings: Any) -> None:
        self.paths = RealmPaths(base)
        self.paths.create()
        self.board = QuestBoard(self.paths)
        self.settings = Settings.model_validate({**SETTINGS, **settings})
        self.report = LiveReport("sprite", "Sprite", "seedling", 128, datetime.now(UTC))
        if not self.paths.saga_db.exists():
            shutil.copy(_migrated(), self.paths.saga_db)
        self.saga = Saga(Database(self.paths.saga_db, MIGRATIONS), BudgetSettings())
        self.answers = Examinations(self.paths.current_model / EXAMINATIONS)
        self.live = LiveSettings(self.settings, self.paths.config_file, lambda: self.settings)
        self.step = 0
        if not (self.paths.current_model / JOURNAL_NAME).exists():
            line = Genesis(seq=1, at=genesis_at, hero="sprite", base_model="seedling", weights="00")
            Journal(self.paths.current_model / JOURNAL_NAME).append(line)
        self.school = School(
            self.paths, board=self.board, scribe=scribe or InlineScribe(), saga=self.saga, settings=self.live,
            report=self.report, tell=self._tell, retry_seconds=0.0,
        )  # fmt: skip

    async def _tell(self, kind: str, message: str, now: datetime, **data: Any) -> None:
        self.saga.tell([News(kind, message, data)], now=now)

    def close(self) -> None:
        self.saga.db.close()

    # --- the intake -------------------------------------------------------------------------------------------

    def take_in(self) -> list[Quest]:
        """Whatever lies in the inbox goes to its lane."""
        return [
            self.board.admit(path, self._record(path, priority), priority, path.name, now=_now())
            for priority in PRIORITIES
            for path in sorted((self.paths.inbox / priority).glob("*.jsonl"))
        ]

    def reject(self) -> None:
        """The gates refuse whatever lies in the inbox."""
        for path in sorted(self.paths.inbox.glob("*/[!.]*.jsonl")):
            record = self._record(path, "low")
            record.outcome, record.reason = "rejected", "line 1: too long"
            self.board.admit(path, record, "failed", path.name, now=_now())

    def _record(self, path: Path, priority: str) -> QuestRecord:
        return QuestRecord(
            quest_id=new_quest_id(_now()), submitted_at=_now().isoformat(), priority=priority,
            content_hash=content_hash(path), rows=40, schema_id="chat_sft_v1", original_name=path.name,
        )  # fmt: skip

    # --- the trainer ------------------------------------------------------------------------------------------

    def claim(self) -> Quest:
        waiting = self.board.next_waiting()
        assert waiting is not None, "nothing waits"
        return self.board.claim(waiting)

    def finish(self, quest: Quest, knows: Callable[[int], bool], *, tell: bool = True) -> str | None:
        """Learn a claimed quest, and answer its examination rightly at the levels that `knows` tells."""
        sheet = self.school.examination_after(quest.record)
        self.step += 5
        if sheet is not None and tell:
            self.answers.keep(self.answered(quest, knows))
        self.board.await_seal(
            quest.quest_id, outcome="learned", rows_learned=40, first_step=self.step - 5, last_step=self.step,
            now=_now(),
        )  # fmt: skip
        return sheet.exam_id if sheet is not None else None

    def answered(self, quest: Quest, knows: Callable[[int], bool]) -> Examined:
        params = {key: value for key, value in quest.record.lineage["params"].items() if key != "history"}
        plan = QuestPlan.from_json(params)
        answers = [problem.answer if knows(problem.level) else "no idea" for problem in questions_of(plan)]
        return Examined(
            exam_id=plan.exam_id, quest_id=quest.quest_id, step=self.step, answers=[*answers], seconds=0.1
        )  # fmt: skip

    async def live_on(self, quests: int, knows: Callable[[int], bool] = lambda level: True) -> None:
        """So many quests, one after the other, each looked at right away."""
        await self.school.open()
        for _ in range(quests):
            await self.school.look_once()
            self.take_in()
            self.finish(self.claim(), knows)
        await self.school.look_once()

    # --- what can be seen ---------------------------------------------------------------------------------------

    def made(self) -> list[str]:
        """Names of the generated quests in the order of their numbers, wherever they lie; without their times."""
        return [message.split()[3].rsplit("_", 2)[0] for message in self.events("quest_generated")]

    def contents(self) -> dict[int, str]:
        """Hash of each quest's file by number."""
        records = [quest.record for lane in ("low", "processing", "awaiting_seal") for quest in self.board.quests(lane)]
        return {record.lineage["params"]["number"]: record.content_hash for record in records}

    def events(self, kind: str) -> list[str]:
        return [event.message for event in self.saga.events_after(0, limit=10_000) if event.kind == kind]

    def records(self) -> GuildRecords:
        return GuildRecords(self.saga.db, BEGUN)

    def mastered(self) -> int:
        state = json.loads(self.paths.curriculum_state.read_text())
        return int(state["skills"]["bin"]["mastered_level"])


@cache
def _migrated() -> Path:
    """An empty saga: to make one takes longer than most of these tests."""
    place = Path(tempfile.mkdtemp(prefix="academy-")) / "saga.db"
    atexit.register(shutil.rmtree, place.parent, ignore_errors=True)
    Database(place, MIGRATIONS).close()
    return place


def _now() -> datetime:
    return datetime.now(UTC)

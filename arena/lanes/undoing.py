"""What becomes of quest files when the history that learned them is rewound: set aside, queued again, gone on with.

For a realm that stands still, by its lock's holder. Every move may be asked for twice and is then made once, so that
a rewind that was cut off is finished by doing it again.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from arena.journal import REWOUND
from arena.lanes.moves import LaneMover, body_of
from arena.lanes.reading import CLAIMED_LANES, DATA_SUFFIX, LaneReader
from arena.lanes.sweep import SEALED_NAME
from arena.quests import Quest, QuestRecord
from core.files import DISK, Files
from core.paths import LANES, PRIORITIES, RealmPaths

logger = logging.getLogger(__name__)

QUEUE_AGAIN_LANE = "normal"
"""All that is queued again waits in one lane: the order of learning need not have been that of the priorities."""

ENDED_OTHERWISE = ("skipped", "withdrawn", "lost")
"""Outcomes that stay true of a quest when what it taught is undone."""


class LaneUndoing:
    """Moves the files of undone quests; all methods ignore quests whose files are gone. One for one piece of work."""

    def __init__(self, paths: RealmPaths, files: Files = DISK) -> None:
        self._paths = paths
        self._lanes = LaneReader(paths)
        self._mover = LaneMover(paths, files, self._lanes)
        # Read once: nobody else moves a file meanwhile, and there may be thousands.
        self._places = {
            record.quest_id: file.path
            for lane in LANES
            for file in self._lanes.files(lane)
            if (record := self._lanes.peek(lane, file.name)) is not None
        }

    def find(self, quest_id: str) -> Quest | None:
        """The quest of that id, in whatever lane."""
        path = self._places.get(quest_id)
        record = self._lanes.record(path) if path is not None else None
        return Quest(path, record) if path is not None and record is not None else None

    def in_lanes(self, *lanes: str) -> list[Quest]:
        """The quests of these lanes, oldest first in each."""
        return [quest for lane in lanes for quest in self._lanes.quests(lane)]

    def open_quests(self, begun: Collection[str]) -> list[Quest]:
        """The quests that the model has and no checkpoint covers; `begun` are the ids that its journal holds.

        A realm that was killed may have left such a quest among those that wait.
        """
        waiting = [quest for quest in self.in_lanes(*PRIORITIES) if quest.quest_id in begun and _is_open(quest)]
        return [*self.in_lanes(*CLAIMED_LANES), *waiting]

    def set_aside(self, quest_id: str, *, rows_learned: int, reason: str, now: datetime) -> None:
        """Into `failed/`, from where `realm quest retry` queues it; one that was skipped, say, stays skipped."""
        quest = self.find(quest_id)
        if quest is None:
            return
        record = replace(quest.record, rows_learned=rows_learned)
        if record.outcome not in ENDED_OTHERWISE:
            record = replace(record, outcome=REWOUND, reason=reason, finished_at=now.astimezone(UTC).isoformat())
        self._put(quest, "failed", record)

    def queue_again(self, quest_id: str, new_id: str, *, mtime_ns: int, now: datetime) -> None:
        """Into a waiting lane under a new id; files of a rising `mtime_ns` are claimed in that order."""
        quest = self.find(quest_id)
        if quest is None or self.find(new_id) is not None:
            return
        os.utime(quest.path, ns=(mtime_ns, mtime_ns))
        self._put(quest, QUEUE_AGAIN_LANE, quest.record.again(new_id, QUEUE_AGAIN_LANE, now=now))

    def go_on_with(self, quest_id: str) -> None:
        """Back into `processing/`: the rest of it is learned under the claim that it has."""
        quest = self.find(quest_id)
        if quest is not None:
            self._put(quest, "processing", _reopened(quest.record))

    def let_wait(self, quest_id: str) -> None:
        """A quest that was claimed on the board and never by the trainer waits again."""
        quest = self.find(quest_id)
        if quest is not None and quest.lane in CLAIMED_LANES:
            self._put(quest, quest.record.priority, _reopened(quest.record))

    def seal(self, quest_id: str, *, outcome: str, rows_learned: int, now: datetime) -> None:
        """A checkpoint covers a quest that is still in an open lane: to where its outcome belongs."""
        quest = self.find(quest_id)
        if quest is None or not _is_open(quest):
            return
        finished = quest.record.finished_at or now.astimezone(UTC).isoformat()
        record = replace(quest.record, outcome=outcome, rows_learned=rows_learned, finished_at=finished)
        self._put(quest, "recently_completed" if outcome == "learned" else "failed", record)

    def complete_again(self, quest_id: str, *, rows_learned: int, now: datetime) -> None:
        """What an earlier rewind had set aside is part of the history again."""
        quest = self.find(quest_id)
        if quest is None or quest.record.outcome != REWOUND:
            return
        record = replace(quest.record, outcome="learned", reason=None, rows_learned=rows_learned)
        self._put(quest, "recently_completed", replace(record, finished_at=now.astimezone(UTC).isoformat()))

    def _put(self, quest: Quest, lane: str, record: QuestRecord) -> None:
        if quest.lane == lane:
            self._mover.write(quest.path, body_of(record))
            return
        sealed = SEALED_NAME.fullmatch(quest.name) if quest.lane == "recently_completed" else None
        name = f"{sealed[1]}{DATA_SUFFIX}" if sealed else quest.name
        target = self._mover.rename_free(quest.path, self._paths.lane(lane), name, body_of(record))
        self._places.pop(quest.quest_id, None)
        self._places[record.quest_id] = target
        logger.info(
            "%s: %s → %s", record.quest_id, quest.path, target,
            extra={"event": "quest_moved", "quest_id": record.quest_id},
        )  # fmt: skip


def _is_open(quest: Quest) -> bool:
    """Whether no checkpoint was told to cover it: what is learned and put back by hand is to be learned anew."""
    return quest.lane in CLAIMED_LANES or (quest.lane in PRIORITIES and quest.record.outcome is None)


def _reopened(record: QuestRecord) -> QuestRecord:
    return replace(
        record, outcome=None, reason=None, finished_at=None, rows_learned=None, first_step=None, last_step=None,
        loss_first=None, loss_last=None,
    )  # fmt: skip

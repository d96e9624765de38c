"""Real quests for tests of the board: files with content of their own, and disks that fail or die on demand."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.lanes.reading import content_hash
from arena.quest_board import QuestBoard
from arena.quests import Quest, QuestRecord, new_quest_id
from core.files import Files
from core.paths import RealmPaths

NOW = datetime(2099, 11, 21, 9, 30, tzinfo=UTC)
"""Later than any file that a test writes: leftovers of a crash are old by then."""


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it, so nothing is cleaned up."""


class MortalFiles(Files):
    """A disk whose process dies right before the n-th call that changes something; it does not really sync.

    With an `error`, the disk refuses that call instead, and with `for_good` all that follow.
    """

    def __init__(self) -> None:
        self.calls_left = -1
        self.error: int | None = None
        self.for_good = False

    def _tick(self) -> None:
        if self.calls_left == 0 and self.error is None:
            raise Killed
        refused = self.calls_left == 0
        if not (refused and self.for_good):
            self.calls_left -= 1
        if refused:
            assert self.error is not None
            raise OSError(self.error, os.strerror(self.error))

    def replace(self, source: Path, target: Path) -> None:
        self._tick()
        super().replace(source, target)

    def link(self, source: Path, target: Path) -> None:
        self._tick()
        super().link(source, target)

    def unlink(self, path: Path) -> None:
        self._tick()
        super().unlink(path)

    def fsync(self, fd: int) -> None:
        self._tick()


class MortalCopies(MortalFiles):
    """The same without hard links, as on exFAT or across file systems."""

    def link(self, source: Path, target: Path) -> None:
        self._tick()
        raise OSError(95, "Operation not supported")


def make_realm(base: Path) -> RealmPaths:
    paths = RealmPaths(base)
    paths.create()
    return paths


def drop(paths: RealmPaths, name: str, content: str = "", *, mtime: float | None = None, **lineage: Any) -> Path:
    """A file in the inbox, whole and settled, with a sidecar when `lineage` is given."""
    path = paths.inbox / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content or json.dumps({"messages": [{"role": "user", "content": name}]}) + "\n")
    if mtime is not None:
        os.utime(path, (mtime, mtime))
    if lineage:
        path.with_name(path.name + ".meta.json").write_text(json.dumps(lineage))
    return path


def record_of(source: Path, priority: str = "normal", **fields: Any) -> QuestRecord:
    """What the gates find out about `source`."""
    found: dict[str, Any] = {
        "quest_id": new_quest_id(NOW),
        "submitted_at": NOW.isoformat(),
        "priority": priority,
        "content_hash": content_hash(source),
        "rows": len(source.read_bytes().splitlines()),
        "schema_id": "chat_sft_v1",
        "original_name": source.name,
    }
    return QuestRecord(**{**found, **fields})


def admit(board: QuestBoard, source: Path, priority: str = "normal", name: str | None = None) -> Quest:
    return board.admit(source, record_of(source, priority), priority, name or source.name, now=NOW)


def take(board: QuestBoard, name: str, priority: str = "normal", **options: Any) -> Quest:
    """Drop and admit a quest of that name."""
    return admit(board, drop(board.paths, name, **options), priority)


def learn(board: QuestBoard, quest: Quest, outcome: str = "learned") -> Quest:
    """Claim a waiting quest and end it."""
    claimed = board.claim(quest)
    return board.await_seal(
        claimed.quest_id, outcome=outcome, rows_learned=1, first_step=1, last_step=4, reason=None, now=NOW
    )


def everything_in(folder: Path) -> list[str]:
    """Every name below `folder` but for directories, relative, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())

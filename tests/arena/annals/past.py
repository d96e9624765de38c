"""A realm with a past: journal, checkpoints and quest files as trainer and daemon leave them, made without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.cursor import CURSOR_NAME, Cursor
from arena.journal import JOURNAL_NAME, ClaimEntry, End, Genesis, Journal
from arena.lanes.moves import body_of
from arena.lanes.reading import content_hash
from arena.quests import QuestRecord, read_sidecar, sidecar_of
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.checkpoint_ledger import write_sidecar as write_numbers
from core.checkpoint_survey import OPTIMIZER_FILE
from core.files import DISK
from core.paths import CHECKOUT, LANES, RealmPaths
from tests.arena.trainer.tiny_hero import settings
from tests.vault.making import fill
from vault.checkpoints import CheckpointStore

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
STEP_ROWS = 4
"""Rows of one step with the settings of `tiny_hero`."""


@dataclass
class Past:
    """Writes a past, line by line; `settings` of every quest are those of `tiny_hero`."""

    paths: RealmPaths
    hero: str = "seedling"
    steps: int = 0
    cursor: Cursor = field(default_factory=Cursor)

    def __post_init__(self) -> None:
        self.store = CheckpointStore(self.paths.current_model)
        self.journal = Journal(self.paths.current_model / JOURNAL_NAME)
        self._births = 0
        if self.journal.history.genesis is None:
            self.journal.append(
                Genesis(seq=1, at=NOW.isoformat(), hero=self.hero, base_model="seedling", weights="0" * 64)
            )

    def learn(self, name: str, rows: int = 20, *, lane: str = "recently_completed", **record: Any) -> str:
        """A quest that was learned to its end, its file in `lane`; returns its id."""
        quest_id = self.begin(name, rows, lane=lane, **{"outcome": "learned", "rows_learned": rows, **record})
        self.step_on()
        return quest_id

    def begin(self, name: str, rows: int = 20, *, lane: str = "processing", **record: Any) -> str:
        """A quest that was claimed, no step of it made yet."""
        history = self.journal.history
        self._births += 1
        quest_id = f"q_20261121_0930{self._births:02}_{history.seq:08x}"
        stem = f"{name}_20261121_093000" if lane == "recently_completed" else name
        path = self.paths.lane(lane) / f"{stem}.jsonl"
        path.write_text("".join(f'{{"text": "{name} {row}"}}\n' for row in range(rows)))
        # Later quests have older files: the order of learning is not that of the files.
        age = 10_000 - 10 * self._births
        os.utime(path, (age, age))
        plain: dict[str, Any] = {
            "quest_id": quest_id, "submitted_at": NOW.isoformat(), "priority": "low", "rows": rows, "attempts": 1,
            "content_hash": content_hash(path), "schema_id": "completion_v1", "original_name": f"{name}.jsonl",
        }  # fmt: skip
        write_record(path, QuestRecord(**{**plain, **record}))
        self.journal.append(
            ClaimEntry(
                seq=history.seq + 1, at=NOW.isoformat(), ordinal=self.cursor.ordinal, quest_id=quest_id,
                name=f"{name}.jsonl", content_hash="0" * 64, schema_id="completion_v1", rows=rows, settings=settings(),
            )
        )  # fmt: skip
        return quest_id

    def step_on(self, steps: int | None = None) -> None:
        """So many steps of the quest at the cursor, or all that are left, which ends it."""
        history, cursor = self.journal.history, self.cursor
        left = history.steps_of(cursor.ordinal) - cursor.quest_step
        done = left if steps is None else steps
        self.steps += done
        cursor.quest_step += done
        if done == left:
            cursor.next_quest()

    def skip(self) -> None:
        """The quest at the cursor ends here."""
        history, cursor = self.journal.history, self.cursor
        self.journal.append(
            End(
                seq=history.seq + 1, at=NOW.isoformat(), ordinal=cursor.ordinal, quest_step=cursor.quest_step,
                outcome="skipped", reason="dull",
            )
        )  # fmt: skip
        cursor.next_quest()

    def save(self, loss: float = 1.0, *, optimizer: bool = True) -> str:
        """A checkpoint of this moment; returns its name."""
        name = f"checkpoint-{self.steps}-20261121-09{self.steps % 60:02}"
        staging = self.store.stage()
        fill(staging, f"{self.hero} {self.journal.history.seq} {self.steps}")
        if optimizer:
            (staging / OPTIMIZER_FILE).write_text("moments")
        (staging / JOURNAL_NAME).write_bytes(self.journal.path.read_bytes())
        (staging / CURSOR_NAME).write_text(json.dumps(asdict(self.cursor) | {"checkpoint": name}))
        record = CheckpointRecord(
            step=self.steps, path=str(self.store.root / name), canonical_name=name, timestamp=NOW.isoformat(),
            train_loss=loss, hero=self.hero, ordinal=self.cursor.ordinal, has_optimizer=optimizer,
        )  # fmt: skip
        write_numbers(staging, record)
        self.store.publish(staging, name)
        CheckpointLedger.of(self.paths).record(record, now=NOW)
        return name

    def go_on(self) -> Past:
        """The same realm, after something else has changed it: its steps go on where HEAD stands."""
        head = self.store.resolve("latest")
        cursor = Cursor(**json.loads((head.path / CURSOR_NAME).read_text())) if head else Cursor()
        return Past(self.paths, self.hero, head.step if head else 0, cursor)


def write_record(data_file: Path, record: QuestRecord) -> None:
    """The sidecar beside `data_file`."""
    DISK.write_json(sidecar_of(data_file), body_of(record), durable=False)


def lanes_of(paths: RealmPaths) -> dict[str, list[tuple[str, str | None]]]:
    """What lies in each lane that is not empty: (file name, outcome)."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for lane in LANES:
        for path in sorted(paths.lane(lane).glob("*.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
            record = read_sidecar(path)
            found.setdefault(lane, []).append((path.name, record.outcome if record else "no record"))
    return found


def run_until_killed(code: str, point: str, *arguments: str) -> bool:
    """Run `code` in a process that dies at the crash point; False when it got to its end."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False,
        env={"REALM_CRASH_AT": point, "PYTHONPATH": str(CHECKOUT), "PATH": ""},
    )  # fmt: skip
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def snapshot(paths: RealmPaths, *, without: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file below the folders that a change of history touches, by its path."""
    folders = (paths.current_model, paths.archive, paths.queue, paths.configs)
    files = [path for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(paths.base)): path.read_bytes()
        for path in files
        if path.name not in (".lock", ".position", *without)
    }


def folder_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

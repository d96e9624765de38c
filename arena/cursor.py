"""How far the journal is learned: the place that a checkpoint resumes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

CURSOR_NAME = "cursor.json"


@dataclass
class Cursor:
    """How far the journal is learned: quests below `ordinal` wholly, `quest_step` steps of quest `ordinal`."""

    ordinal: int = 1
    quest_step: int = 0
    announced: int = 1
    """Quests below this ordinal were reported as covered by a checkpoint."""
    rows_total: int = 0
    """Rows learned since the base model, counted once per epoch."""
    train_loss: float | None = None
    val_loss: float | None = None
    learning_rate: float | None = None
    checkpoint: str | None = None
    """Name of the checkpoint that this cursor was last saved in."""

    def next_quest(self) -> None:
        self.ordinal += 1
        self.quest_step = 0


def read_cursor(checkpoint: Path) -> Cursor:
    """The cursor inside a checkpoint; a fresh one for a directory without it (a model made elsewhere)."""
    file = checkpoint / CURSOR_NAME
    if not file.exists():
        return Cursor()
    cursor = Cursor(**json.loads(file.read_text()))
    cursor.announced = cursor.ordinal
    cursor.checkpoint = checkpoint.name
    return cursor

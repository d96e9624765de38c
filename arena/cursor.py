"""How far the journal is learned: the place that a checkpoint resumes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

CURSOR_NAME = "cursor.json"

_NEEDED = {"ordinal", "quest_step", "rows_total"}
"""Without these, rows would be learned a second time, or never."""


@dataclass
class Cursor:
    """How far the journal is learned: quests below `ordinal` wholly, `quest_step` steps of quest `ordinal`."""

    ordinal: int = 1
    quest_step: int = 0
    announced: int = 1
    """Quests below this ordinal were reported as covered by a checkpoint."""
    rows_total: int = 0
    """Rows learned since the base model, counted once per epoch."""
    steps_left_out: int = 0
    """Steps since the base model that were counted and taught nothing."""
    usual: tuple[tuple[float, float], ...] = ()
    """Loss and gradient norm of the latest steps of this quest that taught something (ADR 0012)."""
    peak_loss: float | None = None
    """The highest loss of any step of this quest that taught something."""
    train_loss: float | None = None
    val_loss: float | None = None
    learning_rate: float | None = None
    checkpoint: str | None = None
    """Name of the checkpoint that this cursor was last saved in."""

    def next_quest(self) -> None:
        self.ordinal += 1
        self.quest_step = 0
        self.usual, self.peak_loss = (), None


def read_cursor(checkpoint: Path) -> Cursor:
    """The cursor inside a checkpoint; a fresh one for a directory without it (a model made elsewhere).

    Raises `ValueError` when the file does not tell a place in the journal.
    """
    file = checkpoint / CURSOR_NAME
    if not file.exists():
        return Cursor()
    raw = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(raw, dict) or (missing := sorted(_NEEDED - raw.keys())):
        raise ValueError(f"{CURSOR_NAME} does not tell {', '.join(missing) if isinstance(raw, dict) else 'a place'}")
    try:
        cursor = msgspec.convert(raw, Cursor)
    except msgspec.ValidationError as error:
        raise ValueError(f"{CURSOR_NAME} is damaged: {error}") from error
    if cursor.ordinal < 1 or cursor.quest_step < 0:
        raise ValueError(f"{CURSOR_NAME} tells a place that does not exist: {cursor.ordinal}, {cursor.quest_step}")
    cursor.announced = cursor.ordinal
    cursor.checkpoint = checkpoint.name
    return cursor

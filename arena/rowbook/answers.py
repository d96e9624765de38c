"""What the row-level chronicle sends, as models: they describe the answer in the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from core.http.answer_models import Answer


class RowTold(Answer):
    """One row; losses are means over its tokens to learn, in nats, and null where nobody knows."""

    row: int
    """Its number in the file, from 1."""
    line: int | None
    preview: str | None
    """What it asks and answers, in short."""
    first_loss: float | None
    last_loss: float | None
    first_step: int | None
    """Global step of its first lesson."""
    last_step: int | None
    first_checkpoint: str | None
    """The first that is kept of the checkpoints that hold its first lesson."""
    last_checkpoint: str | None


class RowLosses(Answer):
    """What is on record of the rows of a quest."""

    quest: str
    """Name of its file."""
    quest_id: str
    lane: str
    rows: int
    rows_learned: int
    rows_known: int
    """Rows of which the last loss is known: so many can be listed."""
    mean_first_loss: float | None
    mean_last_loss: float | None
    first_step: int | None
    last_step: int | None
    order: Literal["worst", "file"]
    offset: int
    shown: list[RowTold]

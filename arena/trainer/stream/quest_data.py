"""A quest's rows as token ids, held compactly in memory while the quest is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from arena.gatekeepers.row_reader import Row, read_rows
from arena.lanes import reading
from arena.protocol import QuestSettings, RowError
from arena.rendering import Renderer
from arena.trainer.stream.batching import TokenRow
from core.errors import InvalidInput, RealmError

ROWS_PER_BATCH = 512
"""Rows rendered between two looks at the control commands."""
REPORTED_ERRORS = 100


class QuestRefused(RealmError):
    """The quest cannot be learned."""

    def __init__(self, errors: list[RowError], total: int) -> None:
        super().__init__(f"{total} rows cannot be learned, the first in line {errors[0].line}: {errors[0].message}")
        self.errors = errors
        self.total = total


class QuestData:
    """Token rows of one quest, in file order: flat arrays and offsets, about five bytes a token."""

    def __init__(self, rows: Iterable[TokenRow]) -> None:
        ids: list[np.ndarray] = []
        trained: list[np.ndarray] = []
        lines: list[int] = []
        offsets = [0]
        for row in rows:
            ids.append(row.token_ids)
            trained.append(row.trained)
            lines.append(row.line)
            offsets.append(offsets[-1] + len(row.token_ids))
        self._ids = np.concatenate(ids) if ids else np.empty(0, dtype=np.int32)
        self._trained = np.concatenate(trained) if trained else np.empty(0, dtype=bool)
        self._lines = lines
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._lines)

    def row(self, number: int) -> TokenRow:
        start, end = self._offsets[number], self._offsets[number + 1]
        return TokenRow(line=self._lines[number], token_ids=self._ids[start:end], trained=self._trained[start:end])


def prepare_quest(
    path: Path,
    *,
    schema_id: str,
    settings: QuestSettings,
    content_hash: str,
    renderer: Renderer,
    between_batches: Callable[[], None],
) -> QuestData:
    """Read, render and tokenize a whole quest; nothing is learned from a quest with a row that teaches nothing.

    Raises `QuestRefused` with the lines at fault, and `OSError` for a file that is gone or cannot be read.
    `between_batches` runs every 512 rows and may raise to give up.
    """
    if reading.content_hash(path) != content_hash:
        message = "the file is not the one that was checked at intake; drop the new version into inbox/ instead"
        raise QuestRefused([RowError(line=0, message=message)], 1)
    errors: list[RowError] = []
    total_errors = 0

    def useful_rows() -> Iterator[TokenRow]:
        nonlocal total_errors
        for row in tokenize(
            read_rows(path, schema_id), renderer=renderer, settings=settings, after_batch=between_batches
        ):
            if not row.targets:
                total_errors += 1
                if len(errors) < REPORTED_ERRORS:
                    errors.append(RowError(line=row.line, message=_why_no_targets(row, settings)))
            yield row

    data = QuestData(useful_rows())
    if total_errors:
        raise QuestRefused(errors, total_errors)
    if not len(data):
        raise QuestRefused([RowError(line=0, message="the file holds no rows")], 1)
    return data


def tokenize(
    rows: Iterator[Row], *, renderer: Renderer, settings: QuestSettings, after_batch: Callable[[], None]
) -> Iterator[TokenRow]:
    """Render rows in batches and cut them at `max_length` tokens; `QuestRefused` names a row that cannot be."""
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        try:
            rendered = renderer.render_many([row.as_mapping() for row in batch], system_prompt=settings.system_prompt)
        except InvalidInput as error:
            line = batch[error.details["row"]].line if "row" in error.details else batch[0].line
            raise QuestRefused([RowError(line=line, message=str(error))], 1) from error
        for row, whole in zip(batch, rendered, strict=True):
            cut = whole.truncated(settings.max_length)
            yield TokenRow(
                line=row.line,
                token_ids=np.asarray(cut.token_ids, dtype=np.int32),
                trained=np.asarray(cut.trained, dtype=bool),
            )
        after_batch()


def _why_no_targets(row: TokenRow, settings: QuestSettings) -> str:
    if len(row.token_ids) >= settings.max_length:
        return f"cut to {settings.max_length} tokens, nothing of an answer is left; shorten the row or raise max_length"
    return "there is nothing to learn: no token of it belongs to an answer"

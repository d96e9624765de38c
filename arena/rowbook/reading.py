"""What is on record of the rows of a quest, for people: which were learned worst, and which checkpoints hold them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from arena.gatekeepers.row_reader import Row, read_rows
from arena.quest_board import QuestBoard
from arena.quests import Quest
from arena.rowbook import SUFFIX
from arena.rowbook.row_book import RowBook, read_book
from core.checkpoint_ledger import CheckpointLedger
from core.errors import NotFound, Unavailable
from core.paths import RealmPaths

PREVIEW = 100
"""Characters of a row that are shown."""


def rows_told(
    paths: RealmPaths, quest: Quest, limit: int, *, offset: int = 0, in_order: bool = False
) -> dict[str, Any]:
    """What is on record of a quest's rows, with `limit` rows after the first `offset`: those of the highest last loss
    first, or `in_order`, as they stand in the file.

    Losses are means over the tokens to be learned, in nats, and null where nobody knows; steps are global ones. Of each
    lesson, the first that is kept of the checkpoints that hold it is told, null where there is none. Raises `NotFound`
    when nothing is on record, and `OSError` when the quest's file or the book cannot be read.
    """
    record = quest.record
    book = read_book(paths.row_books / f"{quest.quest_id}{SUFFIX}")
    if book is None or book.claimed.content_hash != record.content_hash:
        raise NotFound(
            f"Nothing is on record of the rows of {quest.name}.",
            hint="It is written with the first checkpoint after they were learned, while budgets.row_book_megabytes "
            "allows it.",
        )
    checkpoints = _Checkpoints((each.step, each.canonical_name) for each in CheckpointLedger.of(paths).list_all())
    chosen = _chosen(book, in_order=in_order)[offset : offset + limit].tolist()
    texts = _texts(read_rows(quest.path, record.schema_id), set(chosen))
    learned = book.last_step > 0
    return {
        "quest": quest.name,
        "quest_id": quest.quest_id,
        "lane": quest.lane,
        "rows": book.claimed.rows,
        "rows_learned": int(learned.sum()),
        "rows_known": int(np.isfinite(book.last_loss).sum()),
        "mean_first_loss": _mean(book.first_loss[learned]),
        "mean_last_loss": _mean(book.last_loss[learned]),
        "first_step": int(book.first_step[book.first_step > 0].min(initial=2**32 - 1)) if learned.any() else None,
        "last_step": book.newest_step or None,
        "worst": [_row_told(book, number, texts.get(number), checkpoints) for number in chosen],
    }


def tell_rows(base: str, quest: str, limit: int, offset: int, in_order: bool) -> dict[str, Any]:
    """`rows_told` as a job of the scribe: rows are parsed in its process."""
    paths = RealmPaths(Path(base))
    found = find_quest(QuestBoard(paths), quest)
    return rows_or_trouble(paths, found, limit, offset=offset, in_order=in_order)


def find_quest(board: QuestBoard, quest: str) -> Quest:
    """The quest of that id or file name; raises `NotFound`, and `InvalidInput` for what can be neither."""
    found = board.find(quest)
    if found is None:
        raise NotFound(f"There is no quest {quest}.", hint="`realm quest list` shows all of them.")
    return found


def rows_or_trouble(paths: RealmPaths, quest: Quest, limit: int, *, offset: int, in_order: bool) -> dict[str, Any]:
    """`rows_told`; raises `Unavailable` where the disk refuses."""
    try:
        return rows_told(paths, quest, limit, offset=offset, in_order=in_order)
    except OSError as error:
        raise Unavailable(f"The rows of {quest.name} cannot be read: {error.strerror}.") from error


class _Checkpoints:
    """Those that are kept, by step."""

    def __init__(self, found: Iterable[tuple[int, str]]) -> None:
        self._found = sorted(found)

    def first_with(self, step: int) -> str | None:
        """The name of the first that holds this step."""
        at = bisect_left(self._found, (step, ""))
        return self._found[at][1] if step and at < len(self._found) else None


def _chosen(book: RowBook, *, in_order: bool) -> np.ndarray:
    """Numbers of the rows of which the last loss is known, from 0."""
    known = np.flatnonzero(np.isfinite(book.last_loss))
    return known if in_order else known[np.argsort(-book.last_loss[known], kind="stable")]


def _texts(rows: Iterable[Row], wanted: set[int]) -> dict[int, tuple[int, str]]:
    """Line and preview of the wanted rows."""
    found: dict[int, tuple[int, str]] = {}
    for number, row in enumerate(rows):
        if number in wanted:
            found[number] = row.line, _preview(row)
        if len(found) == len(wanted):
            break
    return found


def _preview(row: Row) -> str:
    """What the row asks and answers, on one line."""
    if row.messages is None:
        return _short(row.text or "", PREVIEW)
    said = {message["role"]: message["content"] for message in row.messages}
    return f"{_short(said.get('user', ''), PREVIEW // 2)} → {_short(said.get('assistant', ''), PREVIEW // 2)}"


def _short(text: str, most: int) -> str:
    line = " ".join(text[: 8 * most].split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _row_told(book: RowBook, number: int, text: tuple[int, str] | None, checkpoints: _Checkpoints) -> dict[str, Any]:
    first, last = int(book.first_step[number]), int(book.last_step[number])
    line, preview = text if text is not None else (None, None)
    return {
        "row": number + 1,
        "line": line,
        "preview": preview,
        "first_loss": _finite(book.first_loss[number]),
        "last_loss": _finite(book.last_loss[number]),
        "first_step": first or None,
        "last_step": last or None,
        "first_checkpoint": checkpoints.first_with(first),
        "last_checkpoint": checkpoints.first_with(last),
    }


def _mean(losses: np.ndarray) -> float | None:
    known = losses[np.isfinite(losses)]
    return round(float(known.mean(dtype=np.float64)), 4) if len(known) else None


def _finite(loss: np.float32) -> float | None:
    return round(float(loss), 4) if np.isfinite(loss) else None

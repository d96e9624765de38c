"""Rows and numbers of a file for the Inspector (PEERS F14). All of it runs in the scribe, in bounded memory.

What is shown of a row is what the trainer reads of it: the renderer is the same one, and text is cut at characters,
never within one, however many tokens that makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from arena.alone.inspection import row_report, statistics
from arena.gatekeepers.file_check import with_proof
from arena.gatekeepers.measures.renderers import load_renderer
from arena.gatekeepers.measures.row_measure import measure
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.gatekeepers.scrolls.open_scroll import OpenScroll, SeenRow
from arena.gatekeepers.shapes.row import Row
from arena.rendering import RenderedRow
from arena.rowbook.row_book import RowBook, read_book
from core.errors import NotFound, Unavailable

MOST_CHARACTERS = 20_000
"""Of one row that are shown."""
MOST_TOGETHER = 400_000
"""Characters of one answer; rows behind them are cut to a line."""
ONE_LINE = 200
MOST_BARS = 40
WHOLE_BYTES = 8 << 20
"""A file up to this size is counted from its first row to its last, unless asked otherwise."""


def rows_shown(
    path: str, offset: int, limit: int, yardstick: dict[str, Any], book: str, content_hash: str
) -> dict[str, Any]:
    """Rows from the one at `offset` (from 0) on: `{rows, has_more, max_length, about}`.

    `book` is the file of its `RowBook`, which counts only for that `content_hash`. Raises `InvalidInput` and `NotFound`
    for a file that cannot be opened, and for a tokenizer or profile that cannot be used.
    """
    measured_by = Yardstick(**yardstick)
    renderer = load_renderer(measured_by.tokenizer, measured_by.profile).renderer
    losses = _book(book)
    if losses is not None and losses.claimed.content_hash != content_hash:
        losses = None
    rows: list[dict[str, Any]] = []
    room = MOST_TOGETHER
    with _disk_told(path), OpenScroll(Path(path)) as scroll:
        seen_rows = islice(scroll.rows(), offset, offset + limit + 1)
        for seen in islice(seen_rows, limit):
            report = row_report(seen, renderer, measured_by, with_ids=False)
            rows.append(_shown(seen, report, min(MOST_CHARACTERS, max(ONE_LINE, room))) | _losses(losses, seen.number))
            room -= sum(len(span["text"]) for span in rows[-1]["spans"])
        has_more = next(seen_rows, None) is not None
        about = scroll.about()
    return {"rows": rows, "has_more": has_more, "max_length": measured_by.max_length, "about": about}


def numbers_of(
    path: str, yardstick: dict[str, Any], *, whole: bool | None = None, sketches: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Statistics of `arena.alone.inspection`, with a histogram of row lengths; of all rows where `whole`."""
    place, measured_by = Path(path), Yardstick(**yardstick)
    renderer = load_renderer(measured_by.tokenizer, measured_by.profile).renderer
    lengths = Lengths(measured_by.max_length)
    with _disk_told(path):
        if whole is None:
            whole = place.stat().st_size <= WHOLE_BYTES
        counted = statistics(
            place, renderer, measured_by, whole=whole, sketches=sketches, on_rendered=lengths.take
        )  # fmt: skip
    content, near = counted.pop("content"), None
    if content is not None and (found := content.get("near_duplicate_stats")) is not None:
        near = {key: found[key] for key in ("checked", "files_compared", "like_earlier_quests", "like_held_out_rows")}
    return {**counted, "near_duplicates": near, "histogram": lengths.to_json()}


def judge_unpacked(
    verdict: dict[str, Any], rows: str, yardstick: dict[str, Any], sketches: dict[str, Any] | None
) -> dict[str, Any]:
    """The verdict of the first gate with that of the gate before training, and `numbers` of the same rows.

    `rows` is the file with its JSON lines.
    """
    proven = with_proof(verdict, Path(rows), Yardstick(**yardstick))
    return {"verdict": proven, "numbers": numbers_of(rows, yardstick, sketches=sketches)}


class Lengths:
    """How long rows are: a histogram of rendered rows, in tokens before the cut."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._lengths: list[int] = []

    def take(self, line: int, rendered: RenderedRow) -> None:
        self._lengths.append(measure(rendered, self._max_length).length)

    def to_json(self) -> dict[str, Any] | None:
        """`{max_length, width, bars}`: the first bar counts rows of 1 to `width` tokens, and so on; None without rows.

        Bars end at `max_length` wherever it lies below the longest row, so that it is seen what is cut.
        """
        if not self._lengths:
            return None
        longest = max(self._lengths)
        width = _nice(-(-longest // MOST_BARS))
        counts = np.bincount((np.array(self._lengths) - 1).clip(0) // width, minlength=1)
        return {"max_length": self._max_length, "width": width, "bars": counts.tolist()}


def _nice(width: int) -> int:
    """The next number of 1, 2, 4, 8 … that is not smaller: of these, every `max_length` is a multiple in practice."""
    return 1 << max(0, width - 1).bit_length()


def _shown(seen: SeenRow, report: dict[str, Any], most: int) -> dict[str, Any]:
    told = {key: report.get(key) for key in ("number", "line", "fault", "length", "trained", "trained_kept")}
    text, runs = report.get("text"), report.get("runs")
    if text is None and seen.row is not None:
        # Not rendered, as it is far too large or cannot be: the beginning of what it says.
        text = _plainly(seen.row, most + 1)
        runs = [[0, len(text), False]]
    cut_at = report.get("cut_at")
    spans = [] if text is None else list(_spans(text[:most], runs or [], cut_at))
    hidden = 0 if text is None else max(0, len(text) - most)
    return told | {
        "tokens_lost": report.get("tokens_lost", 0) if report["fault"] is None else None,
        "is_cut": cut_at is not None,
        "answers": [dict(answer) for answer in report.get("answers", ())][:ONE_LINE],
        "spans": spans,
        "hidden_characters": hidden if report["fault"] is None else None,
    }


def _spans(text: str, runs: list[list[Any]], cut_at: int | None) -> Iterator[dict[str, Any]]:
    """Stretches of `text` in order, each learned or not, before the cut or behind it."""
    end = len(text) if cut_at is None else min(cut_at, len(text))
    for start, finish, learned in runs:
        if piece := text[start : min(finish, end)]:
            yield {"text": piece, "trained": bool(learned), "lost": False}
    if runs and text[end:]:
        yield {"text": text[end:], "trained": False, "lost": True}


def _plainly(row: Row, most: int) -> str:
    """The beginning of what a row says, without any template."""
    if row.messages is None:
        return (row.text or "")[:most]
    text = ""
    for message in row.messages:
        content = message.get("content")
        text += f"{message['role']}: {str(content if content is not None else '')[:most]}\n"
        if len(text) >= most:
            break
    return text[:most]


@contextmanager
def _disk_told(path: str) -> Iterator[None]:
    """What the disk refuses is nobody's bug: the file was moved meanwhile, or cannot be read now."""
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path} any more.") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}.") from error


def _book(place: str) -> RowBook | None:
    """Losses are told beside rows, and never in their place."""
    try:
        return read_book(Path(place)) if place else None
    except OSError:
        return None


def _losses(book: RowBook | None, number: int) -> dict[str, Any]:
    """Of the row with that number, from 1."""
    if book is None or not 1 <= number <= book.claimed.rows:
        return {"first_loss": None, "last_loss": None, "last_step": None}
    first, last, step = (figures[number - 1] for figures in (book.first_loss, book.last_loss, book.last_step))
    return {
        "first_loss": round(float(first), 4) if np.isfinite(first) else None,
        "last_loss": round(float(last), 4) if np.isfinite(last) else None,
        "last_step": int(step) or None,
    }

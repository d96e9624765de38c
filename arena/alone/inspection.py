"""What `realm inspect` tells of a file: rows as the model sees them, and statistics over the first ones or all.

Pure: it reads and counts, and prints nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from arena.gatekeepers.deep.deep_warden import DeepWarden
from arena.gatekeepers.deep.duplicates import Duplicates
from arena.gatekeepers.findings import Findings
from arena.gatekeepers.held_out import HeldOut
from arena.gatekeepers.likeness.sketched_file import SketchedFile
from arena.gatekeepers.measures.row_choice import RowChoice
from arena.gatekeepers.measures.row_measure import measure
from arena.gatekeepers.measures.token_warden import MOST_BYTES_PER_TOKEN, OnRendered, TokenWarden
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.gatekeepers.row_identity import row_key, row_size
from arena.gatekeepers.row_reader import Row
from arena.gatekeepers.scrolls.open_scroll import OpenScroll, SeenRow
from arena.rendering import RenderedRow, Renderer
from core.errors import InvalidInput

STATISTICS_ROWS = 1000
"""Rows from the start that statistics are made of, unless all are asked for."""


def row_report(seen: SeenRow, renderer: Renderer, yardstick: Yardstick, *, with_ids: bool) -> dict[str, Any]:
    """One row: `{number, line, fault}`, and without a fault what the model sees of it.

    `text` is the exact text, `runs` its stretches `[start, end, learned]` in characters, `cut_at` the character
    where `max_length` ends it (None when it does not), `length`, `trained` and `trained_kept` count tokens, `answers`
    are `{tokens, is_lost, is_cut}`; `token_ids` and `learned` come `with_ids` and have one entry for each token.
    """
    report: dict[str, Any] = {"number": seen.number, "line": seen.line, "fault": seen.fault}
    if seen.row is None:
        return report
    if row_size(seen.row) > MOST_BYTES_PER_TOKEN * yardstick.max_length:
        return report | {"fault": f"it holds more than {MOST_BYTES_PER_TOKEN} bytes for each token of max_length"}
    try:
        rendered = renderer.render_many([seen.row.as_mapping()], yardstick.system_prompt)[0]
    except InvalidInput as error:
        return report | {"fault": str(error)}
    measured = measure(rendered, yardstick.max_length)
    limit = yardstick.max_length
    return report | {
        "length": measured.length,
        "trained": measured.trained,
        "trained_kept": measured.trained_kept,
        "tokens_lost": measured.tokens_lost,
        "answers": [
            {"tokens": answer.tokens, "is_lost": answer.is_lost(limit), "is_cut": answer.is_cut(limit)}
            for answer in measured.answers
        ],
        "cut_at": rendered.token_ends[limit - 1] if measured.is_cut else None,
        "text": rendered.text,
        "runs": list(_runs(rendered)),
        **({"token_ids": rendered.token_ids, "learned": rendered.trained} if with_ids else {}),
    }


def statistics(
    path: Path,
    renderer: Renderer,
    yardstick: Yardstick,
    *,
    whole: bool,
    sketches: dict[str, Any] | None = None,
    on_rendered: OnRendered | None = None,
) -> dict[str, Any]:
    """What STANDARD and DEEP count and find, over the first 1000 rows or the `whole` file; duplicates, and broken rows.

    `sketches` are those of `SketchedFile`, which rows are compared with; `on_rendered` is that of `TokenWarden`.
    """
    findings = Findings()
    warden = TokenWarden(renderer, yardstick, findings, on_rendered)
    size = path.stat().st_size
    rows = _count_rows(path) if whole else STATISTICS_ROWS
    choice = RowChoice(rows, size if whole else 0)
    held_out, sketched = HeldOut(yardstick.held_out, findings), SketchedFile(rows, sketches, yardstick.held_out)
    with OpenScroll(path) as scroll, Duplicates() as duplicates, DeepWarden(yardstick.profile, findings) as deep:
        counter = _Counter(duplicates, deep, held_out, sketched)
        for seen in islice(scroll.rows(), None if whole else STATISTICS_ROWS):
            row = counter.count(seen)
            if row is not None and choice.takes(counter.good - 1, row):
                warden.take(row)
        about, counted = scroll.about(), counter.to_json()
        content = deep.finish(sketched, held_out)
    for row in choice.longest():
        warden.take(row, drawn=False)
    is_part = not whole and counter.rows == STATISTICS_ROWS
    looked_at = f"the first {counter.rows} rows" if is_part else choice.describe(counter.rows)
    warden.finish(looked_at)
    return {
        **about,
        **counted,
        "tokens": {"looked_at": looked_at, **warden.census.to_json()} if warden.census.rows else None,
        "content": content,
        "errors": [finding.to_json() for finding in findings.errors],
        "total_errors": findings.total_errors,
        "warnings": [finding.to_json() for finding in findings.warnings],
        "total_warnings": findings.total_warnings,
    }


class _Counter:
    """Counts rows, broken ones, and those that say what an earlier one said."""

    def __init__(self, duplicates: Duplicates, deep: DeepWarden, held_out: HeldOut, sketched: SketchedFile) -> None:
        self.rows = self.good = 0
        self._duplicates = duplicates
        self._deep = deep
        self._held_out = held_out
        self._sketched = sketched

    def count(self, seen: SeenRow) -> Row | None:
        self.rows += 1
        if seen.row is None:
            return None
        self.good += 1
        key = row_key(seen.row)
        self._duplicates.add(key, seen.number, seen.line)
        self._held_out.look(seen.row, key)
        self._deep.take(seen.row, key)
        self._sketched.take(seen.row)
        return seen.row

    def to_json(self) -> dict[str, Any]:
        duplicates, first = self._duplicates.repeats()
        return {
            "rows": self.rows,
            "broken_rows": self.rows - self.good,
            "duplicates": duplicates,
            "duplicate_lines": [repeat.line for repeat in first],
        }


def _count_rows(path: Path) -> int:
    with OpenScroll(path) as scroll:
        return sum(seen.row is not None for seen in scroll.rows())


def chosen_rows(scroll: OpenScroll, row: int | None, rows: int) -> Iterator[SeenRow]:
    """Row number `row`, or the first `rows`; raises `InvalidInput` when there is no such row."""
    if row is None:
        yield from islice(scroll.rows(), rows)
        return
    seen = None
    for seen in scroll.rows():
        if seen.number == row:
            yield seen
            return
    raise InvalidInput(f"{scroll.path} has no row {row}: it has {seen.number if seen else 0}.")


def _runs(rendered: RenderedRow) -> Iterator[list[Any]]:
    """Stretches of text whose tokens are all learned, or none of them."""
    start = 0
    for index, learned in enumerate(rendered.trained):
        is_last = index + 1 == len(rendered.trained)
        if is_last or rendered.trained[index + 1] != learned:
            end = len(rendered.text) if is_last else rendered.token_ends[index]
            if end > start:
                yield [start, end, learned]
            start = end

"""A quest's rows as token ids: taken out of the token cache, or made of the file in one pass and left in the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from arena.gatekeepers.measures.row_batches import batches_of
from arena.gatekeepers.row_reader import Row, rows_in
from arena.lanes import reading
from arena.protocol import QuestSettings, RowError
from arena.rendering import RenderedRow, Renderer
from arena.tokens.quest_source import QuestSource
from arena.tokens.token_cache import CacheEntry
from arena.tokens.token_file import Tokens, Version
from arena.trainer.stream.batching import TokenRow
from arena.trainer.stream.token_shelf import TokenShelf
from core.errors import InvalidInput, RealmError

REPORTED_ERRORS = 100


class QuestRefused(RealmError):
    """The quest cannot be learned."""

    def __init__(self, errors: list[RowError], total: int) -> None:
        super().__init__(f"{total} rows cannot be learned, the first in line {errors[0].line}: {errors[0].message}")
        self.errors = errors
        self.total = total


class QuestData:
    """Token rows of one quest, in file order; four bytes a token, of a mapped file where the cache has them."""

    def __init__(self, tokens: Tokens) -> None:
        self._codes = np.frombuffer(tokens.codes, dtype=np.int32)
        self._lines = np.frombuffer(tokens.lines, dtype=np.uint64)
        lengths = np.frombuffer(tokens.lengths, dtype=np.uint32)
        self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])

    def __len__(self) -> int:
        return len(self._lines)

    def numbers_of(self, lines: list[int]) -> np.ndarray:
        """The numbers, from 0, of the rows that stand in these lines of the file."""
        return np.searchsorted(self._lines, np.array(lines, dtype=np.uint64))

    def row(self, number: int) -> TokenRow:
        codes = self._codes[self._offsets[number] : self._offsets[number + 1]]
        trained = codes < 0
        return TokenRow(line=int(self._lines[number]), token_ids=np.where(trained, ~codes, codes), trained=trained)


def prepare_quest(
    path: Path,
    *,
    schema_id: str,
    settings: QuestSettings,
    content_hash: str,
    renderer: Renderer,
    between_batches: Callable[[], None],
    entry: CacheEntry | None = None,
) -> QuestData:
    """All tokens of a quest; nothing is learned from a quest with a row that teaches nothing.

    `entry` is the place of just these tokens in the cache. Raises `QuestRefused` with the lines at fault, and `OSError`
    for a file that is gone or cannot be read, whatever the cache holds: it saves work and decides nothing. (But for a
    file changed in place that has size and mtime of before: where its tokens are known, what was claimed is learned.)
    `between_batches` runs after each batch of rows that are rendered together, and may raise to give up.
    """
    known = entry.find() if entry is not None else None
    if known is not None:
        _check_content(path, content_hash, known.source)
        return QuestData(known)
    with QuestSource(path) as source, TokenShelf(entry, source.version) as shelf:
        try:
            rows = rows_in(source, schema_id, path)
            _fill(shelf, _rendered(rows, renderer, settings, between_batches), settings)
            if source.content_hash() != content_hash:
                raise _changed()
        except (QuestRefused, InvalidInput):
            # What is wrong with the rows of another file is nothing that anybody asked about.
            if source.content_hash() != content_hash:
                raise _changed() from None
            raise
        return QuestData(shelf.tokens(keep=source.is_unchanged()))


def tokenize(
    rows: Iterator[Row], *, renderer: Renderer, settings: QuestSettings, after_batch: Callable[[], None]
) -> Iterator[TokenRow]:
    """Rows that nobody keeps, as the model sees them; `QuestRefused` names a row that cannot be rendered."""
    for line, cut in _rendered(rows, renderer, settings, after_batch):
        ids, trained = np.asarray(cut.token_ids, dtype=np.int32), np.asarray(cut.trained, dtype=bool)
        yield TokenRow(line=line, token_ids=ids, trained=trained)


def _rendered(
    rows: Iterator[Row], renderer: Renderer, settings: QuestSettings, after_batch: Callable[[], None]
) -> Iterator[tuple[int, RenderedRow]]:
    """Render rows in batches and cut them at `max_length` tokens; each with its line."""
    for batch in batches_of(rows):
        try:
            rendered = renderer.render_many([row.as_mapping() for row in batch], system_prompt=settings.system_prompt)
        except InvalidInput as error:
            line = batch[error.details["row"]].line if "row" in error.details else batch[0].line
            raise QuestRefused([RowError(line=line, message=str(error))], 1) from error
        for row, whole in zip(batch, rendered, strict=True):
            yield row.line, whole.truncated(settings.max_length)
        after_batch()


def _fill(shelf: TokenShelf, rows: Iterator[tuple[int, RenderedRow]], settings: QuestSettings) -> None:
    """Take all rows; raises `QuestRefused` unless there is one, and each of them teaches something."""
    errors: list[RowError] = []
    total_errors = total = 0
    for line, row in rows:
        total += 1
        if row.target_tokens:
            if not total_errors:
                shelf.add(line, row.token_ids, row.trained)
            continue
        total_errors += 1
        if len(errors) < REPORTED_ERRORS:
            errors.append(RowError(line=line, message=_why_no_targets(row, settings)))
    if total_errors:
        raise QuestRefused(errors, total_errors)
    if not total:
        raise QuestRefused([RowError(line=0, message="the file holds no rows")], 1)


def _check_content(path: Path, content_hash: str, source: Version | None) -> None:
    """Raise `QuestRefused` when the file is another one by now; it is read only where its version says nothing."""
    status = path.stat()
    if source != (status.st_size, status.st_mtime_ns) and reading.content_hash(path) != content_hash:
        raise _changed()


def _changed() -> QuestRefused:
    message = "the file is not the one that was checked at intake; drop the new version into inbox/ instead"
    return QuestRefused([RowError(line=0, message=message)], 1)


def _why_no_targets(row: RenderedRow, settings: QuestSettings) -> str:
    if len(row.token_ids) >= settings.max_length:
        return f"cut to {settings.max_length} tokens, nothing of an answer is left; shorten the row or raise max_length"
    return "there is nothing to learn: no token of it belongs to an answer"

"""Notes with which loss each row is learned, in memory, and leaves that in `queue/.rows/` before each checkpoint.

Written before the checkpoint is begun, a book never lacks what a checkpoint holds. What it holds beyond that is taken
back when the trainer goes on from there, and comes again with the steps: a replay ends with the same book. Nothing of
it bears on what is learned, so a disk that refuses it is told of and no more.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

from arena.journal import ClaimEntry, Genesis
from arena.rowbook import SUFFIX
from arena.rowbook.row_book import HISTORY_BYTES, Claimed, RowBook, read_book, read_head, size_of
from arena.trainer.stream.quest_data import QuestData
from arena.trainer.stream.step_plan import StepPlan
from core.files import DISK, Files

logger = logging.getLogger(__name__)


class RowNotes:
    """The books of the quests that were stepped since the last checkpoint; see the module docstring."""

    def __init__(self, folder: Path, max_bytes: int, *, files: Files = DISK) -> None:
        """`max_bytes` is the size of all books together; 0 keeps none. One quest may have half of it."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._files = files
        self._history = bytes(HISTORY_BYTES)
        self._books: dict[str, RowBook] = {}
        """By quest id, in the order in which they were opened: those that a checkpoint may lack."""
        self._stepped: str | None = None
        """The quest of the last step."""

    def begin(self, genesis: Genesis | None, ordinal: int, step: int) -> None:
        """Learning goes on from this ordinal and global step: take back what of this history was noted after it."""
        if genesis is not None:
            started = f"{genesis.at} {genesis.weights} {genesis.checkpoint}"
            self._history = blake3(started.encode()).digest(HISTORY_BYTES)
        for path in self._files_there():
            try:
                self._take_back(path, ordinal, step)
            except OSError as error:
                logger.warning("%s stays as it is: %s", path, error, extra={"event": "row_book_stays"})

    def note(self, claim: ClaimEntry, data: QuestData, plan: StepPlan, step: int) -> None:
        """The rows of `plan` were learned at this global step."""
        if not self._max_bytes or plan.row_losses is None:
            return
        book = self._book_of(claim)
        if book is not None:
            rows = data.numbers_of([row.line for row in plan.rows])
            is_first = plan.quest_step < claim.steps_per_epoch
            book.note(rows, plan.row_losses.numpy(), step, first=is_first)

    def flush(self) -> None:
        """Write all that was noted since the last time, before the checkpoint that holds it."""
        written = []
        for quest_id, book in self._books.items():
            try:
                self._folder.mkdir(exist_ok=True)
                book.write(self._path(quest_id), files=self._files)
                written.append(quest_id)
            except OSError as error:
                logger.warning("what rows were learned with: %s", error, extra={"event": "row_book_not_written"})
                break
        for quest_id in written:
            if quest_id != self._stepped:
                del self._books[quest_id]

    def _book_of(self, claim: ClaimEntry) -> RowBook | None:
        """The quest's book; None for one that is too large."""
        self._stepped = claim.quest_id
        if size_of(claim.rows) > self._max_bytes // 2:
            return None
        if (book := self._books.get(claim.quest_id)) is None:
            claimed = Claimed(self._history, claim.ordinal, claim.rows, claim.content_hash)
            book = self._books[claim.quest_id] = self._read(claim.quest_id, claimed) or RowBook(claimed)
            self._keep_within_budget()
        return book

    def _keep_within_budget(self) -> None:
        """While no checkpoint is made, or the disk refuses books, memory must not fill with them (law 9)."""
        held = sum(size_of(book.claimed.rows) for book in self._books.values())
        while held > self._max_bytes and len(self._books) > 1:
            held -= size_of(self._books.pop(next(iter(self._books))).claimed.rows)

    def _read(self, quest_id: str, claimed: Claimed) -> RowBook | None:
        with suppress(OSError):
            book = read_book(self._path(quest_id))
            if book is not None and book.claimed == claimed:
                return book
        return None

    def _take_back(self, path: Path, ordinal: int, step: int) -> None:
        head = read_head(path)
        if head is None or head[0].history != self._history or head[1] <= step:
            return
        book = read_book(path) if head[0].ordinal <= ordinal else None
        if book is not None:
            book.forget_after(step)
            if book.first_step.any():
                book.write(path, files=self._files)
                return
        self._files.unlink(path)

    def _files_there(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._folder)):
                if name.endswith(SUFFIX):
                    yield self._folder / name

    def _path(self, quest_id: str) -> Path:
        return self._folder / f"{quest_id}{SUFFIX}"

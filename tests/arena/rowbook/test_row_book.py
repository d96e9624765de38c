"""The file of one quest's rows, and how books go with their quests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from arena.rowbook import SUFFIX
from arena.rowbook.row_book import Claimed, RowBook, read_book, read_head, size_of
from arena.rowbook.tidying import tidy_row_books

CLAIMED = Claimed(history=b"0123456789abcdef", ordinal=7, rows=5, content_hash="cd" * 32)


def written(path: Path) -> RowBook:
    book = RowBook(CLAIMED)
    book.note(np.array([0, 3]), np.array([1.5, 2.5], dtype=np.float32), 11, first=True)
    book.note(np.array([3, 4]), np.array([0.5, 0.25], dtype=np.float32), 12, first=False)
    book.write(path)
    return book


def test_a_book_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "q.rows"
    written(path)
    assert read_head(path) == (CLAIMED, 12)
    assert path.stat().st_size == size_of(5)
    book = read_book(path)
    assert book is not None
    assert book.claimed == CLAIMED
    assert np.nan_to_num(book.first_loss, nan=-1).tolist() == [1.5, -1, -1, 2.5, -1]
    assert np.nan_to_num(book.last_loss, nan=-1).tolist() == [1.5, -1, -1, 0.5, 0.25]
    assert (book.first_step.tolist(), book.last_step.tolist()) == ([11, 0, 0, 11, 0], [11, 0, 0, 12, 12])
    book.note(np.array([1]), np.array([9.0], dtype=np.float32), 13, first=True)
    assert book.newest_step == 13


def test_what_is_taken_back_is_unknown_and_not_zero(tmp_path: Path) -> None:
    """Law 7."""
    book = written(tmp_path / "q.rows")
    book.forget_after(11)
    assert np.nan_to_num(book.first_loss, nan=-1).tolist() == [1.5, -1, -1, 2.5, -1]
    assert np.nan_to_num(book.last_loss, nan=-1).tolist() == [1.5, -1, -1, -1, -1]
    assert book.last_step.tolist() == [11, 0, 0, 0, 0]
    book.forget_after(0)
    assert not book.first_step.any()


def test_a_damaged_book_is_no_book(tmp_path: Path) -> None:
    path = tmp_path / "q.rows"
    assert read_book(path) is None
    written(path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", b"\0" * len(whole), whole[:90] + b"x" + whole[91:]):
        path.write_bytes(damaged)
        assert read_book(path) is None


def test_books_go_with_their_quests_and_then_the_oldest(tmp_path: Path) -> None:
    """A20: what belongs to a quest that is deleted stayed for ever."""
    for age, quest_id in enumerate(("newest", "newer", "older", "orphan")):
        written(tmp_path / f"{quest_id}{SUFFIX}")
        os.utime(tmp_path / f"{quest_id}{SUFFIX}", (10_000 - age, 10_000 - age))
    (tmp_path / "notes.txt").write_text("of a person")

    assert tidy_row_books(tmp_path, 2 * 4096, lambda: {"newest", "newer", "older"}) == ["orphan"]

    assert sorted(os.listdir(tmp_path)) == [f"newer{SUFFIX}", f"newest{SUFFIX}", "notes.txt"]
    assert tidy_row_books(tmp_path / "none", 0, lambda: 1 / 0) == []  # type: ignore[arg-type, return-value]

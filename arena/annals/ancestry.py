"""Which checkpoints a history goes on from: those whose own copy of the journal tells the same up to their cursor."""

from __future__ import annotations

from pathlib import Path

from arena.cursor import read_cursor
from arena.journal import JOURNAL_NAME, History, read_history
from core.errors import Conflict


def is_ancestor(checkpoint: Path, history: History) -> bool:
    """True when the weights of `checkpoint` are those that `history` had at the checkpoint's cursor.

    A checkpoint without a journal of its own belongs to no history that could be told.
    """
    copy = checkpoint / JOURNAL_NAME
    if not copy.exists():
        return False
    try:
        cursor = read_cursor(checkpoint)
        return history.agrees_with(read_history(copy), cursor.ordinal, cursor.quest_step)
    except (Conflict, OSError, ValueError, TypeError):
        # Damaged: its manifest says so to whoever wants to load it.
        return False

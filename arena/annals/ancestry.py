"""Which checkpoints a history goes on from: those whose own copy of the journal tells the same up to their cursor."""

from __future__ import annotations

import logging
from pathlib import Path

from arena.cursor import read_cursor
from arena.journal import JOURNAL_NAME, History, is_same_history, read_history
from core.checkpoint_survey import OPTIMIZER_FILE
from core.errors import Conflict
from vault.manifest import listed_files

logger = logging.getLogger(__name__)


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


def was_left_behind(checkpoint: Path, journal: Path, history: History) -> bool:
    """True for one of this very journal that tells another past: a rewind or a healing has taken it back.

    False for what cannot be told: that is to be complained of, not passed over. `history` is that of `journal`.
    """
    copy = checkpoint / JOURNAL_NAME
    try:
        read_cursor(checkpoint)
    except (OSError, ValueError):
        return False
    return copy.exists() and is_same_history(copy, journal) and not is_ancestor(checkpoint, history)


def can_be_resumed(checkpoint: Path, history: History) -> bool:
    """False for weights without their optimizer, unless the history began with them (an adopted model).

    Raises `InvalidInput` when the manifest is damaged.
    """
    adopted = history.genesis is not None and history.genesis.checkpoint == checkpoint.name
    if adopted or OPTIMIZER_FILE in listed_files(checkpoint):
        return True
    logger.info("%s holds weights only, an older one is looked for", checkpoint.name, extra={"event": "weights_only"})
    return False

"""What a checkpoint has learned, by its own copy of the journal: for whoever compares two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from arena.cursor import read_cursor
from arena.journal import JOURNAL_NAME, read_history


def learned_in(checkpoint: Path) -> list[dict[str, Any]]:
    """The quests that its weights hold, in their order: `{ordinal, quest_id, file, content_hash, rows, outcome,
    settings}`, rows counted once per epoch. `[]` where it has no journal; raises `Conflict` for a damaged one."""
    if not (checkpoint / JOURNAL_NAME).exists():
        return []
    history, cursor = read_history(checkpoint / JOURNAL_NAME), read_cursor(checkpoint)
    found = []
    for ordinal, claim in sorted(history.claims.items()):
        if (ordinal, 0) >= (cursor.ordinal, cursor.quest_step):
            continue
        is_inside = ordinal == cursor.ordinal
        found.append(
            {
                "ordinal": ordinal,
                "quest_id": claim.quest_id,
                "file": claim.name,
                "content_hash": claim.content_hash,
                "rows": claim.rows_after(cursor.quest_step) if is_inside else history.rows_learned(ordinal),
                "outcome": "in progress" if is_inside else history.outcome_of(ordinal),
                "settings": msgspec.to_builtins(claim.settings),
            }
        )
    return found

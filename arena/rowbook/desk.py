"""Tells of a quest's rows over the web: small files are read here, in a thread, and large ones by the scribe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from arena.quest_board import QuestBoard
from arena.rowbook.reading import find_quest, rows_or_trouble

TELL_ROWS = "arena.rowbook.reading:tell_rows"
SMALL_BYTES = 4 << 20
"""Read within tenths of a second; for more, the scribe is worth its start."""
PATIENCE_SECONDS = 60.0
"""For quests of gigabytes; others wait for the scribe meanwhile."""

Scribe = Callable[[str, dict[str, Any], float], Awaitable[Any]]
"""`core.scribe.Scribe.run`."""


class RowDesk:
    """Answers the web."""

    def __init__(self, board: QuestBoard, scribe: Scribe) -> None:
        self._board = board
        self._scribe = scribe

    async def rows(self, quest: str, *, limit: int, offset: int, in_order: bool) -> dict[str, Any]:
        """See `arena.rowbook.reading.rows_told`; raises `NotFound`, `InvalidInput` and `Unavailable`."""
        paths = self._board.paths
        found = await asyncio.to_thread(find_quest, self._board, quest)
        if await asyncio.to_thread(_size, found.path) <= SMALL_BYTES:
            return await asyncio.to_thread(rows_or_trouble, paths, found, limit, offset=offset, in_order=in_order)
        asked = {"base": str(paths.base), "quest": found.quest_id, "limit": limit, "offset": offset}
        told: dict[str, Any] = await self._scribe(TELL_ROWS, {**asked, "in_order": in_order}, PATIENCE_SECONDS)
        return told


def _size(path: Path) -> int:
    try:
        return int(path.stat().st_size)
    except OSError:
        return 0  # whoever reads it will say what is wrong

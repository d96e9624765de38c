"""Keeps a running realm in order (laws 1, 6 and 9): every minute, in threads of the daemon.

What one part of it meets with holds up no other part, and is told once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path

from arena.blockade import Blockade
from arena.gatekeepers.likeness import SKETCH_SUFFIX
from arena.hall.half_exports import sweep_half_exports
from arena.lanes.retention import LaneBudget
from arena.quest_board import QuestBoard
from arena.reading_room.parting import news_of_forgotten
from arena.rowbook.tidying import tidy_row_books
from arena.tokens.token_cache import TokenCache
from arena.upkeep.replay_needs import needed_for_replay
from core.errors import RealmError
from core.logs import turn_over
from core.paths import LANES, RealmPaths
from core.saga import News, Saga
from core.settings import BudgetSettings
from core.temporaries import drop_temporaries
from core.trimming import trim_folder
from vault.checkpoints import CheckpointStore
from vault.treasury import Treasury

logger = logging.getLogger(__name__)

TOLD_AT_ONCE = 20
"""What one sweep noticed that gets an event each; of thousands of files moved by hand, the rest is counted."""

PRUNE_EVERY = timedelta(minutes=30)
"""Between two looks at what the vault holds (spec 1.19), and at the books of rows; checkpoints come by the hour."""


class Housekeeper:
    """Does the chores of one realm; remembers which of them are held up."""

    def __init__(self, paths: RealmPaths, board: QuestBoard, saga: Saga, treasury: Treasury) -> None:
        self._paths = paths
        self._board = board
        self._saga = saga
        self._treasury = treasury
        self._pruned_at: datetime | None = None
        self._tidied_at: datetime | None = None
        self._troubles: dict[str, Blockade] = {}

    @property
    def blockades(self) -> list[Blockade]:
        """What may hold chores up."""
        return list(self._troubles.values())

    async def keep(self, budgets: BudgetSettings, *, now: datetime) -> None:
        """Go round once; a part that the disk refuses is told of and tried again the next time."""
        for name, chore in self._chores(budgets, now).items():
            trouble = self._troubles.setdefault(name, Blockade(self._saga, "upkeep"))
            try:
                await asyncio.to_thread(chore)
            except (OSError, RealmError) as error:
                await trouble.raise_up(f"{name} is held up: {error}")
            else:
                await trouble.lift(f"{name} goes on")

    def _chores(self, budgets: BudgetSettings, now: datetime) -> dict[str, Callable[[], object]]:
        completed = LaneBudget(budgets.completed_days, budgets.completed_megabytes)
        failed = LaneBudget(budgets.failed_days, budgets.failed_megabytes)
        return {
            "Following moves by hand": lambda: sweep_lanes(self._board, self._saga, now=now),
            "Clearing temporary files": lambda: drop_temporaries(self._written_folders, now=now),
            "Clearing what killed exports have left": lambda: sweep_half_exports(self._paths.exports),
            "Turning logs over": lambda: self._turn_logs_over(budgets.log_megabytes << 20),
            "Forgetting completed quests": lambda: self._forget("recently_completed", completed, now),
            "Forgetting failed quests": lambda: self._forget("failed", failed, now),
            "Keeping the tokens within their limits": TokenCache(
                self._paths.tokens, budgets.token_cache_megabytes << 20
            ).trim,
            "Keeping sketches of rows within their limits": lambda: trim_folder(
                self._paths.sketches, SKETCH_SUFFIX, budgets.sketch_megabytes << 20
            ),
            "Tidying up after the books of rows": lambda: self._tidy_row_books(budgets.row_book_megabytes << 20, now),
            "Deleting checkpoints set aside": lambda: self._forget_set_aside(budgets.quarantined_checkpoints, now),
            "Keeping the vault within its limits": lambda: self._prune(now),
            "Trimming events and charts": self._saga.trim,
            "Writing queue_metadata.json": lambda: self._board.write_metadata(now=now),
        }

    @property
    def _written_folders(self) -> list[Path]:
        """Where files are replaced as a whole; the lanes and the inbox are the sweep's."""
        paths = self._paths
        own = [paths.status, paths.control, paths.current_model, paths.configs, paths.queue, paths.tokens]
        return [*own, paths.examinations, paths.sketches, paths.row_books]

    def _turn_logs_over(self, max_bytes: int) -> None:
        stuck = None
        for output in self._paths.logs.glob("*.log"):
            try:
                turn_over(output, max_bytes_total=max_bytes)
            except OSError as error:
                stuck = error
        if stuck is not None:
            raise stuck

    def _forget(self, lane: str, budget: LaneBudget, now: datetime) -> None:
        gone, stuck = self._board.forget(lane, budget, now=now, needed=lambda: needed_for_replay(self._paths))
        self._saga.append_all(news_of_forgotten(lane, gone), now=now)
        if stuck is not None:
            raise stuck

    def _forget_set_aside(self, at_most: int, now: datetime) -> None:
        if gone := CheckpointStore(self._paths.current_model).forget_quarantined(at_most):
            message = f"{len(gone)} checkpoints that had been set aside are deleted: {', '.join(gone[:TOLD_AT_ONCE])}"
            self._saga.append("quarantine_forgotten", message, now=now, data={"folders": gone})

    def _prune(self, now: datetime) -> None:
        if _is_recent(self._pruned_at, now):
            return
        self._treasury.prune(now)
        self._pruned_at = now

    def _tidy_row_books(self, max_bytes: int, now: datetime) -> None:
        if _is_recent(self._tidied_at, now):
            return
        board = self._board
        # Lane by lane in the order in which quests go through them: none is missed while it moves.
        tidy_row_books(
            self._paths.row_books, max_bytes, lambda: {each.quest_id for lane in LANES for each in board.quests(lane)}
        )
        self._tidied_at = now


def _is_recent(done_at: datetime | None, now: datetime) -> bool:
    # Either way: after a clock was set back, half an hour is not a year.
    return done_at is not None and abs(now - done_at) < PRUNE_EVERY


def sweep_lanes(board: QuestBoard, saga: Saga, *, now: datetime) -> None:
    """Finish what a crash cut, send files without a record back to the gates (law 6), and tell what was noticed.

    Raises `OSError` when the disk refuses; the next call goes on.
    """
    swept = board.sweep(now=now)
    for orphan in swept.orphans:
        try:
            board.send_to_gates(orphan.path)
        except (OSError, RealmError) as error:
            logger.warning("%s stays where it is: %s", orphan.path, error, extra={"event": "orphan_stays"})
    saga.tell([News("lanes_tidied", note) for note in _first_of(swept.notes)], now=now)


def _first_of(notes: list[str]) -> Iterable[str]:
    yield from notes[:TOLD_AT_ONCE]
    if len(notes) > TOLD_AT_ONCE:
        yield f"{len(notes) - TOLD_AT_ONCE} more files in the lanes were tidied up after too"

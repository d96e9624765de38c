"""Quests that are being learned, or learned and not sealed, when the model is about to change."""

from __future__ import annotations

from datetime import datetime

from arena.annals.rewinding import BASE, Rewinder
from arena.cursor import read_cursor
from arena.journal import JOURNAL_NAME, read_history
from arena.lanes.reading import CLAIMED_LANES
from arena.lanes.undoing import LaneUndoing
from core.errors import Conflict
from core.files import DISK, Files
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore

SHOWN = 5


def clear_open_quests(paths: RealmPaths, *, requeue: bool, now: datetime, files: Files = DISK) -> list[str]:
    """Make sure that no quest is open; returns the files that wait again. The caller holds the locks.

    With `requeue`, the model goes back to its present checkpoint (a rewind, written into its journal), and whatever
    that does not wholly hold is queued for the next model. Without, `Conflict` names the quests.
    """
    history = read_history(paths.current_model / JOURNAL_NAME)
    found = LaneUndoing(paths, files).open_quests({claim.quest_id for claim in history.claims.values()})
    if not found:
        return []
    if not requeue:
        names = ", ".join(quest.name for quest in found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
        raise Conflict(
            f"The present model has not finished and sealed {names}.",
            hint="Let `realm up` finish them, or queue them for the next model with --requeue.",
        )
    waiting: list[str] = []
    if history.genesis is not None:
        present = CheckpointStore(paths.current_model, files).resolve("latest")
        reference = present.name if present else BASE
        cursor = read_cursor(present.path).ordinal if present else 1
        undone = Rewinder(paths, files).rewind(reference, now=now, requeue=True, whole=True)
        waiting += [quest.file for quest in undone.undone if quest.queued_as] if undone else []
        lanes = LaneUndoing(paths, files)
        for ordinal, claim in history.claims.items():
            if ordinal < cursor:
                # Covered; only the daemon had not heard of it.
                outcome, rows = history.outcome_of(ordinal), history.rows_learned(ordinal)
                lanes.seal(claim.quest_id, outcome=outcome, rows_learned=rows, now=now)
    lanes = LaneUndoing(paths, files)
    for quest in lanes.in_lanes(*CLAIMED_LANES):
        lanes.let_wait(quest.quest_id)
        waiting.append(quest.name)
    return waiting

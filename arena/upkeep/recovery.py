"""Brings a realm's folders in order after whatever ended the last one, before anything else happens."""

from __future__ import annotations

from datetime import datetime

from arena.cursor import read_cursor
from arena.journal import JOURNAL_NAME, ClaimEntry, History, read_history
from arena.lanes.reading import CLAIMED_LANES
from arena.quest_board import QuestBoard
from arena.telling.live_report import LiveReport
from arena.upkeep.housekeeping import sweep_lanes
from arena.upkeep.ledger_repair import reconcile_ledger
from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord
from core.crash_points import crash_point
from core.instance import InstanceLock
from core.paths import RealmPaths
from core.saga import Saga
from vault.checkpoints import CheckpointStore


def recover(
    paths: RealmPaths, *, board: QuestBoard, ledger: CheckpointLedger, saga: Saga, report: LiveReport, now: datetime
) -> None:
    """Sweep the lanes, take up what was begun, reconcile the ledger, and tell `report` where training stands.

    Raises `OSError`.
    """
    paths.create()
    # Before all else: one that ends in the meantime has saved what is not looked at any more.
    is_left_behind = InstanceLock.holder(paths.current_model / ".lock") is not None
    history = read_history(paths.current_model / JOURNAL_NAME)
    sweep_lanes(board, saga, now=now)
    crash_point("start.swept")
    reconcile_ledger(ledger, saga, now=now)
    present = _present(paths, ledger)
    if present is not None:
        report.step, report.checkpoint = present.step, present.canonical_name
        report.loss, report.validation_loss = present.train_loss, present.val_loss
    if is_left_behind:
        _tell_of_the_one_left_behind(report, saga)
    begun = [claim.quest_id for claim in history.claims.values()]
    board.take_up(begun)
    open_ids = {quest.quest_id for lane in CLAIMED_LANES for quest in board.quests(lane)}
    open_ids |= {quest.quest_id for quest in board.reclaim(begun)}
    # One whose file is gone before its last step lies in no lane, and is not complete for that.
    if ahead := {claim.quest_id for claim in _ahead_of(paths, present, history)} - open_ids:
        open_ids |= ahead - {quest.quest_id for quest in board.quests("recently_completed")}
    report.quests_completed = sum(
        1
        for ordinal, claim in history.claims.items()
        if history.outcome_of(ordinal) == "learned" and claim.quest_id not in open_ids
    )


def _ahead_of(paths: RealmPaths, present: CheckpointRecord | None, history: History) -> list[ClaimEntry]:
    """The claims of which the present checkpoint leaves steps to be made."""
    if present is None:
        return []
    try:
        cursor = read_cursor(paths.current_model / present.canonical_name)
    except (OSError, ValueError):
        return []  # the trainer will refuse it, and say so
    return history.left_from(cursor.ordinal, cursor.quest_step)


def _tell_of_the_one_left_behind(report: LiveReport, saga: Saga) -> None:
    """The trainer of a daemon that died still has what it learned, and saves it: nothing goes back meanwhile (F4)."""
    told = next((series for series in saga.series_ends() if series.name == "train_loss"), None)
    if told is not None and told.last_step > (report.step or 0):
        report.step, report.loss = told.last_step, told.last_value


def _present(paths: RealmPaths, ledger: CheckpointLedger) -> CheckpointRecord | None:
    """The record of HEAD, else of the newest checkpoint that can be resumed from: a newer one may be weights alone."""
    head, records = CheckpointStore(paths.current_model).head(), ledger.list_all()
    resumable = (each for each in records if each.has_optimizer)
    return next((each for each in records if each.canonical_name == head), None) or next(resumable, None)

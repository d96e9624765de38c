"""Brings a realm's folders in order after whatever ended the last one, before anything else happens."""

from __future__ import annotations

import logging
from datetime import datetime

from arena.journal import JOURNAL_NAME, read_history
from arena.quest_board import QuestBoard
from arena.telling.live_report import LiveReport
from arena.upkeep.housekeeping import sweep_lanes
from core.checkpoint_ledger import CheckpointLedger
from core.crash_points import crash_point
from core.paths import RealmPaths
from core.saga import News, Saga

logger = logging.getLogger(__name__)


def recover(
    paths: RealmPaths, *, board: QuestBoard, ledger: CheckpointLedger, saga: Saga, report: LiveReport, now: datetime
) -> None:
    """Sweep the lanes, reconcile the ledger, and tell `report` where training stands. Raises `OSError`."""
    paths.create()
    history = read_history(paths.current_model / JOURNAL_NAME)
    sweep_lanes(board, saga, now=now)
    crash_point("start.swept")
    _reconcile(ledger, saga, now)
    latest = ledger.get_latest()
    if latest is not None:
        report.step, report.checkpoint = latest.step, latest.canonical_name
        report.loss, report.validation_loss = latest.train_loss, latest.val_loss
    open_ids = {quest.quest_id for lane in ("processing", "awaiting_seal") for quest in board.quests(lane)}
    report.quests_completed = sum(
        1
        for ordinal, claim in history.claims.items()
        if history.outcome_of(ordinal) == "learned" and claim.quest_id not in open_ids
    )


def _reconcile(ledger: CheckpointLedger, saga: Saga, now: datetime) -> None:
    try:
        added, removed = ledger.reconcile(now=now)
    except OSError as error:  # its index is derived; a full disk is no reason not to start
        logger.warning("the ledger is not reconciled: %s", error, extra={"event": "reconcile_failed"})
        return
    if added or removed:
        message = f"The ledger found {len(added)} checkpoints and lost {len(removed)} that are not on disk"
        saga.tell([News("ledger_reconciled", message, {"added": added, "removed": removed})], now=now)

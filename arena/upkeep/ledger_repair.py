"""Bringing the ledger's index in line with the checkpoints on disk, and telling of it."""

from __future__ import annotations

import logging
from datetime import datetime

from core.checkpoint_ledger import CheckpointLedger
from core.saga import News, Saga

logger = logging.getLogger(__name__)


def reconcile_ledger(ledger: CheckpointLedger, saga: Saga, *, now: datetime) -> None:
    """Take in checkpoints that were published and never told of, and forget those that are gone."""
    try:
        added, removed = ledger.reconcile(now=now)
    except OSError as error:  # its index is derived; a full disk is no reason not to go on
        logger.warning("the ledger is not reconciled: %s", error, extra={"event": "reconcile_failed"})
        return
    if added or removed:
        message = f"The ledger found {len(added)} checkpoints and lost {len(removed)} that are not on disk"
        saga.tell([News("ledger_reconciled", message, {"added": added, "removed": removed})], now=now)

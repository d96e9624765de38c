"""What the Vault page begins with: the base model, the checkpoints, the newest and the best, and how full it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord, best_of
from core.checkpoint_records import BYTES_PER_GB
from core.errors import RealmError
from vault.checkpoints import CheckpointStore
from vault.keeper import VaultKeeper
from vault.treasury import Treasury

FRESH_SECONDS = 30.0
"""So long a look at the disk is told again: it takes walks through directories, and there may be many viewers (F20)."""


class Shelf:
    """One vault as its page shows it; everything here reads files and belongs into a thread."""

    def __init__(
        self,
        keeper: VaultKeeper,
        ledger: CheckpointLedger,
        treasury: Treasury,
        base_model: Callable[[], dict[str, Any] | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`base_model` tells what the hero began with (`vault.page_answers.BaseModel`)."""
        self._keeper = keeper
        self._ledger = ledger
        self._treasury = treasury
        self._base_model = base_model
        self._clock = clock
        self._looking = threading.Lock()
        self._seen: tuple[float, dict[str, Any]] | None = None

    def assets(self, limit: int, offset: int) -> dict[str, Any]:
        """See `vault.page_answers.VaultAssets`: of records and counters alone, no directory is looked into."""
        records = self._ledger.list_all()
        best = best_of(records, "train_loss")
        best_name = best.canonical_name if best else None
        latest_name = records[0].canonical_name if records else None

        def row(record: CheckpointRecord) -> dict[str, Any]:
            name = record.canonical_name
            return {
                "name": name,
                "step": record.step,
                "path": record.path,
                "size_gb": record.size_gb,
                "created": record.timestamp or None,
                "age_hours": record.age_hours,
                "train_loss": record.train_loss,
                "is_latest": name == latest_name,
                "is_best": name == best_name,
                "is_champion": None,
            }

        page = records[offset : offset + limit]
        types: dict[str, int] | None = None
        with suppress(RealmError):  # a catalog that is away keeps nobody from seeing the checkpoints
            types = self._keeper.catalog.stats()["assets_by_type"]
        return {
            "base_model": self._base_model(),
            "checkpoints": [row(record) for record in page],
            "checkpoint_count": len(records),
            "offset": offset,
            "total_size_gb": _sum_of(records),
            "latest": row(records[0]) if records else None,
            "best": row(best) if best else None,
            "head": CheckpointStore(self._ledger.root).head(),
            "assets_by_type": types,
        }

    def storage(self) -> dict[str, Any]:
        """See `vault.page_answers.VaultStorage`; at most one look at the disk in `FRESH_SECONDS`, whoever asks."""
        with self._looking:
            if self._seen is None or self._clock() - self._seen[0] >= FRESH_SECONDS:
                self._seen = (self._clock(), self._look())
            return self._seen[1]

    def _look(self) -> dict[str, Any]:
        try:
            treasury: dict[str, Any] | None = self._treasury.status()
            error = None
        except RealmError as raised:
            treasury, error = None, raised.message
        strongholds: list[dict[str, Any]] | None = None
        with suppress(RealmError):
            strongholds = self._keeper.strongholds()
        return {
            "looked_at": datetime.now(UTC).isoformat(),
            "treasury": treasury,
            "error": error,
            "strongholds": strongholds,
        }


def _sum_of(records: list[CheckpointRecord]) -> float | None:
    """GB of all of them, as far as they tell; None where none tells."""
    sizes = [record.size_bytes for record in records if record.size_bytes is not None]
    return sum(sizes) / BYTES_PER_GB if sizes or not records else None

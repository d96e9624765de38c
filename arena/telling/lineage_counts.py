"""Counts the gates' verdicts by who made the file and who judged it (spec 1.3): `status/data_lineage.json`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from arena.quests import QuestRecord
from core.files import DISK, Files
from core.lineage import generator_of
from core.lineage_tracker import LineageTracker

logger = logging.getLogger(__name__)

Judged = tuple[QuestRecord, Mapping[str, Any]]
"""A quest and a verdict on it, with the keys `accepted`, `errors` and `validators`."""

CountVerdicts = Callable[[Iterable[Judged], datetime], None]


class LineageCounts:
    """The counts of one realm. Called from the intake's thread and from a thread of the assay."""

    def __init__(self, path: Path, files: Files = DISK) -> None:
        self._tracker = LineageTracker(path, files)
        self._lock = threading.Lock()

    def count(self, judged: Iterable[Judged], now: datetime) -> None:
        """Count some verdicts and write the file once. A disk that refuses only delays the numbers."""
        with self._lock:
            for record, verdict in judged:
                self._tracker.count(
                    generator_of(record.original_name, record.lineage),
                    verdict["validators"],
                    passed=bool(verdict["accepted"]),
                    errors=[finding["message"] for finding in verdict["errors"]],
                    now=now,
                )
            try:
                self._tracker.write()
            except OSError as error:
                logger.warning("lineage counts not written: %s", error, extra={"event": "lineage_not_written"})


def count_nothing(judged: Iterable[Judged], now: datetime) -> None:
    """For an intake or assay whose verdicts nobody counts."""

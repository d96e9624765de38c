"""`status/storage_status.json`: how full each stronghold is, and whether it answers at all (spec 1.7, seed 003).

A look at a dead network mount never returns. So each stronghold is asked in a thread of its own and within a time; one
that hangs is shown as unreachable, and nobody waits for it again until it comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.checkpoint_records import BYTES_PER_GB
from core.errors import RealmError
from core.files import DISK, Files
from core.knocking import Knocker
from core.mounts import mount_of
from core.paths import RealmPaths
from core.settings import RetentionSettings
from core.status_files import write_status
from core.tasks import every
from vault.assets import LOCAL, StrongholdType
from vault.budgets import limits_of
from vault.seals import FOLDER, Seal, seals_in
from vault.storage_registry import StorageRegistry, Stronghold, StrongholdStatus
from vault.stores import store_of

logger = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 60.0
ANSWER_SECONDS = 5.0
VALID_SECONDS = 3 * LOOK_EVERY_SECONDS
TIDY_EVERY = timedelta(hours=1)
HUNG_SECONDS = 600.0

SEVERITY = ("healthy", "unknown", "warning", "unreachable", "critical")
"""What all of them together are is the worst of each."""
CRITICAL_PERCENT = 95.0

Look = Callable[[Stronghold], dict[str, Any]]


class StorageWatch:
    """Watches the strongholds of one realm, the base directory first."""

    def __init__(
        self,
        paths: RealmPaths,
        settings: Callable[[], RetentionSettings],
        tidy: Callable[[str, datetime], object] = lambda stronghold, now: None,
        *,
        look: Look | None = None,
        answer_seconds: float = ANSWER_SECONDS,
        files: Files = DISK,
    ) -> None:
        """`tidy` is called now and then of each stronghold that answers (`Archivist.tidy`). `look` asks the disk."""
        self._paths = paths
        self._settings = settings
        self._tidy = tidy
        self._registry = StorageRegistry(paths.base)
        self._look = look or self._registry.status_of
        self._answer_seconds = answer_seconds
        self._files = files
        self._knocker = Knocker()
        self._seen_at: dict[str, str] = {}
        self._tidied_at: dict[str, datetime] = {}
        self._complained = False

    async def run(self) -> None:
        """Look every minute, for ever."""
        await every(LOOK_EVERY_SECONDS, self.go, within=HUNG_SECONDS)

    async def go(self) -> None:
        """One look; a disk that does not take its result is told of once."""
        try:
            told = await asyncio.to_thread(self.look, datetime.now(UTC))
            await asyncio.to_thread(self._tidy_some, told, datetime.now(UTC))
            self._complained = False
        except (OSError, RealmError) as error:
            if not self._complained:
                logger.warning("the storage status is not written: %s", error, extra={"event": "storage_unwritten"})
            self._complained = True

    def look(self, now: datetime) -> dict[str, Any]:
        """Ask all strongholds at once, and write what they say. Never takes much longer than an answer may."""
        own = Stronghold(name=LOCAL, stronghold_type=StrongholdType.LOCAL, base_path=str(self._paths.base))
        strongholds = [own, *self._registry.strongholds()]
        works = {each.name: lambda each=each: self._ask(each) for each in strongholds}
        answers = self._knocker.ask_all(works, self._answer_seconds)
        told = [self._told(each, answers[each.name], now) for each in strongholds]
        body = {"status": max((each["health"] for each in told), key=SEVERITY.index), "strongholds": told}
        write_status(self._paths.storage_status, body, now=now, valid_for=VALID_SECONDS, files=self._files)
        return body

    # --- inside -------------------------------------------------------------------------------------------

    def _ask(self, stronghold: Stronghold) -> dict[str, Any]:
        """In a thread that may hang for ever."""
        usage = self._look(stronghold)
        folder = None if stronghold.base_path is None else Path(stronghold.base_path) / FOLDER
        there = folder is not None and usage["total_gb"] is not None
        mount = mount_of(Path(str(stronghold.base_path))) if there else None
        seals = list(seals_in(folder, stronghold.name)) if folder is not None and there else None
        return {**usage, "file_system": mount.fs_type if mount else None, "seals": seals}

    def _told(self, stronghold: Stronghold, answer: dict[str, Any] | BaseException, now: datetime) -> dict[str, Any]:
        unknown: dict[str, Any] = dict.fromkeys(("total_gb", "used_gb", "free_gb", "usage_percent", "file_system"))
        error = None
        if isinstance(answer, BaseException):
            error = str(answer)
            answer = {**unknown, "status": StrongholdStatus.OFFLINE, "seals": None}
        elif answer["total_gb"] is not None:
            self._seen_at[stronghold.name] = now.isoformat()
        seals: list[Seal] | None = answer.pop("seals")
        store = store_of(stronghold)
        budget = None if store is None else limits_of(store, self._settings()).total_bytes / BYTES_PER_GB
        return {
            "name": stronghold.name,
            "type": stronghold.stronghold_type,
            "host": stronghold.host,
            "share": stronghold.share,
            "base_path": stronghold.base_path,
            **unknown,
            **answer,
            "health": _health(stronghold, answer),
            "reachable": answer["total_gb"] is not None,
            "error": error,
            "last_seen_at": self._seen_at.get(stronghold.name),
            "threshold_percent": stronghold.profile.cleanup_threshold_pct,
            "backup_count": None if seals is None else len(seals),
            "backup_gb": None if seals is None else sum(seal.size_bytes for seal in seals) / BYTES_PER_GB,
            "backup_budget_gb": budget,
            "newest_backup_at": seals[-1].note.sealed_at.isoformat() if seals else None,
        }

    def _tidy_some(self, told: dict[str, Any], now: datetime) -> None:
        for each in told["strongholds"]:
            name, last = each["name"], self._tidied_at.get(each["name"])
            if each["reachable"] and (last is None or abs(now - last) >= TIDY_EVERY):
                self._tidied_at[name] = now
                try:
                    self._tidy(name, now)
                except (OSError, RealmError) as error:
                    logger.warning("%s is not tidied: %s", name, error, extra={"event": "storage_untidy"})


def _health(stronghold: Stronghold, answer: dict[str, Any]) -> str:
    percent = answer["usage_percent"]
    if percent is None:
        away = answer["status"] in (StrongholdStatus.OFFLINE, StrongholdStatus.ACTIVE)
        return "unreachable" if away else "unknown"
    if percent > CRITICAL_PERCENT:
        return "critical"
    return "warning" if percent > stronghold.profile.cleanup_threshold_pct else "healthy"

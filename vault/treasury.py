"""The treasury: how much the vault may hold, and the one way in which anything in it is deleted.

What goes is for `vault.retention` to say. Whatever goes takes this path (DESIGN section 3): out of sight into the
trash, then out of the ledger, then off the disk; killed in between, the next round finishes it.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import BYTES_PER_GB, match_checkpoint
from core.crash_points import crash_point
from core.errors import NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from core.settings import RetentionSettings
from vault.checkpoints import BRANCHES, CheckpointDir, CheckpointStore
from vault.retention import (
    CHECKPOINTS,
    Deletion,
    Holding,
    Kind,
    Limit,
    Limits,
    Pin,
    Protection,
    Tally,
    Verdict,
    make_way,
    pin_down,
    weigh,
)
from vault.snapshots import sweep_snapshots
from vault.stock import stock_of_checkpoints, take_stock
from vault.trash import discard, to_trash, trashed_in

__all__ = ["Deletion", "Pin", "Protection", "Treasury", "no_pins"]

if TYPE_CHECKING:
    from core.saga import News

logger = logging.getLogger(__name__)

WARNING_PERCENT = 80.0
CRITICAL_PERCENT = 90.0
"""Use of the disk from which on its health is `warning` or `critical` (spec 1.13)."""

TOLD_AT_ONCE = 20
"""Deletions of one round that get an event each; the rest is counted."""

BEST_BY = ("train_loss", "val_loss")

ROLLED_ON = "a newer checkpoint took the rolling slot"
STILL_THERE = "It is out of sight, but its files could not be removed yet: the next round tries again."

Pins = Callable[[], Mapping[Path, Pin]]
"""What others refer to, by path; one inside a holding holds all of it."""


def no_pins() -> Mapping[Path, Pin]:
    """Nobody refers to anything."""
    return {}


Tell = Callable[["list[News]", datetime], object]


def unheard(news: list[News], now: datetime) -> None:
    """Nobody is told; the log has it."""


class Treasury:
    """Looks after the size of one realm's vault. Safe between threads; other processes delete only what they hold."""

    on_gone: Callable[[Path], object] | None
    """Told where something lay that is out of sight now, before its files go: whoever keeps books on branches, archives
    and snapshots strikes it out (`VaultKeeper.note_gone`). The ledger tells of checkpoints. Must not raise."""

    def __init__(
        self,
        paths: RealmPaths,
        ledger: CheckpointLedger,
        settings: Callable[[], RetentionSettings],
        *,
        pins: Pins = no_pins,
        tell: Tell = unheard,
        files: Files = DISK,
    ) -> None:
        """`settings` is asked each time, so that a change is in force at once; `pins` only ever add to what stays.

        `tell` is told of what was deleted and why, but for the checkpoints of the rolling slot.
        """
        self._paths = paths
        self._ledger = ledger
        self._settings = settings
        self._pins = pins
        self._tell = tell
        self._files = files
        self.on_gone = None
        self._store = CheckpointStore(paths.current_model, files)
        self._at_work = threading.Lock()

    # --- what goes ----------------------------------------------------------------------------------------

    def verdict(self, now: datetime) -> Verdict:
        """What `prune` does, and why everything else stays."""
        settings = self._settings()
        stock = take_stock(self._paths, self._ledger, self._store)
        pins = self._all_pins(stock, now)
        if not settings.enabled:
            return make_way(stock, pins, 0)
        return weigh(stock, pins, _limits(settings), now=now)

    def plan(self, now: datetime) -> list[Deletion]:
        """What `prune` deletes, in its order."""
        return self.verdict(now).deletions

    def prune(self, now: datetime) -> list[Deletion]:
        """Keep to the limits of the settings; returns what was deleted. What cannot be deleted is logged and stays."""
        with self._at_work:
            self._sweep()
            return self._carry_out(self.plan(now), now)

    def make_room(self, bytes_wanted: int, now: datetime) -> list[Deletion]:
        """Free so many bytes on the disk of the checkpoints, if that can be done without touching a pin.

        Takes the oldest first, and where all that is expendable is too little, all of it. Does nothing with
        `retention.enabled` off.
        """
        with self._at_work:
            # Half a deletion, or one that was cut off, may be room enough.
            self._sweep()
            if bytes_wanted <= 0 or not self._settings().enabled:
                return []
            stock = take_stock(self._paths, self._ledger, self._store)
            device = self._paths.current_model.stat().st_dev
            near = [each for each in stock if any(inode[0] == device for inode in each.files)]
            return self._carry_out(make_way(near, self._all_pins(stock, now), bytes_wanted).deletions, now)

    def free_rolling_slot(self, now: datetime) -> list[str]:
        """Delete the checkpoints that a newer one has replaced; returns their names.

        That is all but milestones and what a pin holds: HEAD, what stands in for it, the newest, the best … Being young
        is none here.
        """
        with self._at_work:
            # Without an ordinal it is not one of the trainer's own.
            rolling = {each.canonical_name for each in self._ledger.list_all() if not each.milestone and each.ordinal}
            stock = stock_of_checkpoints(self._ledger, self._store)
            pins = self._all_pins(stock, now, min_age=timedelta(0))
            replaced = [each for each in stock if each.name in rolling and each.path not in pins]
            return [each.name for each in replaced if self._delete(Deletion(each, ROLLED_ON, 0), now)]

    # --- what there is ------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Room on the disk and what the vault takes of it, in GB (10⁹ bytes); see `vault.answers.TreasuryStatus`."""
        try:
            usage = shutil.disk_usage(self._paths.current_model)
        except OSError as error:
            raise Unavailable(f"{self._paths.current_model} cannot be looked at: {error.strerror}.") from error
        stock = take_stock(self._paths, self._ledger, self._store)
        # As df has it: what is kept back for root is nobody's.
        percent = 100 * usage.used / max(usage.used + usage.free, 1)
        return {
            "total_gb": usage.total / BYTES_PER_GB,
            "used_gb": usage.used / BYTES_PER_GB,
            "free_gb": usage.free / BYTES_PER_GB,
            "usage_percent": percent,
            "health": _health(percent),
            **_counted("checkpoint", stock, CHECKPOINTS),
            **_counted("branch", stock, ("branch",)),
            **_counted("archive", stock, ("archive",)),
            **_counted("snapshot", stock, ("snapshot",)),
            "kept_gb": Tally(stock).total_bytes / BYTES_PER_GB,
            "limit_gb": self._settings().total_gigabytes,
        }

    # --- inside -------------------------------------------------------------------------------------------

    def _all_pins(
        self, stock: Sequence[Holding], now: datetime, *, min_age: timedelta | None = None
    ) -> dict[Path, Pin]:
        """`min_age` is how young something must be to be guarded; else what the settings say."""
        referred_to = self._referred_to([each.path for each in stock])
        given = {**self._best(), **self._kept_by_setting(stock), **referred_to, **self._began_with()}
        if min_age is None:
            min_age = timedelta(hours=self._settings().min_age_hours)
        return pin_down(stock, given, head=self._store.head(), min_age=min_age, now=now)

    def _best(self) -> dict[Path, Pin]:
        found = {}
        for metric in BEST_BY:
            record = self._ledger.get_best(metric)
            if record is not None:
                reason = f"It is the best by {metric} ({getattr(record, metric):.4g})."
                found[self._store.root / record.canonical_name] = Pin(Protection.PROTECTED, reason)
        return found

    def _kept_by_setting(self, stock: Sequence[Holding]) -> dict[Path, Pin]:
        pin = Pin(Protection.PROTECTED, "retention.keep names it.")
        found = {}
        for reference in self._settings().keep:
            for each in stock:
                own = match_checkpoint(reference, [each.path.name]) if each.step is not None else None
                if own is not None or reference == each.name:
                    found[each.path] = pin
        return found

    def _began_with(self) -> dict[Path, Pin]:
        pin = Pin(Protection.SACRED, "A history begins with it: it was adopted, and stands for the base model.")
        records = self._ledger.list_all()
        return {
            self._store.root / record.canonical_name: pin
            for record in records
            if record.milestone and record.created_by == "adopted"
        }

    def _referred_to(self, places: Sequence[Path]) -> dict[Path, Pin]:
        # Not `resolve`, which raises where a link leads to itself.
        pins = {Path(os.path.realpath(path)): pin for path, pin in self._pins().items()} if places else {}
        return {place: pin for path, pin in pins.items() for place in places if path.is_relative_to(place.resolve())}

    def _sweep(self) -> None:
        """Finish deletions that were cut off, and drop half a snapshot."""
        self._store.empty_trash()
        sweep_snapshots(self._paths, self._files)
        branches = list((self._store.root / BRANCHES).glob("*/"))
        for parent in (*branches, self._paths.archive, self._paths.snapshots):
            for folder in trashed_in(parent):
                discard(folder, self._files)
        for branch in branches:
            with suppress(OSError):  # not empty
                branch.rmdir()

    def _carry_out(self, deletions: Iterable[Deletion], now: datetime) -> list[Deletion]:
        done = [gone for each in deletions if (gone := self._delete(each, now)) is not None]
        if done:
            self._tell(_news_of(done), now)
        return done

    def _delete(self, deletion: Deletion, now: datetime) -> Deletion | None:
        """Out of sight, out of the ledger, off the disk; returns what was done, None where it stays."""
        holding, reason = deletion.holding, deletion.reason
        try:
            trashed = self._take_out_of_sight(holding)
        except (OSError, RealmError) as error:
            # One that somebody else has deleted meanwhile needs no warning.
            level = logging.INFO if isinstance(error, NotFound | FileNotFoundError) else logging.WARNING
            logger.log(level, "%s was not deleted: %s", holding.name, error, extra={"event": "delete_failed"})
            return None
        logger.info("%s is deleted: %s", holding.name, reason, extra={"event": "pruned"})
        told = holding.kind not in CHECKPOINTS or self._tell_ledger(holding.name, reason, now)
        if self.on_gone is not None:
            self.on_gone(holding.path)
        crash_point("prune.forgotten")
        is_off_the_disk = discard(trashed, self._files)
        if not told:
            # A full disk has room for the line now.
            self._tell_ledger(holding.name, reason, now)
        return deletion if is_off_the_disk else replace(deletion, reason=f"{reason} {STILL_THERE}", frees_bytes=0)

    def _take_out_of_sight(self, holding: Holding) -> Path:
        """Rename it; returns where it lies now."""
        if holding.kind in CHECKPOINTS:
            return self._store.trash(holding.name)
        if holding.kind == "branch":
            return self._store.trash_of_branch(CheckpointDir(holding.path.name, holding.step or 0, holding.path))
        return to_trash(holding.path, self._files)

    def _tell_ledger(self, name: str, reason: str, now: datetime) -> bool:
        """Strike it out; where that fails, the ledger sees by itself that it is gone from the disk."""
        try:
            self._ledger.forget(name, reason, now=now)
        except (OSError, RealmError) as error:
            logger.warning("the ledger does not tell of %s: %s", name, error, extra={"event": "forget_failed"})
            return False
        return True


def _news_of(done: list[Deletion]) -> list[News]:
    # Loaded on use: who only looks needs no database.
    from core.saga import News

    news = [
        News("pruned", f"{each.holding.name} is deleted. {each.reason}", {"frees_bytes": each.frees_bytes})
        for each in done[:TOLD_AT_ONCE]
    ]
    if rest := [each.holding.name for each in done[TOLD_AT_ONCE:]]:
        news.append(News("pruned", f"{len(rest)} more were deleted with them.", {"names": rest}))
    return news


def _limits(settings: RetentionSettings) -> Limits:
    kinds: dict[Kind, Limit] = {
        "resumable": Limit(settings.resumable),
        "weights_only": Limit(settings.weights_only),
        "branch": Limit(settings.branches, settings.branch_days),
        "archive": Limit(settings.archives, settings.archive_days),
        "snapshot": Limit(settings.snapshots),
    }
    return Limits(kinds, settings.total_gigabytes * BYTES_PER_GB)


def _counted(name: str, stock: Sequence[Holding], kinds: Sequence[Kind]) -> dict[str, Any]:
    mine = [each for each in stock if each.kind in kinds]
    return {f"{name}_count": len(mine), f"{name}_size_gb": Tally(mine).total_bytes / BYTES_PER_GB}


def _health(percent: float) -> str:
    if percent > CRITICAL_PERCENT:
        return "critical"
    return "warning" if percent > WARNING_PERCENT else "healthy"

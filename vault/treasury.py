"""The treasury: how much the vault may hold, and the one way in which anything in it is deleted.

What goes is for `vault.retention` to say, and whether it may, as somebody holds it and has no other copy, for
`vault.last_copies`. Whatever goes, also from a stronghold, takes this path (DESIGN section 3): out of sight into the
trash, then out of ledger and catalog, then off the disk; killed in between, the next round finishes it.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import BYTES_PER_GB, match_checkpoint
from core.crash_points import crash_point
from core.errors import Conflict, NotFound, RealmError, Unavailable
from core.files import DISK, Files
from core.paths import RealmPaths
from core.settings import RetentionSettings
from vault.assets import LOCAL
from vault.budgets import Purge, budgets, by_stronghold
from vault.checkpoints import BRANCHES, CheckpointDir, CheckpointStore
from vault.copies import Heavy, here
from vault.last_copies import LastCopies, own_pins, parts_of
from vault.pin_book import PinBook
from vault.retention import (
    CHECKPOINTS,
    Deletion,
    Holding,
    Kind,
    Pin,
    Protection,
    Tally,
    Verdict,
    give_up,
    make_way,
    pin_down,
    single_out,
    weigh,
)
from vault.snapshots import sweep_snapshots
from vault.stock import outline_of_checkpoints, stock_of_backups, stock_of_checkpoints, stock_of_copies, take_stock
from vault.stores import Store, Stores
from vault.trash import discard, to_trash, trashed_in
from vault.whole_copies import WholeCopies

__all__ = ["Deletion", "Pin", "Protection", "Purge", "Treasury", "no_pins"]

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

    on_gone: Callable[[Path, str], object] | None
    """Told where, and in which stronghold, something lay that is out of sight now, before its files go: whoever keeps
    books on it strikes it out (`VaultKeeper.note_gone`). The ledger tells of checkpoints. Must not raise."""

    last_copies: LastCopies
    """Knows what may go; whoever knows the zones of the realm sets its `others`."""

    def __init__(
        self,
        paths: RealmPaths,
        ledger: CheckpointLedger,
        settings: Callable[[], RetentionSettings],
        *,
        pins: Pins = no_pins,
        tell: Tell = unheard,
        stores: Stores | None = None,
        heavy: Heavy = here,
        files: Files = DISK,
    ) -> None:
        """`settings` is asked each time, so that a change is in force at once; `pins` only ever add to what stays.

        `tell` is told of what was deleted and why, but for the checkpoints of the rolling slot. `heavy` reads copies
        again on which a deletion relies.
        """
        self._paths = paths
        self._ledger = ledger
        self.settings = settings
        self._pins = pins
        self._tell = tell
        self._files = files
        self.on_gone = None
        self._store = CheckpointStore(paths.current_model, files)
        self.stores = stores or Stores(paths)
        self._host = socket.gethostname()
        self.last_copies = LastCopies(
            self.stores, PinBook(paths.pins, files), WholeCopies(heavy),
            lambda: timedelta(days=self.settings().proof_days),
        )  # fmt: skip
        self._at_work = threading.Lock()
        self._held: dict[Path, Pin] = {}

    # --- what goes ----------------------------------------------------------------------------------------

    def verdict(self, now: datetime) -> Verdict:
        """What `prune` does, and why everything else stays."""
        settings = self.settings()
        stock = self._stock()
        pins = self._all_pins(stock, now, everything=True)
        if not settings.enabled:
            return make_way(stock, pins, 0)
        groups = budgets(stock, settings, self.stores.get)
        return self._provable(lambda: [weigh(each, pins, limits, now=now) for each, limits in groups], stock, pins, now)

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
            if bytes_wanted <= 0 or not self.settings().enabled:
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

    def purge(self, wish: Purge, now: datetime, *, dry_run: bool = False) -> Verdict:
        """Delete backups that somebody wants to be deleted; what went, and what stays and why.

        Raises `Conflict` for a wish without a condition, and `NotFound` for a name that no backup has.
        """
        if not wish.names and wish.keep is None and wish.older_than_days is None:
            hint = "Name them, or say --keep or --older-than."
            raise Conflict("It is not said which backups are to go.", hint=hint)
        with self._at_work:
            if not dry_run:
                self._sweep()
            stock = self._stock()
            # Whoever names one has seen it: that it is young does not hold it.
            min_age = timedelta(0) if wish.names else None
            pins = self._all_pins(stock, now, min_age=min_age, everything=True)
            chosen = [each for each in stock if each.kind == "backup" and wish.stronghold in (None, each.stronghold)]
            if wish.names:
                _check_named(wish, chosen)
                told = self._provable(lambda: [single_out(chosen, pins, wish.names)], stock, pins, now)
            else:
                groups = by_stronghold(each for each in chosen if each.is_own)
                limits = wish.limits()
                weighed = lambda: [weigh(each, pins, limits, now=now) for each in groups.values()]  # noqa: E731
                told = self._provable(weighed, stock, pins, now)
            return told if dry_run else replace(told, deletions=self._carry_out(told.deletions, now))

    def give_up(self, folder: Path, now: datetime, *, dry_run: bool = False) -> tuple[Deletion | None, Pin | None]:
        """Delete the checkpoint in `folder`, of `current_model/` or of a branch, as somebody asks for it: what goes,
        or the pin that holds it. That it is young holds it not.

        Raises `NotFound` when it is not there (any more), and `Unavailable` when the disk keeps it.
        """
        with self._at_work:
            if not dry_run:
                self._sweep()
            stock = self._stock()
            chosen = next((each for each in stock if each.path == folder and each.step is not None), None)
            if chosen is None:
                raise NotFound(f"There is no checkpoint at {folder}.", hint="The ledger lists those that there are.")
            pins = self._all_pins(stock, now, min_age=timedelta(0), everything=True)
            told = self._provable(lambda: [give_up(stock, pins, chosen)], stock, pins, now)
            going = next(iter(told.deletions), None)
            if going is None:
                return None, next(each.pin for each in told.kept if each.holding.path == folder)
            if not dry_run:
                done = self._carry_out([going], now)
                if not done:
                    raise Unavailable(f"{chosen.name} could not be deleted.", hint="The log says why; try again.")
                going = done[0]
            return going, None

    @contextmanager
    def holding(self, folder: Path, reason: str) -> Iterator[None]:
        """What lies in `folder` is not deleted until the end of the block."""
        self._held[folder] = Pin(Protection.PROTECTED, reason)
        try:
            yield
        finally:
            self._held.pop(folder, None)

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Nothing is deleted until the end of the block: somebody else moves checkpoints about."""
        with self._at_work:
            yield

    # --- what there is ------------------------------------------------------------------------------------

    def pin_of(self, folder: Path, now: datetime) -> Pin | None:
        """What holds a checkpoint of `current_model/` or of a branch; None where only the limits do. Deletes nothing,
        and looks into no directory but for its name."""
        outline = outline_of_checkpoints(self._ledger, self._store)
        given = {**self._best(), **self._kept_by_setting(outline), **self._referred_to(self._pins(), [folder])}
        given |= self._began_with()
        min_age = timedelta(hours=self.settings().min_age_hours)
        return pin_down(outline, given, head=self._store.head(), min_age=min_age, now=now).get(folder)

    def status(self) -> dict[str, Any]:
        """Room on the disk and what the vault takes of it, in GB (10⁹ bytes); see `vault.answers.TreasuryStatus`."""
        try:
            usage = shutil.disk_usage(self._paths.current_model)
        except OSError as error:
            raise Unavailable(f"{self._paths.current_model} cannot be looked at: {error.strerror}.") from error
        stock, copies = take_stock(self._paths, self._ledger, self._store), stock_of_copies(self._paths)
        backups = self._backups(self.stores.get(LOCAL))
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
            **_counted("copy", copies, ("copy",)),
            **_counted("backup", backups, ("backup",)),
            "kept_gb": Tally(stock).total_bytes / BYTES_PER_GB,
            "limit_gb": self.settings().total_gigabytes,
        }

    # --- inside -------------------------------------------------------------------------------------------

    def _stock(self) -> list[Holding]:
        """Everything that has a limit, wherever it lies; of strongholds, as far as they answer."""
        stock = [*take_stock(self._paths, self._ledger, self._store), *stock_of_copies(self._paths)]
        try:
            stores = self.stores.all()
        except RealmError as error:
            logger.warning("no stronghold is looked into: %s", error, extra={"event": "stores_unread"})
            stores = [self.stores.get(LOCAL)]
        return [*stock, *(each for store in stores for each in self._backups(store))]

    def _backups(self, store: Store) -> list[Holding]:
        try:
            seals = self.stores.seals(store)
        except (OSError, RealmError) as error:
            logger.warning("%s is not looked into: %s", store.name, error, extra={"event": "store_unread"})
            return []
        base = str(self._paths.base)
        own = {seal.path for seal in seals if (seal.note.base_dir, seal.note.host) == (base, self._host)}
        return [replace(each, is_own=each.path in own) for each in stock_of_backups(seals)]

    def _provable(
        self, weighed: Callable[[], list[Verdict]], stock: Sequence[Holding], pins: dict[Path, Pin], now: datetime
    ) -> Verdict:
        """What goes of all groups: where something has to stay for want of another copy, the next one has its turn."""
        asked: set[Path] = set()
        while True:
            verdicts = weighed()
            deletions = [each for verdict in verdicts for each in verdict.deletions]
            held: dict[Path, Pin] = {}
            for each in deletions:
                if each.holding.path not in asked:
                    asked.add(each.holding.path)
                    if why := self.last_copies.why_held(each.holding, stock, now):
                        held[each.holding.path] = Pin(Protection.PROTECTED, why)
            if not held:
                return Verdict(deletions, [each for verdict in verdicts for each in verdict.kept])
            pins |= held

    def _all_pins(
        self, stock: Sequence[Holding], now: datetime, *, min_age: timedelta | None = None, everything: bool = False
    ) -> dict[Path, Pin]:
        """`min_age` is how young something must be to be guarded; else what the settings say. `stock` is `everything`
        there is, or what the realm itself has made."""
        elsewhere = {**self._pins(), **self._held}
        referred_to = self._referred_to(elsewhere, [each.path for each in stock])
        given = {**self._best(), **self._kept_by_setting(stock), **referred_to, **self._began_with()}
        if min_age is None:
            min_age = timedelta(hours=self.settings().min_age_hours)
        pins = pin_down(stock, given, head=self._store.head(), min_age=min_age, now=now)
        told = own_pins(stock, pins, elsewhere, self.settings().keep)
        self.last_copies.note_own(stock, told, elsewhere, everything=everything)
        return pins

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
        for reference in self.settings().keep:
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

    def _referred_to(self, given: Mapping[Path, Pin], places: Sequence[Path]) -> dict[Path, Pin]:
        # Not `resolve`, which raises where a link leads to itself.
        pins = {Path(os.path.realpath(path)): pin for path, pin in given.items()} if places else {}
        return {place: pin for path, pin in pins.items() for place in places if path.is_relative_to(place.resolve())}

    def _sweep(self) -> None:
        """Finish deletions that were cut off, and drop half a snapshot."""
        self._store.empty_trash()
        sweep_snapshots(self._paths, self._files)
        branches = list((self._store.root / BRANCHES).glob("*/"))
        for parent in (*branches, self._paths.archive, self._paths.snapshots, self._paths.models):
            for folder in trashed_in(parent):
                discard(folder, self._files)
        self._sweep_stores()
        for branch in branches:
            with suppress(OSError):  # not empty
                branch.rmdir()

    def _sweep_stores(self) -> None:
        try:
            stores = self.stores.all()
        except RealmError:  # told of by whoever takes stock
            stores = [self.stores.get(LOCAL)]
        for store in stores:
            with suppress(OSError, RealmError):  # one that does not answer is swept when it does
                self.stores.within(store, partial(self._sweep_store, store), what="sweeping")

    def _sweep_store(self, store: Store) -> None:
        for folder in trashed_in(store.folder):
            discard(folder, self._files)

    def _carry_out(self, deletions: Iterable[Deletion], now: datetime) -> list[Deletion]:
        done = [gone for each in deletions if (gone := self._delete(each, now)) is not None]
        if done:
            self._tell(_news_of(done), now)
        return done

    def _delete(self, deletion: Deletion, now: datetime) -> Deletion | None:
        """Out of sight, out of the ledger, off the disk; returns what was done, None where it stays."""
        holding, reason = deletion.holding, deletion.reason
        place = parts_of(holding)[0].folder if holding.kind == "backup" else holding.path
        try:
            with self.last_copies.leaving(holding, self._stock, now):
                trashed = self._take_out_of_sight(holding)
        except (OSError, RealmError) as error:
            # One that somebody else has deleted meanwhile needs no warning.
            level = logging.INFO if isinstance(error, NotFound | FileNotFoundError) else logging.WARNING
            logger.log(level, "%s was not deleted: %s", holding.name, error, extra={"event": "delete_failed"})
            return None
        logger.info("%s is deleted: %s", holding.name, reason, extra={"event": "pruned"})
        told = holding.kind not in CHECKPOINTS or self._tell_ledger(holding.name, reason, now)
        if self.on_gone is not None:
            self.on_gone(place, holding.stronghold)
        crash_point("prune.forgotten")
        is_off_the_disk = self._discard(trashed, holding)
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
        if holding.kind == "backup":
            store = self.stores.get(holding.stronghold)
            return self.stores.within(store, lambda: to_trash(holding.path, self._files), what="deleting")
        return to_trash(holding.path, self._files)

    def _discard(self, trashed: Path, holding: Holding) -> bool:
        if holding.kind != "backup":
            return discard(trashed, self._files)
        try:
            store = self.stores.get(holding.stronghold)
            return self.stores.within(store, lambda: discard(trashed, self._files), what="deleting")
        except RealmError as error:
            logger.warning("%s was not removed: %s", trashed, error, extra={"event": "trash_kept"})
            return False

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


def _check_named(wish: Purge, backups: Sequence[Holding]) -> None:
    known = {each.name for each in backups}
    if missing := [name for name in wish.names if name not in known]:
        raise NotFound(
            f"There is no backup {missing[0]!r}.", hint="`realm vault backups` shows those in reach, with their names."
        )


def _counted(name: str, stock: Sequence[Holding], kinds: Sequence[Kind]) -> dict[str, Any]:
    mine = [each for each in stock if each.kind in kinds]
    return {f"{name}_count": len(mine), f"{name}_size_gb": Tally(mine).total_bytes / BYTES_PER_GB}


def _health(percent: float) -> str:
    if percent > CRITICAL_PERCENT:
        return "critical"
    return "warning" if percent > WARNING_PERCENT else "healthy"

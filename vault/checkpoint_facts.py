"""What can be told of one checkpoint without reading its weights: its record, its files, how it compares, why it stays.

Sizes are those of its manifest: no directory is walked through (F20).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord, read_sidecar
from core.checkpoint_records import BYTES_PER_GB, extract_step, match_checkpoint
from core.checkpoint_survey import OPTIMIZER_FILE, saved_at
from core.errors import NotFound, RealmError
from core.paths import RealmPaths
from core.settings import RetentionSettings
from vault.checkpoints import CheckpointDir, CheckpointStore
from vault.manifest import listed_files
from vault.retention import Pin, Protection
from vault.scrub_record import read_scrub_record

if TYPE_CHECKING:
    from vault.treasury import Treasury

SCHEDULER_FILE = "scheduler.pt"
MOST_FILES = 500
NEAREST = 5
"""Checkpoints that are named where the one asked for is not there."""


@dataclass(frozen=True)
class Standing:
    """A checkpoint directory, and where it stands."""

    found: CheckpointDir
    record: CheckpointRecord | None
    """None where it has no readable sidecar."""
    branch: str | None
    """Directory of the branch that it lies on; None in `current_model/` itself."""

    @property
    def address(self) -> str:
        """What it alone is called: its name, with the branch before it where it lies on one."""
        return self.found.name if self.branch is None else f"{self.branch}/{self.found.name}"


def standing_of(paths: RealmPaths, ledger: CheckpointLedger, reference: str) -> Standing | None:
    """The checkpoint meant by a step, a directory name, `checkpoint_STEP`, `latest`, `best` or `BRANCH/NAME`.

    Of several, one in `current_model/` is meant before those on branches, and of these the one left behind last.
    """
    store = CheckpointStore(paths.current_model)
    if record := ledger.find(reference):
        return Standing(CheckpointDir(record.canonical_name, record.step, Path(record.path)), record, None)
    if found := store.resolve(reference):
        return Standing(found, None, None)
    branches = store.branches()
    by_address = {f"{each.path.parent.name}/{each.name}": each for each in branches}
    meant = match_checkpoint(reference, [each.name for each in branches])
    left = by_address.get(reference) or next((each for each in reversed(branches) if each.name == meant), None)
    if left is None:
        return None
    sidecar = read_sidecar(left.path)
    own = replace(sidecar, step=left.step, canonical_name=left.name, path=str(left.path)) if sidecar else None
    return Standing(left, own, left.path.parent.name)


def must_stand(paths: RealmPaths, ledger: CheckpointLedger, reference: str) -> Standing:
    """`standing_of`, but raises `NotFound` that says what there is."""
    standing = standing_of(paths, ledger, reference)
    if standing is None:
        summary = ledger.get_summary()
        there = f"There are {summary['count']}, from step {summary['oldest_step']} to {summary['latest_step']}."
        raise NotFound(
            f"There is no checkpoint {reference!r}.", hint=there if summary["count"] else "None was saved yet."
        )
    return standing


def checkpoint_facts(
    paths: RealmPaths, ledger: CheckpointLedger, treasury: Treasury, reference: str, now: datetime
) -> dict[str, Any]:
    """See `vault.page_answers.CheckpointData`."""
    standing = standing_of(paths, ledger, reference)
    records = ledger.list_all()
    told: dict[str, Any] = {
        "step": _step_in(reference), "found": False, "name": None, "address": None, "branch": None, "is_head": False,
        "ledger": None, "comparison": None, "deployment": None, "physical": None, "protection": None,
        "verification": None, "available": _available(records, _step_in(reference)),
    }  # fmt: skip
    if standing is None:
        return told
    found, head = standing.found, CheckpointStore(paths.current_model).head()
    return {
        **told,
        "step": found.step,
        "found": True,
        "name": found.name,
        "address": standing.address,
        "branch": standing.branch,
        "is_head": standing.branch is None and found.name == head,
        "ledger": standing.record.to_view() if standing.record else None,
        "comparison": _comparison(standing, records),
        "physical": _physical(standing),
        "protection": _protection(standing, treasury, now),
        "verification": _verification(paths, standing),
    }


# --- inside ---------------------------------------------------------------------------------------------------


def _step_in(reference: str) -> int | None:
    name = match_checkpoint(reference, [reference])
    digits = reference if reference.isascii() and reference.isdecimal() and len(reference) <= 18 else None
    return int(digits) if digits else (extract_step(reference) or None if name else None)


def _available(records: Sequence[CheckpointRecord], wanted: int | None) -> dict[str, Any]:
    """What there is, for whoever asks for what is not."""
    near = sorted(records, key=lambda each: abs(each.step - wanted)) if wanted is not None else records
    return {
        "count": len(records),
        "oldest_step": records[-1].step if records else None,
        "latest_step": records[0].step if records else None,
        "nearest": [_short(each) for each in near[:NEAREST]],
    }


def _short(record: CheckpointRecord) -> dict[str, Any]:
    return {"step": record.step, "name": record.canonical_name, "train_loss": record.train_loss}


def _comparison(standing: Standing, records: Sequence[CheckpointRecord]) -> dict[str, Any] | None:
    """How its training loss stands among those of all that are in the ledger; None on a branch."""
    mine = next((at for at, each in enumerate(records) if each.canonical_name == standing.found.name), None)
    if standing.branch is not None or mine is None:
        return None
    loss = records[mine].train_loss
    rated = [each for each in records if each.train_loss is not None]
    best = min(rated, key=lambda each: each.train_loss or 0.0, default=None)
    after = records[mine - 1] if mine else None
    before = records[mine + 1] if mine + 1 < len(records) else None
    return {
        "metric": "train_loss",
        "best": _short(best) if best else None,
        "is_best": best is not None and best.canonical_name == standing.found.name,
        "rank": None if loss is None else 1 + sum(1 for each in rated if (each.train_loss or 0.0) < loss),
        "of": len(rated),
        "behind_best": _difference(loss, best.train_loss if best else None),
        "previous": _short(before) if before else None,
        "since_previous": _difference(loss, before.train_loss if before else None),
        "next": _short(after) if after else None,
    }


def _difference(loss: float | None, other: float | None) -> float | None:
    return None if loss is None or other is None else loss - other


def _physical(standing: Standing) -> dict[str, Any]:
    folder = standing.found.path
    sizes = _sizes(folder)
    modified: str | None = None
    with suppress(OSError):
        modified = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
    return {
        "path": str(folder),
        "name": folder.name,
        "exists": folder.is_dir(),
        "total_size_gb": sum(sizes.values()) / BYTES_PER_GB if sizes else None,
        "file_count": len(sizes),
        "files": [{"name": name, "size_bytes": size} for name, size in sorted(sizes.items())[:MOST_FILES]],
        "has_optimizer": OPTIMIZER_FILE in sizes,
        "has_scheduler": SCHEDULER_FILE in sizes,
        "modified": modified,
    }


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of its files as its manifest tells; of one without a whole manifest, of those in the directory itself."""
    with suppress(RealmError):
        return {name: size for name, each in listed_files(folder).items() if (size := _size_in(each)) is not None}
    with suppress(OSError), os.scandir(folder) as entries:
        return {
            each.name.encode("utf-8", "replace").decode(): each.stat(follow_symlinks=False).st_size
            for each in entries
            if each.is_file(follow_symlinks=False)
        }
    return {}


def _size_in(entry: Any) -> int | None:
    size = entry.get("size") if isinstance(entry, Mapping) else None
    return size if isinstance(size, int) and size >= 0 else None


def _protection(standing: Standing, treasury: Treasury, now: datetime) -> dict[str, Any]:
    """How strongly it is held, and by what; of one that nothing holds, what it is up to."""
    pin = treasury.pin_of(standing.found.path, now)
    if pin is None:
        pin = Pin(Protection.EXPENDABLE, _until_when(standing, treasury.settings()))
    return {"level": pin.protection, "reason": pin.reason}


def _until_when(standing: Standing, limits: RetentionSettings) -> str:
    if not limits.enabled:
        return "retention.enabled is off: nothing is deleted by itself."
    if standing.branch is not None:
        return f"A rewind left it behind: it stays for {limits.branch_days:g} days, within the limits of retention."
    record = standing.record
    if record is not None and not record.milestone and record.ordinal:
        return "It lies in the rolling slot: it goes once a newer checkpoint is whole."
    resumable = record is None or record.has_optimizer
    count = limits.resumable if resumable else limits.weights_only
    kind = "checkpoints to resume from" if resumable else "checkpoints without an optimizer"
    first = "It is a milestone: it" if record is not None and record.milestone else "It"
    return f"{first} stays while it is one of the {count} newest {kind}."


def _verification(paths: RealmPaths, standing: Standing) -> dict[str, Any] | None:
    """When all of it was last read again; None on a branch, where nobody reads by himself."""
    if standing.branch is not None:
        return None
    record, name = read_scrub_record(paths.scrub_record), standing.found.name
    saved: str | None = None
    with suppress(OSError):
        saved = saved_at(standing.found.path).isoformat()
    return {
        "verified_at": record.verified_at.get(name),
        "saved_at": standing.record.timestamp if standing.record and standing.record.timestamp else saved,
        "problems": record.rotten.get(name, []),
        "is_read_now": record.reading == name,
    }

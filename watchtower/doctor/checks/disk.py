"""There is room for the checkpoints to come, and for the files that describe them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arena.disk.headroom import Headroom
from arena.disk.places import Places
from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import BYTES_PER_GB
from core.status_files import read_status
from watchtower.doctor.checkup import Finding, Patient, Verdict

RESERVE_BYTES = 1 << 30
"""Room that should be left beside checkpoints: for the queue, databases and logs."""
LEAST_BYTES = 64 << 20
"""With less than that free not even the queue moves on, whatever checkpoints take."""
FEW_INODES = 10_000


def check(patient: Patient, usage: Callable[[Path], Any] = shutil.disk_usage) -> Finding:
    hindered = _hindered(patient)
    if hindered is not None:
        return Finding(
            "failure", f"Training waits for the disk: {hindered}.", "It goes on by itself once that is mended."
        )
    place = _existing(patient.paths.current_model)
    # What the realm keeps back is there for it when it needs it.
    free = usage(place).free + Headroom(patient.paths.current_model, 0).held_bytes
    # One of weights alone tells nothing about the next.
    whole = (record.size_bytes for record in CheckpointLedger.of(patient.paths).list_all() if record.has_optimizer)
    next_size = next(whole, None) or 0
    # The next checkpoint is whole before an older one is deleted.
    needed = RESERVE_BYTES + 2 * next_size
    details = {"free_bytes": free, "wanted_bytes": needed, "path": str(place)}
    text = f"{free / BYTES_PER_GB:.1f} GB free for {place}"
    if free < needed:
        verdict: Verdict = "failure" if free < max(next_size, LEAST_BYTES) else "warning"
        hint = (
            "Make room: `realm vault prune --dry-run` says what goes of checkpoints, branches, archives and snapshots, "
            "and what holds the rest; else queue/recently_completed/, or anything else on that disk."
        )
        return Finding(verdict, f"{text}; {needed / BYTES_PER_GB:.1f} GB are wanted.", hint, details)
    inodes = os.statvfs(place)
    # Some file systems (btrfs) have no fixed number of inodes and say 0 of 0.
    if inodes.f_files and inodes.f_favail < FEW_INODES:
        hint = "Many small files fill the disk's table of files; remove some."
        return Finding("warning", f"Only {inodes.f_favail} more files can be made on {place}.", hint, details)
    return Finding("ok", text, details=details)


def _hindered(patient: Patient) -> str | None:
    """Why a realm that is up waits for its disk, or one that is down would."""
    told = read_status(patient.paths.training_status, now=patient.now)
    disk = None if told["stale"] else told.get("disk")
    if disk and disk["state"] not in ("plenty", "low"):
        return str(disk["message"])
    missing = Places(patient.paths).missing()
    return missing.message if missing is not None else None


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())

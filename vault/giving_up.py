"""Deleting one checkpoint because somebody asks for it: first told what that comes to, then done on its very name."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.checkpoint_ledger import CheckpointLedger
from core.checkpoint_records import BYTES_PER_GB
from core.errors import Conflict
from core.paths import RealmPaths
from vault.checkpoint_facts import Standing, must_stand
from vault.retention import Deletion, Pin
from vault.stock import files_of

if TYPE_CHECKING:
    from vault.treasury import Treasury

MEGABYTE = 1_000_000


def give_up_checkpoint(
    paths: RealmPaths, ledger: CheckpointLedger, treasury: Treasury, reference: str, confirm: str | None, now: datetime
) -> dict[str, Any]:
    """Without `confirm` a dry run; see `vault.page_answers.Deletion`.

    Raises `NotFound`, and `Conflict` where `confirm` is not the address of this very checkpoint, or a pin holds it.
    """
    standing = must_stand(paths, ledger, reference)
    check_confirmed(confirm, standing, "delete")
    folder = standing.found.path
    size = sum(files_of(folder).values())
    going, pin = treasury.give_up(folder, now, dry_run=confirm is None)
    if confirm is not None and going is None:
        raise Conflict(f"{standing.address} stays. {pin.reason if pin else ''}".strip(), hint=_instead(pin))
    return {
        "dry_run": confirm is None,
        "deleted": confirm is not None,
        "checkpoint": standing.found.name,
        "step": standing.found.step,
        "confirm": standing.address,
        "size_bytes": size,
        "frees_bytes": going.frees_bytes if going else None,
        "held": {"level": pin.protection, "reason": pin.reason} if pin else None,
        "text": _text(standing, size, going, pin, done=confirm is not None),
    }


def check_confirmed(confirm: str | None, standing: Standing, doing: str) -> None:
    """Raise `Conflict` unless it is this very checkpoint that somebody has agreed to (A29)."""
    if confirm is not None and confirm != standing.address:
        raise Conflict(
            f"What was confirmed is not {standing.address}.",
            hint=f"To {doing} it, send its name as `confirm`; without one it is told what that comes to.",
        )


def size_text(count: int) -> str:
    """Bytes for people."""
    if count >= BYTES_PER_GB:
        return f"{count / BYTES_PER_GB:.2f} GB"
    return f"{count / MEGABYTE:.1f} MB" if count >= MEGABYTE else f"{count / 1000:.1f} kB"


def _text(standing: Standing, size: int, going: Deletion | None, pin: Pin | None, *, done: bool) -> str:
    name, place = standing.address, Path(standing.found.path)
    if going is None:
        return f"{name} ({size_text(size)}) stays: {pin.reason if pin else ''} {_instead(pin)}".strip()
    free = f"{size_text(going.frees_bytes)} {'are' if done else 'come'} free"
    shared = " A snapshot shares its files, so they stay on the disk until that goes." if not going.frees_bytes else ""
    if done:
        return f"{name} is deleted, {free}.{shared}"
    whole = "with its optimizer: training cannot go back to it any more" if _resumable(standing) else "weights only"
    return (
        f"This deletes {name}, {size_text(size)} at {place} ({whole}). {free}.{shared} "
        "It cannot be brought back from here; its line in the ledger's history stays."
    )


def _resumable(standing: Standing) -> bool:
    return standing.record is not None and standing.record.has_optimizer


def _instead(pin: Pin | None) -> str:
    if pin is None:
        return ""
    if pin.reason.startswith("retention.keep"):
        return "Take its name out of retention.keep first."
    return "Once that is not so any more, it can be deleted."

"""One round of deletions as data: what goes and what stays, each with its reason, for the API and the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from vault.budgets import Purge
from vault.retention import Deletion, Holding, Kept
from vault.treasury import Treasury


def prune_report(treasury: Treasury, *, dry_run: bool, now: datetime) -> dict[str, Any]:
    """Prune, or with `dry_run` only say what goes; see `vault.answers.Pruned`."""
    if dry_run:
        verdict = treasury.verdict(now)
        deletions, kept = verdict.deletions, verdict.kept
    else:
        deletions, kept = treasury.prune(now), treasury.verdict(now).kept
    return _report(deletions, kept, dry_run)


def purge_report(treasury: Treasury, wish: Purge, *, dry_run: bool, now: datetime) -> dict[str, Any]:
    """The same of backups that somebody wants to be deleted."""
    verdict = treasury.purge(wish, now, dry_run=dry_run)
    return _report(verdict.deletions, verdict.kept, dry_run)


def _report(deletions: list[Deletion], kept: list[Kept], dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "freed_bytes": sum(each.frees_bytes for each in deletions),
        "deleted": [
            {**_told(each.holding), "frees_bytes": each.frees_bytes, "reason": each.reason} for each in deletions
        ],
        "kept": [
            {**_told(each.holding), "protection": each.protection, "reason": each.pin.reason if each.pin else None}
            for each in kept
        ],
    }


def _told(holding: Holding) -> dict[str, Any]:
    return {
        "kind": holding.kind,
        "name": holding.name,
        "stronghold": holding.stronghold,
        "step": holding.step,
        "size_bytes": holding.size_bytes,
    }

"""`/api/ledger`, read by `core.remote_ledger` and the Tavern, and `/api/treasury`: the vault over HTTP (spec 1.9)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal

from pydantic import Field

from core.checkpoint_ledger import METRICS, CheckpointLedger, CheckpointRecord, best_of, lower_is_better
from core.errors import Conflict, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Truth, Whole
from vault.budgets import Purge
from vault.checkpoints import CheckpointStore
from vault.pruning import prune_report, purge_report
from vault.stores import backup_list
from vault.treasury import Treasury

MAX_LIMIT = 1000

Column = Literal[
    "step", "timestamp", "canonical_name", "train_loss", "val_loss", "perplexity", "accuracy", "learning_rate", "epoch",
    "skill_name", "skill_level", "training_file", "total_examples_trained", "size_bytes", "has_optimizer", "milestone",
]  # fmt: skip
"""Fields of a record by which a list may be sorted."""


class LedgerPage(Inputs):
    limit: Whole = Field(default=50, ge=0, description="Checkpoints on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, description="How many are left out before it.")
    skill: str | None = Field(default=None, description="Only those saved while this skill was trained.")
    sort: Column = Field(default="step", description="What they are sorted by; those that have none come last.")
    order: Literal["desc", "asc"] = "desc"
    metric: str = Field(
        default="train_loss", json_schema_extra={"enum": list(METRICS)}, description="By what the best one is told."
    )


class BestAsked(Inputs):
    # Not a Literal: the ledger itself refuses others, with a guess at what was meant.
    metric: str = Field(default="train_loss", json_schema_extra={"enum": list(METRICS)})
    lower: Truth | None = Field(default=None, description="Is lower better? Left out: what is sensible for the metric.")


class CheckpointPath(Inputs):
    step: str = Field(description="A step, a directory name, `checkpoint_STEP`, `latest` or `best`.")


def ledger_routes(ledger: CheckpointLedger, at: str = "/api/ledger", listing: str = "/api/ledger") -> list[Endpoint]:
    """The endpoints of one ledger below `at`; disk work runs in threads, errors are raised as `core.errors`."""

    async def list_records(query: LedgerPage) -> dict[str, Any]:
        return await asyncio.to_thread(ledger_page, ledger, query)

    async def summary() -> dict[str, Any]:
        return await asyncio.to_thread(ledger.get_summary)

    async def best(query: BestAsked) -> dict[str, Any]:
        lower = lower_is_better(query.metric) if query.lower is None else query.lower
        record = await asyncio.to_thread(ledger.get_best, query.metric, lower)
        if record is None:
            raise NotFound(f"No checkpoint has a {query.metric}.")
        return {**record.to_view(), "metric": query.metric, "value": getattr(record, query.metric)}

    async def one(path: CheckpointPath) -> dict[str, Any]:
        record = await asyncio.to_thread(ledger.find, path.step)
        if record is None:
            raise NotFound(f"The ledger has no checkpoint {path.step!r}.", hint=f"{listing} lists them.")
        return record.to_view()

    tag, models = "ledger", "vault.answers"
    return [
        Endpoint("GET", listing, list_records, "Checkpoints, the newest first or sorted otherwise, page by page.",
                 tag=tag, answer=f"{models}:CheckpointList"),
        Endpoint("GET", f"{at}/summary", summary, "Number, losses and size of all checkpoints.",
                 tag=tag, answer=f"{models}:Summary"),
        Endpoint("GET", f"{at}/best", best, "The checkpoint that is best by a metric.",
                 tag=tag, answer=f"{models}:Best", raises=[NotFound]),
        Endpoint("GET", f"{at}/{{step}}", one, "One checkpoint.", tag=tag, answer=f"{models}:Checkpoint"),
    ]  # fmt: skip


def ledger_page(ledger: CheckpointLedger, query: LedgerPage) -> dict[str, Any]:
    """See `vault.answers.CheckpointList`."""
    everything = ledger.list_all()
    records = [each for each in everything if query.skill in (None, "", each.skill_name)]
    best = best_of(everything, query.metric, lower_is_better(query.metric))
    views = [
        record.to_view()
        for record in _sorted(records, query)[query.offset : query.offset + min(query.limit, MAX_LIMIT)]
    ]
    return {
        "checkpoints": views,
        "count": len(views),
        "total": len(records),
        "offset": query.offset,
        "head": CheckpointStore(ledger.root).head(),
        "metric": query.metric,
        "best": None if best is None else best.canonical_name,
    }


def _sorted(newest_first: list[CheckpointRecord], query: LedgerPage) -> list[CheckpointRecord]:
    """By the column asked for; of equals the newest comes first, and those that have none come last either way."""
    if query.sort == "step":
        return newest_first if query.order == "desc" else newest_first[::-1]
    # An empty text is none either: what was not known is the default of its field.
    known = [each for each in newest_first if getattr(each, query.sort) not in (None, "")]
    unknown = [each for each in newest_first if getattr(each, query.sort) in (None, "")]
    known.sort(key=attrgetter(query.sort), reverse=query.order == "desc")
    return [*known, *unknown]


class Round(Inputs):
    """A round of pruning."""

    dry_run: bool = Field(default=False, description="Only say what goes and what stays, and why.")


class PurgeAsked(Round):
    """Which backups are to go: those named, or those of this realm beyond the conditions given."""

    names: list[str] = Field(default=[], max_length=1000, description="Names of backups.")
    keep: int | None = Field(default=None, ge=0, le=10**9, description="So many of each stronghold stay, the newest.")
    older_than_days: float | None = Field(default=None, ge=0, le=36_500)
    stronghold: str | None = Field(default=None, max_length=64, description="Only those in it.")


def treasury_routes(treasury: Treasury) -> list[Endpoint]:
    """The endpoints of one treasury; disk work runs in threads, errors are raised as `core.errors`."""

    async def status() -> dict[str, Any]:
        return await asyncio.to_thread(treasury.status)

    async def prune(body: Round) -> dict[str, Any]:
        return await asyncio.to_thread(prune_report, treasury, dry_run=body.dry_run, now=datetime.now(UTC))

    async def purge(body: PurgeAsked) -> dict[str, Any]:
        wish = Purge(tuple(body.names), body.keep, body.older_than_days, body.stronghold)
        return await asyncio.to_thread(purge_report, treasury, wish, dry_run=body.dry_run, now=datetime.now(UTC))

    async def pins() -> dict[str, Any]:
        told = await asyncio.to_thread(treasury.last_copies.told)
        return {"count": len(told), "pins": [vars(pin) for pin in told]}

    async def backups() -> dict[str, Any]:
        return await asyncio.to_thread(backup_list, treasury.stores)

    tag, models = "treasury", "vault.answers"
    return [
        Endpoint("GET", "/api/treasury", status, "Room on the disk, and what checkpoints, branches, archives and "
                 "snapshots take of it.", tag=tag, answer=f"{models}:TreasuryStatus", raises=[Unavailable]),
        Endpoint("POST", "/api/treasury/prune", prune, "Delete what is beyond the limits of `retention`.",
                 tag=tag, answer=f"{models}:Pruned"),
        Endpoint("GET", "/api/backups", backups, "The backups in reach, oldest first in each stronghold.",
                 tag=tag, answer=f"{models}:Backups", raises=[Unavailable]),
        Endpoint("POST", "/api/backups/purge", purge, "Delete backups, but not the last whole copy of what is held.",
                 tag=tag, answer=f"{models}:Pruned", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("GET", "/api/pins", pins, "What this realm cannot do without; other hosts keep their last copies.",
                 tag=tag, answer=f"{models}:Pins", raises=[Unavailable]),
    ]  # fmt: skip

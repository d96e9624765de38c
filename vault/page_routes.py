"""What the pages Vault, Ledger and Checkpoint ask the vault for, on the tavern's port (spec 4.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from core.checkpoint_ledger import CheckpointLedger
from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Whole
from core.own_threads import OwnThreads
from core.paths import RealmPaths
from vault.catalog.routes import MAX_LIMIT, SearchAsked, asset_page
from vault.checkpoint_facts import checkpoint_facts
from vault.giving_up import give_up_checkpoint
from vault.keeper import VaultKeeper
from vault.pruning import prune_report
from vault.routes import ledger_routes
from vault.shelf import Shelf
from vault.treasury import Treasury
from vault.zones import Zones

LOOKS_AT_ONCE, LOOKS_WAITING = 4, 200
ERRANDS_WAITING = 4
TAG, MODELS = "vault pages", "vault.page_answers"


class ShelfAsked(Inputs):
    limit: Whole = Field(default=50, ge=0, description="Checkpoints on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, description="How many of the newest are left out.")


class Confirmed(Inputs):
    """Something that cannot be taken back: without `confirm` it is only told what it comes to."""

    confirm: str | None = Field(
        default=None, max_length=300, description="The `confirm` of the dry run, to have it done; left out, a dry run."
    )


class RoundAsked(Inputs):
    """A round of pruning."""

    confirm: Literal["prune"] | None = Field(default=None, description="To have it done; left out, a dry run.")


class Referred(Inputs):
    step: str = Field(max_length=300, description="A step, a directory name, `latest`, `best`, or `BRANCH:NAME`.")


def reference_in(path: Referred) -> str:
    """What a path refers to; in one, no slash can stand between a branch and a name."""
    return path.step.replace(":", "/", 1)


def vault_page_routes(
    paths: RealmPaths, keeper: VaultKeeper, ledger: CheckpointLedger, treasury: Treasury, shelf: Shelf
) -> list[Endpoint]:
    """The endpoints of one vault; everything works in threads of its own."""
    looks = OwnThreads("looks into the vault", LOOKS_AT_ONCE, waiting=LOOKS_WAITING)
    return [
        *_shelf_routes(keeper, shelf, looks),
        _prune_route(treasury),
        *_zone_dots(Zones.of(paths, keeper.catalog.last_syncs)),
        *ledger_routes(ledger, "/ledger", "/ledger/list"),
        *_checkpoint_routes(paths, ledger, treasury, looks),
    ]


def _shelf_routes(keeper: VaultKeeper, shelf: Shelf, looks: OwnThreads) -> list[Endpoint]:
    async def assets(query: ShelfAsked) -> dict[str, Any]:
        return await looks.run(shelf.assets, min(query.limit, MAX_LIMIT), query.offset)

    async def listing(query: SearchAsked) -> dict[str, Any]:
        return await looks.run(asset_page, keeper, query)

    async def storage() -> dict[str, Any]:
        return await looks.run(shelf.storage)

    return [
        Endpoint("GET", "/vault/assets", assets, "The base model, and the checkpoints, newest first, page by page.",
                 tag=TAG, answer=f"{MODELS}:VaultAssets", raises=[Unavailable]),
        Endpoint("GET", "/vault/list", listing, "All that the catalog knows, by type, page by page.",
                 tag=TAG, answer="vault.catalog.answers:AssetPage", raises=[Unavailable]),
        Endpoint("GET", "/vault/storage", storage, "What the vault takes of its disk and of its budget, and the "
                 "strongholds; a look at the disk is told again for half a minute.",
                 tag=TAG, answer=f"{MODELS}:VaultStorage", raises=[Unavailable]),
    ]  # fmt: skip


def _prune_route(treasury: Treasury) -> Endpoint:
    rounds = OwnThreads("rounds of pruning", 1, waiting=ERRANDS_WAITING)

    async def prune(body: RoundAsked) -> dict[str, Any]:
        return await rounds.run(prune_report, treasury, dry_run=body.confirm is None, now=datetime.now(UTC))

    return Endpoint("POST", "/vault/prune", prune, "Delete what is beyond the limits of `retention`, as the realm does "
                    "by itself every half hour. Without `confirm` it is only told what goes, what stays, and why.",
                    tag=TAG, answer="vault.answers:Pruned", raises=[Unavailable])  # fmt: skip


def _zone_dots(zones: Zones) -> list[Endpoint]:
    asked = OwnThreads("questions to zones", 2, waiting=LOOKS_WAITING)

    def told(*, fresh: bool) -> dict[str, Any]:
        seen = zones.overview(fresh=fresh)
        return {"zones": seen["zones"], "count": seen["total_zones"], "online": seen["online_zones"]}

    async def overview() -> dict[str, Any]:
        return await asked.run(told, fresh=False)

    async def refresh() -> dict[str, Any]:
        return await asked.run(told, fresh=True)

    wrong = [InvalidInput, Unavailable]
    return [
        Endpoint("GET", "/vault/zones", overview, "The zones with their live state; one that is away is offline.",
                 tag=TAG, answer=f"{MODELS}:ZoneDots", raises=wrong),
        Endpoint("GET", "/vault/zones/refresh", refresh, "The same, asked anew.",
                 tag=TAG, answer=f"{MODELS}:ZoneDots", raises=wrong),
    ]  # fmt: skip


def _checkpoint_routes(
    paths: RealmPaths, ledger: CheckpointLedger, treasury: Treasury, looks: OwnThreads
) -> list[Endpoint]:
    errands = OwnThreads("deletions", 1, waiting=ERRANDS_WAITING, refusal=Unavailable)

    async def facts(path: Referred) -> dict[str, Any]:
        return await looks.run(checkpoint_facts, paths, ledger, treasury, reference_in(path), datetime.now(UTC))

    async def delete(path: Referred, body: Confirmed) -> dict[str, Any]:
        return await errands.run(
            give_up_checkpoint, paths, ledger, treasury, reference_in(path), body.confirm, datetime.now(UTC)
        )

    return [
        Endpoint("GET", "/checkpoint-data/{step}", facts, "Everything that is told of a checkpoint without reading its "
                 "weights; `found` is false for one that is not there, and `available` says what is.",
                 tag=TAG, answer=f"{MODELS}:CheckpointData", raises=[Unavailable]),
        Endpoint("POST", "/checkpoint-data/{step}/delete", delete, "Delete a checkpoint. Without `confirm` it is only "
                 "told what goes, how much comes free, and what holds it.",
                 tag=TAG, answer=f"{MODELS}:Deletion", raises=[NotFound, Conflict, Unavailable]),
    ]  # fmt: skip

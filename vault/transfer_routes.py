"""`/api/transfer` and `/api/push` on 8767: assets carried between this host and another zone (spec 1.9).

An answer comes when the asset is there, verified: a caller that hangs up stops nothing, and asking again goes on.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs
from core.paths import RealmPaths
from vault.assets import is_usable
from vault.carrying import Carrier
from vault.keeper import VaultKeeper
from vault.roots import Roots


class TransferAsked(Inputs):
    """What to carry, and where to; with a `source_zone` it comes from there to this host."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"asset_id": "checkpoint_175000", "target_zone": "3090"}]}
    )

    asset_path: str | None = Field(default=None, max_length=2048, description="A path on this host, in a root.")
    source_path: str | None = Field(default=None, max_length=2048, description="The same.")
    asset_id: str | None = Field(default=None, max_length=300, description="An asset, in place of a path.")
    target_zone: str | None = Field(default=None, max_length=64, description="The zone that is to have it.")
    to_zone: str | None = Field(default=None, max_length=64, description="The same.")
    source_zone: str | None = Field(default=None, max_length=64, description="Where it comes from; else this host.")
    dest_path: str | None = Field(default=None, max_length=2048, description="The path that it is to have there.")


class PushAsked(Inputs):
    """An asset, and the zone that is to have it."""

    asset_id: str = Field(max_length=300)
    to_stronghold: str = Field(min_length=1, max_length=64)
    destination_path: str | None = Field(default=None, max_length=2048)


def transfer_routes(paths: RealmPaths, keeper: VaultKeeper, roots: Roots) -> list[Endpoint]:
    """The endpoints of one realm; the registry is read anew with each request."""

    async def transfer(body: TransferAsked) -> dict[str, Any]:
        return await asyncio.to_thread(_transfer, paths, keeper, roots, body)

    async def push(body: PushAsked) -> dict[str, Any]:
        asked = TransferAsked(asset_id=body.asset_id, target_zone=body.to_stronghold, dest_path=body.destination_path)
        return await asyncio.to_thread(_transfer, paths, keeper, roots, asked)

    tag, troubles = "zones", [InvalidInput, NotFound, Conflict, Unavailable]
    return [
        Endpoint("POST", "/api/transfer", transfer, "Carry an asset between this host and another zone, verified.",
                 tag=tag, answer="vault.zone_answers:Carried", raises=troubles),
        Endpoint("POST", "/api/push", push, "Carry an asset from this host to another zone, verified.",
                 tag=tag, answer="vault.zone_answers:Carried", raises=troubles),
    ]  # fmt: skip


def _transfer(paths: RealmPaths, keeper: VaultKeeper, roots: Roots, body: TransferAsked) -> dict[str, Any]:
    begun = time.monotonic()
    carrier = Carrier.of(paths)
    here = carrier.registry.local_id
    target = body.target_zone or body.to_zone
    if body.source_zone not in (None, here):
        if target not in (None, here):
            raise Conflict("This host carries to and from itself only.", hint=f"Ask the vault of {target}.")
        source = _named(body)
        place = None if body.dest_path is None else roots.to_write(body.dest_path)
        destination = str(carrier.fetch(source, str(body.source_zone), place).path)
        zones = {"source_zone": body.source_zone, "target_zone": here}
    else:
        if target is None:
            raise Conflict("No zone is named that is to have it.", hint="Name a `target_zone`; /api/zones lists them.")
        path = _place(keeper, roots, body)
        source = str(path)
        destination = str(carrier.send(path, target, body.dest_path)["destination"])
        zones = {"source_zone": here, "target_zone": target}
    seconds = time.monotonic() - begun
    return {"success": True, "source": source, "destination": destination, "duration_seconds": seconds, **zones}


def _named(body: TransferAsked) -> str:
    """What to ask the other zone for: an id, or the name at the end of a path there."""
    path = body.asset_path or body.source_path or ""
    name = body.asset_id or path.rstrip("/").rpartition("/")[2]
    if not name:
        raise Conflict("Nothing is named that is to be carried.", hint="Name an `asset_id` or an `asset_path`.")
    return name


def _place(keeper: VaultKeeper, roots: Roots, body: TransferAsked) -> Path:
    """Where on this host it lies that is to be carried."""
    if path := body.asset_path or body.source_path:
        return roots.to_read(path)
    asset = keeper.get_asset(_named(body))
    for location in asset.locations:
        if is_usable(location) and keeper.is_here(location):
            return Path(location.path)
    raise NotFound(f"No whole copy of {asset.asset_id} lies on this host.")

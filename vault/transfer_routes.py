"""`/api/transfer` and `/api/push` on 8767: assets carried between this host and another zone (spec 1.9).

An answer comes when the asset is there, verified: a caller that hangs up stops nothing, and asking again goes on.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ConfigDict, Field

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Rate
from core.paths import RealmPaths
from vault.assets import LOCAL, is_usable
from vault.benches import Benches
from vault.keeper import VaultKeeper
from vault.roots import Roots

if TYPE_CHECKING:
    from vault.carrying import Sent


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
    bytes_per_second: Rate | None = Field(default=None, description="A cap over all connections.")


class PushAsked(Inputs):
    """An asset, and the zone that is to have it."""

    asset_id: str = Field(max_length=300)
    to_stronghold: str = Field(min_length=1, max_length=64)
    destination_path: str | None = Field(default=None, max_length=2048)
    bytes_per_second: Rate | None = Field(default=None, description="A cap over all connections.")


def transfer_routes(
    paths: RealmPaths, keeper: VaultKeeper, roots: Roots, benches: Benches | None = None
) -> list[Endpoint]:
    """The endpoints of one realm; the registry is read anew with each request."""
    benches = benches or Benches()

    async def transfer(body: TransferAsked) -> dict[str, Any]:
        return await benches.hauls.run(_transfer, paths, keeper, roots, body)

    async def push(body: PushAsked) -> dict[str, Any]:
        asked = TransferAsked(asset_id=body.asset_id, target_zone=body.to_stronghold, dest_path=body.destination_path,
                              bytes_per_second=body.bytes_per_second)  # fmt: skip
        return await benches.hauls.run(_transfer, paths, keeper, roots, asked)

    tag, troubles = "zones", [InvalidInput, NotFound, Conflict, Unavailable]
    return [
        Endpoint("POST", "/api/transfer", transfer, "Carry an asset between this host and another zone, verified.",
                 tag=tag, answer="vault.zone_answers:Carried", raises=troubles),
        Endpoint("POST", "/api/push", push, "Carry an asset from this host to another zone, verified.",
                 tag=tag, answer="vault.zone_answers:Carried", raises=troubles),
    ]  # fmt: skip


def _transfer(paths: RealmPaths, keeper: VaultKeeper, roots: Roots, body: TransferAsked) -> dict[str, Any]:
    # Loaded on use: no start waits for an engine that few need.
    from vault.carrying import Carrier
    from vault.transfer.pull import PullOptions

    begun = time.monotonic()
    options = PullOptions(bytes_per_second=body.bytes_per_second)
    carrier = Carrier.of(paths, options, catalog=keeper.catalog, cancelled=keeper.ending, on_carried=keeper.on_carried)
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
        sent = _sent(keeper, roots, body)
        source = str(sent.path)
        destination = str(carrier.send(sent.path, target, body.dest_path, sent=sent)["destination"])
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


def _sent(keeper: VaultKeeper, roots: Roots, body: TransferAsked) -> Sent:
    """What on this host is to be carried, by what the keeper knows of it."""
    from vault.carrying import Sent

    if path := body.asset_path or body.source_path:
        place = roots.to_read(path)
        asset = keeper.register(place)
        wanted = [each for each in asset.locations if each.stronghold == LOCAL and each.path == str(place)]
    else:
        asset = keeper.get_asset(_named(body))
        wanted = [each for each in asset.locations if is_usable(each) and keeper.is_here(each)]
    if not wanted:
        raise NotFound(f"No whole copy of {asset.asset_id} lies on this host.")
    manifest = keeper.manifest(asset, wanted[0])
    return Sent.of(Path(wanted[0].path), asset.asset_id, asset.asset_type, manifest)

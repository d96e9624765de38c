"""The VaultKeeper API over the catalog: where assets lie, entering them, checking and fetching them (spec 1.9).

A look-up answers from the event loop itself, as it takes microseconds; everything else works in threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from aiohttp import web
from pydantic import ConfigDict, Field

from core.errors import Conflict, NotFound, Unavailable
from core.http.answers import json_text
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Whole
from core.own_threads import OwnThreads
from vault.assets import LOCAL, Asset, AssetStatus, AssetType
from vault.benches import Benches
from vault.keeper import VaultKeeper
from vault.roots import Roots

MAX_LIMIT = 1000
MOST = 10**15
"""No catalog is larger, and SQLite can count so far."""
SENT_AT_ONCE = 200
"""Assets of an export in one piece."""

TYPES: dict[str, Any] = {"enum": [str(kind) for kind in AssetType]}
STATUSES: dict[str, Any] = {"enum": [str(status) for status in AssetStatus]}


class AssetPath(Inputs):
    asset_id: str = Field(max_length=300, description="An id, a canonical directory name, a step, `latest` or `best`.")


class PageAsked(Inputs):
    limit: Whole = Field(default=50, ge=0, le=MOST, description="Assets on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, le=MOST, description="How many are left out before it.")


class ListAsked(PageAsked):
    # No Literals: the keeper itself refuses others, with a guess at what was meant.
    type: str | None = Field(default=None, json_schema_extra=TYPES, description="Only assets of this type.")
    stronghold: str | None = Field(default=None, max_length=64, description="Only those with a copy in it.")


class SearchAsked(ListAsked):
    name: str | None = Field(default=None, max_length=255, description="Part of a name.")
    status: str | None = Field(default=None, json_schema_extra=STATUSES, description="Only assets of this status.")


class FetchAsked(Inputs):
    """What to bring to a place on the vault's host."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"asset_id": "checkpoint_175000"}]})

    asset_id: str = Field(max_length=300)
    destination: str | None = Field(
        default=None, max_length=2048,
        description="A path below `models/` or one of `vault.roots`; left out, a copy that is there will do.",
    )  # fmt: skip
    from_stronghold: str | None = Field(default=None, max_length=64, description="Left out: the best location.")


class RegisterAsked(Inputs):
    """Something that lies on the vault's host."""

    path: str = Field(min_length=1, max_length=2048, description="In the base directory or in one of `vault.roots`.")
    stronghold: str = Field(default=LOCAL, max_length=64)
    is_primary: bool = True


class ScanAsked(Inputs):
    """A directory on the vault's host."""

    path: str = Field(min_length=1, max_length=2048, description="In the base directory or in one of `vault.roots`.")
    stronghold: str = Field(default=LOCAL, max_length=64)
    recursive: bool = True


class VerifyAsked(Inputs):
    """What to read again and compare with its hashes."""

    asset_id: str = Field(max_length=300)
    stronghold: str | None = Field(default=None, max_length=64, description="Only the copies in it.")


class Nothing(Inputs):
    """An empty object."""


def catalog_routes(keeper: VaultKeeper, roots: Roots, benches: Benches | None = None) -> list[Endpoint]:
    """The endpoints of one keeper; `roots` are what a path in a request may lie below."""
    benches = benches or Benches()
    return [*_reading(keeper, benches), *_changing(keeper, roots, benches)]


def _reading(keeper: VaultKeeper, benches: Benches) -> list[Endpoint]:
    look = benches.looks.run

    async def stats() -> dict[str, Any]:
        def work() -> dict[str, Any]:
            return {**keeper.stats(), "disk": keeper.disk()}

        return await look(work)

    async def locate(path: AssetPath) -> dict[str, Any]:
        # By its very id, an asset is found in microseconds; its other names may take a look into folders.
        found = keeper.locate_at_once(path.asset_id)
        if found is None:
            found = await look(keeper.locate, path.asset_id)
        return found.to_json()

    async def asset(path: AssetPath) -> dict[str, Any]:
        return (await look(keeper.get_asset, path.asset_id)).to_json()

    async def checkpoints(query: PageAsked) -> dict[str, Any]:
        return await look(_page, keeper, query, "checkpoints", asset_type=AssetType.CHECKPOINT)

    async def listing(query: ListAsked) -> dict[str, Any]:
        return await look(_page, keeper, query, "assets", asset_type=query.type, stronghold=query.stronghold)

    async def search(query: SearchAsked) -> dict[str, Any]:
        return await look(asset_page, keeper, query)

    async def strongholds() -> dict[str, Any]:
        told = await look(keeper.strongholds)
        return {"count": len(told), "strongholds": told}

    async def export(request: web.Request) -> web.StreamResponse:
        return await _export(request, keeper.export(), benches.looks)

    tag, models = "catalog", "vault.catalog.answers"
    return [
        Endpoint("GET", "/api/stats", stats, "The catalog in numbers, and the room on its disk.",
                 tag=tag, answer=f"{models}:Stats", raises=[Unavailable]),
        Endpoint("GET", "/api/locate/{asset_id}", locate, "Where an asset lies, the best place first.",
                 tag=tag, answer=f"{models}:Located", raises=[Unavailable]),
        Endpoint("GET", "/api/asset/{asset_id}", asset, "Everything that is known of an asset.",
                 tag=tag, answer=f"{models}:AssetView", raises=[Unavailable]),
        Endpoint("GET", "/api/checkpoints", checkpoints, "Checkpoints wherever they lie, newest first, page by page.",
                 tag=tag, answer=f"{models}:CheckpointPage", raises=[Unavailable]),
        Endpoint("GET", "/api/search", search, "Assets that fit all that is given, page by page.",
                 tag=tag, answer=f"{models}:AssetPage", raises=[Unavailable]),
        Endpoint("GET", "/api/list", listing, "Assets by type or stronghold, page by page.",
                 tag=tag, answer=f"{models}:AssetPage", raises=[Unavailable]),
        Endpoint("GET", "/api/strongholds", strongholds, "The places in which assets lie, and the room in them.",
                 tag=tag, answer=f"{models}:Strongholds", raises=[Unavailable]),
        Endpoint("GET", "/api/export", export, "The whole catalog, as a stream.",
                 tag=tag, answer=f"{models}:Export", raises=[Unavailable]),
    ]  # fmt: skip


def _changing(keeper: VaultKeeper, roots: Roots, benches: Benches) -> list[Endpoint]:
    async def fetch(body: FetchAsked) -> dict[str, Any]:
        return await benches.hauls.run(_fetch, keeper, roots, body)

    async def register(body: RegisterAsked) -> dict[str, Any]:
        def work() -> Asset:
            return keeper.register(roots.to_read(body.path), body.stronghold, body.is_primary)

        return {"success": True, "asset": (await benches.looks.run(work)).to_json()}

    async def scan(body: ScanAsked) -> dict[str, Any]:
        return await benches.hauls.run(_scan, keeper, roots, body)

    async def verify(body: VerifyAsked) -> dict[str, Any]:
        return await benches.hauls.run(_verify, keeper, body)

    async def rebuild(body: Nothing) -> dict[str, Any]:
        await benches.hauls.run(keeper.rebuild)
        return await benches.looks.run(keeper.stats)

    tag, models = "catalog", "vault.catalog.answers"
    return [
        Endpoint("POST", "/api/fetch", fetch, "Bring an asset to a place on the vault's host, whole or not at all. "
                 "Whoever wants the bytes on another host asks `/api/assets/…`.",
                 tag=tag, answer=f"{models}:FetchedView", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("POST", "/api/register", register, "Enter what lies at a path into the catalog.",
                 tag=tag, answer=f"{models}:Registered", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("POST", "/api/scan", scan, "Enter everything below a directory; a checkpoint is one asset.",
                 tag=tag, answer=f"{models}:Scanned", raises=[NotFound, Unavailable]),
        Endpoint("POST", "/api/verify", verify, "Read the copies on the vault's host again and compare every file "
                 "with its hash.",
                 tag=tag, answer=f"{models}:Verified", raises=[NotFound, Unavailable]),
        Endpoint("POST", "/api/rebuild", rebuild, "Look at everything on the vault's host anew, whatever the catalog "
                 "says. What other hosts have told stays, and so does what verifications have found.",
                 tag=tag, answer=f"{models}:Rebuilt", raises=[Unavailable]),
    ]  # fmt: skip


def _page(keeper: VaultKeeper, query: PageAsked, what: str, **wanted: Any) -> dict[str, Any]:
    found = keeper.search(**wanted, limit=min(query.limit, MAX_LIMIT), offset=query.offset)
    assets = [asset.to_json() for asset in found.assets]
    return {"count": len(assets), "total": found.total, "offset": query.offset, what: assets}


def asset_page(keeper: VaultKeeper, query: SearchAsked) -> dict[str, Any]:
    """The assets that fit all that is asked; see `vault.catalog.answers.AssetPage`."""
    return _page(
        keeper, query, "assets", asset_type=query.type, name=query.name, stronghold=query.stronghold,
        status=query.status,
    )  # fmt: skip


def _fetch(keeper: VaultKeeper, roots: Roots, body: FetchAsked) -> dict[str, Any]:
    asset = keeper.get_asset(body.asset_id)
    place = None if body.destination is None else roots.to_write(body.destination)
    if place is not None:
        # Its name, which may be another host's word, is a part of the path.
        roots.to_write(str(keeper.target(asset, place)))
    return keeper.fetch(asset.asset_id, place, body.from_stronghold).to_json()


def _scan(keeper: VaultKeeper, roots: Roots, body: ScanAsked) -> dict[str, Any]:
    folder = roots.to_read(body.path)
    ids, skipped = keeper.scan(folder, body.stronghold, body.recursive)
    return {"scanned_path": str(folder), "registered_count": len(ids), "asset_ids": ids, "skipped": skipped}


def _verify(keeper: VaultKeeper, body: VerifyAsked) -> dict[str, Any]:
    asset = keeper.get_asset(body.asset_id)
    return {
        "asset_id": asset.asset_id,
        "verification_results": keeper.verify(asset.asset_id, body.stronghold),
    }


async def _export(request: web.Request, assets: Iterator[Asset], bench: OwnThreads) -> web.StreamResponse:
    """One JSON object, sent while it is read: no catalog is too large for it, and no lock is held (G13)."""
    # Before anything is sent, so that a catalog that cannot be read is still told of with a status.
    some = await bench.run(_next, assets)
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    head = json_text({"exported_at": datetime.now(UTC).isoformat()}).removesuffix("}")
    await response.write(f'{head},"assets":['.encode())
    between = ""
    while some:
        text = await bench.run(_listed, some)
        await response.write(f"{between}{text}".encode())
        between = ","
        some = await bench.run(_next, assets)
    await response.write(b"]}")
    await response.write_eof()
    return response


def _next(assets: Iterator[Asset]) -> list[Asset]:
    return list(islice(assets, SENT_AT_ONCE))


def _listed(assets: list[Asset]) -> str:
    return ",".join(json_text(asset.to_json()) for asset in assets)

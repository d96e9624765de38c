"""What a branch officer answers on 8768 (spec 1.11), and the bytes of its assets as the vault hands them out."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from pydantic import Field

from core.errors import Conflict, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Whole
from vault.assets import AssetType
from vault.branch.officer import BranchOfficer
from vault.bytes.routes import byte_routes

MAX_LIMIT = 1000
TAG, MODELS = "branch officer", "vault.branch.answers"

TypeName = Literal[
    "checkpoint", "model", "base_model", "training_data", "validation_data", "config", "snapshot", "evaluation",
    "backup", "log",
]  # fmt: skip


class AssetPage(Inputs):
    type: TypeName | None = Field(default=None, description="Only assets of this type.")
    limit: Whole = Field(default=100, ge=0, description="Assets on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, description="How many are left out.")


class AssetPath(Inputs):
    asset_id: str = Field(max_length=255, description="An id, or the name of a directory or file.")


class TransferPath(Inputs):
    transfer_id: str = Field(max_length=64, description="As `POST /receive` has told it.")


class Scan(Inputs):
    """A look at the disk."""

    paths: list[str] = Field(default=[], max_length=1000, description="Places to look at; none is the whole zone.")


class Receipt(Inputs):
    """An asset that is to come."""

    asset_id: str = Field(min_length=1, max_length=255)
    asset_type: TypeName = "checkpoint"
    destination: str | None = Field(default=None, max_length=2048, description="The path it is to have in the zone.")
    source: str | None = Field(default=None, max_length=64, description="A host of the registry to fetch it from.")


class Registration(Inputs):
    """An asset that lies in the zone."""

    path: str = Field(min_length=1, max_length=2048)
    asset_id: str | None = Field(default=None, max_length=255)


def branch_routes(officer: BranchOfficer) -> list[Endpoint]:
    """The endpoints of one officer; its work runs in threads, errors are raised as `core.errors`."""
    return [*_looking(officer), *_changing(officer), *byte_routes(officer)]


def _looking(officer: BranchOfficer) -> list[Endpoint]:
    async def status() -> dict[str, Any]:
        return await asyncio.to_thread(officer.status)

    async def assets(query: AssetPage) -> dict[str, Any]:
        kind = AssetType(query.type) if query.type else None
        return await asyncio.to_thread(officer.assets, kind, min(query.limit, MAX_LIMIT), query.offset)

    async def asset(path: AssetPath) -> dict[str, Any]:
        return await asyncio.to_thread(officer.asset, path.asset_id)

    async def fetch(path: AssetPath) -> dict[str, Any]:
        return await asyncio.to_thread(officer.transfer_info, path.asset_id)

    async def stats() -> dict[str, Any]:
        return await asyncio.to_thread(officer.stats)

    return [
        Endpoint("GET", "/status", status, "The zone, its catalog and its disk.",
                 tag=TAG, answer=f"{MODELS}:Status", raises=[Unavailable]),
        Endpoint("GET", "/stats", stats, "Numbers of the catalog and the last transfers.",
                 tag=TAG, answer=f"{MODELS}:Stats"),
        Endpoint("GET", "/assets", assets, "What lies in the zone, page by page.",
                 tag=TAG, answer=f"{MODELS}:Assets"),
        Endpoint("GET", "/assets/{asset_id}", asset, "One asset.", tag=TAG, answer=f"{MODELS}:OneAsset"),
        Endpoint("GET", "/fetch/{asset_id}", fetch, "How to get at an asset.",
                 tag=TAG, answer=f"{MODELS}:TransferInfo"),
    ]  # fmt: skip


def _changing(officer: BranchOfficer) -> list[Endpoint]:
    async def scan(body: Scan) -> dict[str, Any]:
        return await asyncio.to_thread(officer.scan, body.paths)

    async def receive(body: Receipt) -> dict[str, Any]:
        return await asyncio.to_thread(officer.receive, body.asset_id, body.asset_type, body.destination, body.source)

    async def register(body: Registration) -> dict[str, Any]:
        return await asyncio.to_thread(officer.register, body.path, body.asset_id)

    async def transfers() -> dict[str, Any]:
        found = [each.to_json() for each in officer.arrivals.all()]
        return {"zone_id": officer.zone_id, "count": len(found), "transfers": found}

    async def transfer(path: TransferPath) -> dict[str, Any]:
        found = officer.arrivals.find(path.transfer_id)
        if found is None:
            raise NotFound(f"There is no transfer {path.transfer_id!r}, or its end was long ago.")
        return found.to_json()

    return [
        Endpoint("POST", "/scan", scan, "Look at the disk, and enter what is there.",
                 tag=TAG, answer=f"{MODELS}:Scanned"),
        Endpoint("POST", "/receive", receive, "Prepare for an asset, and fetch it where a source is named.",
                 tag=TAG, answer=f"{MODELS}:Received", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("POST", "/register", register, "Enter one asset.",
                 tag=TAG, answer=f"{MODELS}:OneAsset", raises=[Conflict]),
        Endpoint("GET", "/transfers", transfers, "Assets that are fetched, or were lately.",
                 tag=TAG, answer=f"{MODELS}:Arrivals"),
        Endpoint("GET", "/transfers/{transfer_id}", transfer, "How far one is.",
                 tag=TAG, answer=f"{MODELS}:Arrival"),
    ]  # fmt: skip

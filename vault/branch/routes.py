"""What a branch officer answers on 8768 (spec 1.11), and the bytes of its assets as the vault hands them out."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from pydantic import Field, field_validator

from core.errors import Conflict, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Rate, Whole
from core.own_threads import OwnThreads
from vault.assets import AssetType
from vault.branch.officer import BranchOfficer
from vault.bytes.routes import byte_routes
from vault.whole_copies import WholeCopies
from vault.witness import Witness
from vault.witness_routes import witness_routes

MAX_LIMIT = 1000
METADATA_BYTES = 16 << 10
SCANS_WAITING = 8
MOST = 10**15
"""No zone holds more, and SQLite can count so far."""
TAG, MODELS = "branch officer", "vault.branch.answers"

TypeName = Literal[
    "checkpoint", "model", "base_model", "training_data", "validation_data", "config", "snapshot", "evaluation",
    "backup", "log",
]  # fmt: skip


DIGEST = "^[0-9a-f]{64}$"


class AssetPage(Inputs):
    type: TypeName | None = Field(default=None, description="Only assets of this type.")
    limit: Whole = Field(default=100, ge=0, le=MOST, description="Assets on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, le=MOST, description="How many are left out.")


class AssetPath(Inputs):
    asset_id: str = Field(max_length=255, description="An id, or the name of a directory or file.")


class VerifyAsked(Inputs):
    """What to read again and compare with its hashes."""

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
    digest: str | None = Field(
        default=None, pattern=DIGEST, description="Of its manifest: another asset of the same id is refused."
    )
    bytes_per_second: Rate | None = Field(default=None, description="A cap over all connections.")


class Registration(Inputs):
    """An asset that lies in the zone."""

    path: str = Field(min_length=1, max_length=2048)
    asset_id: str | None = Field(default=None, max_length=255)
    asset_type: TypeName | None = None
    name: str | None = Field(default=None, max_length=255)
    checksum: str | None = Field(default=None, pattern=DIGEST, description="The digest of its manifest.")
    metadata: dict[str, Any] = Field(default={}, description="Kept beside what the officer finds out himself.")

    @field_validator("metadata")
    @classmethod
    def _is_small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value)) > METADATA_BYTES:
            raise ValueError(f"longer than {METADATA_BYTES} bytes")
        return value


def scan_threads() -> OwnThreads:
    """One look at a time: two at once would only make a disk seek."""
    return OwnThreads("scans", 1, waiting=SCANS_WAITING, refusal=Conflict)


def branch_routes(officer: BranchOfficer, scans: OwnThreads | None = None) -> list[Endpoint]:
    """The endpoints of one officer; its work runs in threads, errors are raised as `core.errors`."""
    witness = Witness(officer.find, officer.base_dir, WholeCopies())
    changing = _changing(officer, scans or scan_threads())
    return [*_looking(officer), *changing, *byte_routes(officer), *witness_routes(witness)]


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


def _changing(officer: BranchOfficer, scans: OwnThreads) -> list[Endpoint]:
    readings = OwnThreads("verifications", 1, waiting=SCANS_WAITING, refusal=Conflict)

    async def scan(body: Scan) -> dict[str, Any]:
        return await scans.run(officer.scan, body.paths)

    async def receive(body: Receipt) -> dict[str, Any]:
        return await asyncio.to_thread(officer.receive, **body.model_dump())

    async def register(body: Registration) -> dict[str, Any]:
        return await asyncio.to_thread(officer.register, **body.model_dump())

    async def verify(body: VerifyAsked) -> dict[str, Any]:
        return await readings.run(officer.verify, body.asset_id)

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
                 tag=TAG, answer=f"{MODELS}:Scanned", raises=[Conflict]),
        Endpoint("POST", "/receive", receive, "Prepare for an asset, and fetch it where a source is named.",
                 tag=TAG, answer=f"{MODELS}:Received", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("POST", "/register", register, "Enter one asset.",
                 tag=TAG, answer=f"{MODELS}:OneAsset", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("POST", "/verify", verify, "Read the copies of an asset again, and compare every file with its hash.",
                 tag=TAG, answer=f"{MODELS}:Verified", raises=[NotFound, Conflict, Unavailable]),
        Endpoint("GET", "/transfers", transfers, "Assets that are fetched, or were lately.",
                 tag=TAG, answer=f"{MODELS}:Arrivals"),
        Endpoint("GET", "/transfers/{transfer_id}", transfer, "How far one is.",
                 tag=TAG, answer=f"{MODELS}:Arrival"),
    ]  # fmt: skip

"""`/api/storage` and `/api/storage/details` on 8081: the strongholds, as `status/storage_status.json` tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.http.endpoints import Endpoint
from core.status_files import UNKNOWN, read_status

TAG = "storage"
IN_SHORT = ("name", "type", "status", "health", "reachable", "usage_percent", "free_gb", "error")
MOMENTARY = ("status", "health", "reachable", "total_gb", "used_gb", "free_gb", "usage_percent", "file_system", "error")
"""What is not known any more once nobody vouches for the file; backups lie where they lay."""


def storage_routes(file: Path, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> list[Endpoint]:
    """The endpoints of one status file; no disk but its own is ever waited for."""

    async def show() -> dict[str, Any]:
        told = await asyncio.to_thread(_read, file, clock())
        strongholds = told.pop("strongholds")
        known = [each for each in strongholds if each["total_gb"] is not None]
        return {
            **told,
            "stronghold_count": len(strongholds),
            "reachable_count": len(known),
            "total_gb": sum(each["total_gb"] for each in known) if known else None,
            "free_gb": sum(each["free_gb"] for each in known) if known else None,
            "strongholds": [{name: each[name] for name in IN_SHORT} for each in strongholds],
        }

    async def details() -> dict[str, Any]:
        return await asyncio.to_thread(_read, file, clock())

    models = "watchtower.storage_answers"
    return [
        Endpoint("GET", "/api/storage", show, "How full the strongholds are, and which of them answer.",
                 tag=TAG, answer=f"{models}:Storage"),
        Endpoint("GET", "/api/storage/details", details, "The same, with everything that is known of each.",
                 tag=TAG, answer=f"{models}:StorageDetails"),
    ]  # fmt: skip


def _read(file: Path, now: datetime) -> dict[str, Any]:
    report = read_status(file, now=now)
    listed = report.get("strongholds")
    strongholds = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    stale = bool(report["stale"])
    return {
        "status": UNKNOWN if stale else str(report.get("status")),
        "stale": stale,
        "reason": report.get("reason"),
        "updated_at": report.get("heartbeat_at"),
        "strongholds": [_as_known(each, stale) for each in strongholds],
    }


def _as_known(told: Mapping[str, Any], stale: bool) -> dict[str, Any]:
    if not stale:
        return dict(told)
    nothing: dict[str, Any] = dict.fromkeys(MOMENTARY)
    return {**told, **nothing, "status": UNKNOWN, "health": UNKNOWN}

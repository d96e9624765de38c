"""`/api/zones` and `/api/hosts` on 8767: the other hosts of the realm, also for those that join it (spec 1.9)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from core.errors import Conflict, InvalidInput, NotFound, Unavailable
from core.http.endpoints import Endpoint
from core.http.inputs import Inputs, Whole
from core.own_threads import OwnThreads
from vault.zones import Zones

MAX_LIMIT = 1000
AT_ONCE, WAITING = 8, 64
MOST = 10**15
"""No zone holds more, and SQLite can count so far."""


class ZonePath(Inputs):
    zone_id: str = Field(max_length=64, description="The id of a host of the registry.")


class ZonePage(Inputs):
    type: str | None = Field(default=None, max_length=64, description="Only assets of this type.")
    limit: Whole = Field(default=100, ge=0, le=MOST, description="Assets on a page; more than 1000 count as 1000.")
    offset: Whole = Field(default=0, ge=0, le=MOST, description="How many are left out.")


def zone_routes(zones: Zones) -> list[Endpoint]:
    """The endpoints of one registry; questions to other hosts are asked in threads, each within its time."""

    asked = OwnThreads("questions to zones", AT_ONCE, waiting=WAITING)

    async def overview() -> dict[str, Any]:
        return await asked.run(zones.overview)

    async def refresh() -> dict[str, Any]:
        return await asked.run(lambda: zones.overview(fresh=True))

    async def zone(path: ZonePath) -> dict[str, Any]:
        return await asked.run(zones.zone, path.zone_id)

    async def assets(path: ZonePath, query: ZonePage) -> dict[str, Any]:
        limit = min(query.limit, MAX_LIMIT)
        return await asked.run(
            lambda: zones.assets(path.zone_id, asset_type=query.type, limit=limit, offset=query.offset)
        )

    async def hosts() -> dict[str, Any]:
        return await asked.run(lambda: zones.registry().summary())

    tag, models, wrong = "zones", "vault.zone_answers", [InvalidInput, Unavailable]
    return [
        Endpoint("GET", "/api/zones", overview, "All zones with their live state; one that is away is offline.",
                 tag=tag, answer=f"{models}:Zones", raises=wrong),
        Endpoint("GET", "/api/zones/refresh", refresh, "The same, asked anew.",
                 tag=tag, answer=f"{models}:Zones", raises=wrong),
        Endpoint("GET", "/api/zones/{zone_id}", zone, "One zone, asked now.",
                 tag=tag, answer=f"{models}:ZoneNow", raises=wrong),
        Endpoint("GET", "/api/zones/{zone_id}/assets", assets, "What a zone lists, page by page.",
                 tag=tag, answer=f"{models}:ZoneAssets", raises=[InvalidInput, Unavailable, Conflict, NotFound]),
        Endpoint("GET", "/api/hosts", hosts, "The host registry, which holds no secrets; `realm join` reads it.",
                 tag=tag, answer=f"{models}:Hosts", raises=wrong),
    ]  # fmt: skip

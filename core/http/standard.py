"""What every site answers: `/health`, `/healthz`, `/readyz`, `/metrics` and `/openapi.json`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from core.http.answers import json_response
from core.http.endpoints import Endpoint
from core.http.metrics import CONTENT_TYPE, Meters

EVERY_SITE = "every site"
WELL = ("healthy", "ok")
"""What `status` is of a site that is well: `ok` where those who ask for it know no other word (spec 1.17)."""


def health_fields(version: str, state: str, hung: Sequence[str]) -> dict[str, Any]:
    """What `/health` of a process tells of it: healthy while none of its loops hangs, whatever its state (B4, B5)."""
    fields = {"version": version, "state": state}
    return fields | {"status": "unhealthy", "hung": list(hung)} if hung else fields


def standard_endpoints(
    service: str, health: Callable[[], dict[str, Any]], meters: Meters, document: Callable[[], dict[str, Any]]
) -> list[Endpoint]:
    """`health` and `document` are asked per request."""

    async def show_health() -> web.Response:
        body = {"status": "healthy", "service": service, "timestamp": datetime.now(UTC).isoformat(), **health()}
        return json_response(body, status=200 if body["status"] in WELL else 503)

    async def show_alive() -> dict[str, str]:
        return {"status": "alive", "service": service}

    async def show_metrics() -> web.Response:
        return web.Response(body=await meters.text(), headers={"Content-Type": CONTENT_TYPE})

    async def show_document() -> dict[str, Any]:
        return document()

    models, red = "core.http.answer_models", (200, 503)
    return [
        Endpoint("GET", "/health", show_health,
                 "Whether the site is healthy, with version and state; 503 when it is not.",
                 tag=EVERY_SITE, answer=f"{models}:Health", statuses=red, open=True),
        Endpoint("GET", "/readyz", show_health, "The same as `/health`.",
                 tag=EVERY_SITE, answer=f"{models}:Health", statuses=red),
        Endpoint("GET", "/healthz", show_alive, "Whether the process answers.",
                 tag=EVERY_SITE, answer=f"{models}:Alive"),
        Endpoint("GET", "/metrics", show_metrics,
                 "Metrics for Prometheus; each series is told by one site only. docs/reference/metrics.md lists them.",
                 tag=EVERY_SITE, media="text/plain"),
        Endpoint("GET", "/openapi.json", show_document, "The OpenAPI 3.1 document of this site.", tag=EVERY_SITE),
    ]  # fmt: skip

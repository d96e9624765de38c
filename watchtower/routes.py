"""The watchtower over HTTP, port 8081: an index of what it answers, and the vision of the scrying pool."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from core.http import json_response
from watchtower.scrying_pool import ScryingPool

INDEX = {
    "service": "watchtower",
    "endpoints": {
        "/api/vision": "the battle as the scrying pool shows it, with its disturbances",
        "/health": "whether this site is healthy; /healthz: whether it answers; /readyz: whether it is ready",
    },
}


def watchtower_routes(pool: ScryingPool) -> list[web.AbstractRouteDef]:
    """`/` and `/api/vision` of port 8081."""

    async def show_index(request: web.Request) -> web.Response:
        return json_response(INDEX)

    async def show_vision(request: web.Request) -> web.Response:
        vision = pool.gaze()
        disturbances = [asdict(disturbance) for disturbance in pool.detect_disturbances(vision)]
        return json_response({**vision.to_json(), "disturbances": disturbances})

    return [web.get("/", show_index), web.get("/api/vision", show_vision)]

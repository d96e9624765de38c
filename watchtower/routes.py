"""The watchtower over HTTP, port 8081: the vision of the scrying pool, and the counts of the gates."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.http.endpoints import Endpoint
from core.lineage import GENERATOR_REGISTRY
from core.lineage_tracker import read_lineage_counts
from watchtower.scrying_pool import ScryingPool

TAG = "watchtower"


def watchtower_routes(pool: ScryingPool, data_lineage: Path) -> list[Endpoint]:
    """`/api/vision` and `/api/lineage` of port 8081; `data_lineage` is the file of the counts."""

    async def show_vision() -> dict[str, Any]:
        vision = pool.gaze()
        disturbances = [asdict(disturbance) for disturbance in pool.detect_disturbances(vision)]
        return {**vision.to_json(), "disturbances": disturbances}

    return [
        Endpoint("GET", "/api/vision", show_vision,
                 "The battle as the scrying pool shows it, with what people should look at.",
                 tag=TAG, answer="watchtower.answers:Vision"),
        lineage_endpoint(data_lineage),
    ]  # fmt: skip


def lineage_endpoint(data_lineage: Path) -> Endpoint:
    """The counts of the gates, by generator and validator."""

    async def show_lineage() -> dict[str, Any]:
        return {**await asyncio.to_thread(read_lineage_counts, data_lineage), "registry": GENERATOR_REGISTRY}

    return Endpoint("GET", "/api/lineage", show_lineage,
                    "How files of a generator pass each validator (`status/data_lineage.json`), and known generators.",
                    tag=TAG, answer="watchtower.answers:Lineage")  # fmt: skip

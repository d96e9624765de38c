"""Port 8081 over a real socket."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.lineage import GENERATOR_REGISTRY
from core.lineage_tracker import LineageTracker
from core.paths import RealmPaths
from core.status_files import write_status
from tests.serving import serving
from watchtower.routes import watchtower_routes
from watchtower.scrying_pool import ScryingPool


async def test_the_vision_is_served_with_its_disturbances(paths: RealmPaths) -> None:
    body = {"state": "fighting", "current_round": 1, "total_rounds": 4, "damage_taken": 6.25}
    write_status(paths.battle_status, body, now=datetime.now(UTC), valid_for=60)
    async with serving(watchtower_routes(ScryingPool(paths), paths.data_lineage), service="watchtower") as visitor:
        vision = (await visitor.get("/api/vision")).body
    assert (vision["battle_state"], vision["progress_percent"], vision["hero_vram_mb"]) == ("fighting", 25.0, None)
    assert vision["observed_at"].endswith("+00:00")
    assert vision["disturbances"] == [
        {"severity": "alarm", "name": "High Damage", "message": "The loss is 6.25, above 5."}
    ]


async def test_without_a_daemon_the_vision_is_unknown(tmp_path: Path) -> None:
    """F3: the watchtower answers, and says that nobody knows."""
    async with serving(watchtower_routes(ScryingPool(RealmPaths(tmp_path)), tmp_path / "absent.json")) as visitor:
        answer = await visitor.get("/api/vision")
    assert (answer.status, answer.body["battle_state"]) == (200, "unknown")


async def test_the_counts_of_the_gates_are_served(tmp_path: Path) -> None:
    counts = tmp_path / "data_lineage.json"
    async with serving(watchtower_routes(ScryingPool(RealmPaths(tmp_path)), counts), service="watchtower") as visitor:
        nothing = await visitor.get("/api/lineage")
        assert (nothing.status, nothing.body["total_validations"]) == (200, 0)

        tracker = LineageTracker(counts)
        tracker.count(
            "mine@1", {"data_validator": "1.1.0"}, passed=False, errors=["no user turn"], now=datetime.now(UTC)
        )
        tracker.write()

        told = (await visitor.get("/api/lineage")).body
        assert told["generators"]["mine@1"]["failed"] == 1
        assert told["generators"]["mine@1"]["top_errors"] == [{"message": "no user turn", "files": 1}]
        assert told["registry"]["discrimination"]["version"] == GENERATOR_REGISTRY["discrimination"]["version"]

"""The VaultKeeper API over a real socket: the spec's fields, paging, refusals, and nothing outside of the roots."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.paths import RealmPaths
from tests.serving import Visitor, serving
from tests.vault.catalog.assets import EARLY, LATE, asset, furnish, make_model
from vault.catalog.routes import catalog_routes
from vault.keeper import VaultKeeper
from vault.roots import Roots

LOCATION = {"stronghold", "path", "status", "verified_at", "checksum", "size_bytes", "synced_at", "is_primary"}
ASSET = {
    "asset_id", "asset_type", "name", "description", "size_bytes", "size_gb", "created_at", "modified_at", "status",
    "locations", "metadata",
}  # fmt: skip


@pytest.fixture
def nas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nas")


@pytest.fixture
async def api(paths: RealmPaths, nas: Path) -> AsyncIterator[Visitor]:
    furnish(paths)
    with VaultKeeper(paths.base, roots=[nas]) as keeper:
        keeper.catalog.put(asset("checkpoint_7", stronghold="3090", path="/models/checkpoint-7"))
        async with serving(catalog_routes(keeper, Roots.of(paths, [str(nas)])), service="vault_keeper") as visitor:
            yield visitor


async def body(api: Visitor, path: str) -> Any:
    answer = await api.get(path)
    assert answer.status == 200, answer.text
    return answer.body


async def test_an_asset_is_located_with_the_fields_of_the_spec(api: Visitor, paths: RealmPaths) -> None:
    told = await body(api, "/api/locate/checkpoint_1000")
    assert set(told) == {"asset_id", "found", "locations", "best_location", "error"}
    assert (told["found"], told["error"], set(told["best_location"])) == (True, None, LOCATION)
    assert told["best_location"]["path"] == str(paths.current_model / EARLY)
    assert (await body(api, f"/api/locate/{EARLY}"))["asset_id"] == "checkpoint_1000"
    for reference in ("checkpoint_100", "champion", "..%2F..%2Fetc%2Fpasswd", "%00", "%ff", "a%20b"):
        missing = await body(api, f"/api/locate/{reference}")
        assert (missing["found"], missing["locations"], missing["best_location"]) == (False, [], None)
        assert missing["error"]


async def test_the_whole_asset_is_told_or_a_404(api: Visitor) -> None:
    told = await body(api, "/api/asset/latest")
    assert set(told) == ASSET | {"step"}
    assert (told["asset_id"], told["metadata"]["train_loss"]) == ("checkpoint_20000", 0.7)
    answer = await api.get("/api/asset/checkpoint_175000")
    assert (answer.status, answer.body["error"]) == (404, "not_found")


async def test_checkpoints_come_newest_first_from_every_host(api: Visitor) -> None:
    told = await body(api, "/api/checkpoints")
    assert [each["asset_id"] for each in told["checkpoints"]] == ["checkpoint_20000", "checkpoint_1000", "checkpoint_7"]
    told = await body(api, "/api/checkpoints?limit=1&offset=1")
    assert ([each["step"] for each in told["checkpoints"]], told["count"], told["total"]) == ([1000], 1, 3)


async def test_search_and_list_are_paged_and_refuse_what_there_is_not(api: Visitor) -> None:
    """The predecessor ignored an unknown type, and answered with everything."""
    told = await body(api, "/api/search?type=model")
    assert [each["asset_id"] for each in told["assets"]] == ["model_qwen3_0.6b"]
    assert (await body(api, "/api/search?name=point-1000&stronghold=local_vault"))["count"] == 1
    assert (await body(api, "/api/search?status=corrupted"))["total"] == 0
    assert (await body(api, "/api/list?stronghold=3090"))["assets"][0]["asset_id"] == "checkpoint_7"
    assert (await body(api, "/api/list?limit=2"))["count"] == 2
    for query in ("type=checkpont", "type=", "status=gone", "limit=-1", "typ=model", "type=model&type=config"):
        answer = await api.get(f"/api/search?{query}")
        assert (answer.status, answer.body["error"]) == (400, "invalid_input"), query
    assert "Did you mean checkpoint?" in (await api.get("/api/search?type=checkpont")).body["message"]


async def test_statistics_and_strongholds(api: Visitor, paths: RealmPaths) -> None:
    told = await body(api, "/api/stats")
    assert set(told) == {
        "total_assets", "assets_by_type", "locations_by_stronghold", "total_size_gb", "recent_transfers", "disk"
    }  # fmt: skip
    assert told["disk"]["total_gb"] > told["disk"]["free_gb"] > 0
    assert (told["total_assets"], told["assets_by_type"]["checkpoint"]) == (8, 3)
    assert told["locations_by_stronghold"] == {"3090": 1, "local_vault": 7}
    strongholds = {each["name"]: each for each in (await body(api, "/api/strongholds"))["strongholds"]}
    assert strongholds["local_vault"]["base_path"] == str(paths.base)
    assert strongholds["local_vault"]["free_gb"] > 0
    assert (strongholds["3090"]["type"], strongholds["3090"]["asset_count"]) == ("remote", 1)


async def test_the_export_is_one_json_document(api: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """G13: it once waited for itself for ever."""
    monkeypatch.setattr("vault.catalog.routes.SENT_AT_ONCE", 3)
    monkeypatch.setattr("vault.catalog.catalog.EXPORTED_AT_ONCE", 2)
    told = await body(api, "/api/export")
    assert [each["asset_id"] for each in told["assets"]] == sorted(each["asset_id"] for each in told["assets"])
    assert len(told["assets"]) == 8
    assert (await api.ask("HEAD", "/api/export")).text == ""


async def test_what_lies_in_a_root_is_registered_and_scanned(api: Visitor, nas: Path) -> None:
    make_model(nas / "Other-1B")
    shutil.copytree(nas / "Other-1B", nas / "deep" / "Third-1B")
    (nas / "notes.txt").write_text("no asset")
    answer = await api.post("/api/register", {"path": str(nas / "Other-1B")})
    assert answer.status == 200, answer.text
    assert (answer.body["success"], answer.body["asset"]["asset_id"]) == (True, "model_other_1b")
    answer = await api.post("/api/scan", {"path": str(nas)})
    assert answer.body == {
        "scanned_path": str(nas),
        "registered_count": 2,
        "asset_ids": ["model_other_1b", "model_third_1b"],
        "skipped": [],
    }
    assert (await api.post("/api/scan", {"path": str(nas), "recursive": False})).body["registered_count"] == 1


@pytest.mark.parametrize("route", ["register", "scan"])
@pytest.mark.parametrize(
    ("path", "stronghold", "status"),
    [
        ("/etc", "local_vault", 403),
        ("../", "local_vault", 403),
        ("/etc/../etc/hostname", "local_vault", 403),
        (".realm.token", "local_vault", 403),
        ("models/none", "local_vault", 404),
        ("models", "nowhere", 404),
        ("\x00", "local_vault", 403),
    ],
)
async def test_nothing_outside_of_the_roots_is_looked_at(
    api: Visitor, route: str, path: str, stronghold: str, status: int
) -> None:
    """The predecessor copied and probed any path for whoever asked."""
    answer = await api.post(f"/api/{route}", {"path": path, "stronghold": stronghold})
    assert answer.status == status, answer.text
    assert "root:" not in answer.text


async def test_an_asset_is_fetched_into_a_root_and_nowhere_else(api: Visitor, paths: RealmPaths, nas: Path) -> None:
    answer = await api.post("/api/fetch", {"asset_id": "checkpoint_1000", "destination": str(nas)})
    assert (answer.status, answer.body["success"], answer.body["local_path"]) == (200, True, str(nas / EARLY))
    assert answer.body["transfer"]["bytes_transferred"] > 0
    assert (await body(api, "/api/stats"))["recent_transfers"][0]["from"] == "local_vault"
    again = await api.post("/api/fetch", {"asset_id": "latest"})
    assert (again.body["local_path"], again.body["transfer"]) == (str(paths.current_model / LATE), None)
    far = await api.post("/api/fetch", {"asset_id": "checkpoint_7", "destination": "models"})
    assert (far.status, far.body["success"]) == (200, False)
    assert "no host '3090'" in far.body["error"]
    for destination in ("queue/high", "/tmp", "../../x", "current_model", "inbox/x"):
        answer = await api.post("/api/fetch", {"asset_id": "checkpoint_1000", "destination": destination})
        assert answer.status == 403
    assert (await api.post("/api/fetch", {"asset_id": "checkpoint_1"})).status == 404


async def test_copies_are_verified_and_the_catalog_is_made_anew(api: Visitor, paths: RealmPaths) -> None:
    (paths.current_model / LATE / "model.safetensors").unlink()
    answer = await api.post("/api/verify", {"asset_id": LATE})
    assert answer.body["asset_id"] == "checkpoint_20000"
    (result,) = answer.body["verification_results"]
    assert (result["status"], result["problems"]) == ("corrupted", ["model.safetensors is missing"])
    assert (await api.post("/api/verify", {"asset_id": "none"})).status == 404
    assert (await api.post("/api/verify", {"asset_id": LATE, "stronghold": "nas"})).status == 404
    told = (await api.post("/api/rebuild", {})).body
    assert (told["total_assets"], told["locations_by_stronghold"]) == (8, {"3090": 1, "local_vault": 7})


async def test_a_catalog_that_is_away_is_told_of_with_a_503(paths: RealmPaths) -> None:
    keeper = VaultKeeper(paths.base)
    async with serving(catalog_routes(keeper, Roots.of(paths))) as api:
        keeper.close()
        for path in ("/api/stats", "/api/locate/x", "/api/asset/x", "/api/checkpoints", "/api/search", "/api/export"):
            answer = await api.get(path)
            assert (answer.status, json.loads(answer.text)["error"]) == (503, "unavailable"), path

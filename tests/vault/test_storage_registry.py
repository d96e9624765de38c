"""The registry of storages: as the seed uses it, kept in one file, and honest about what cannot be reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import InvalidInput, NotFound, Unavailable
from core.paths import RealmPaths
from vault import StorageRegistry, StrongholdType
from vault.assets import AssetType
from vault.storage_registry import StorageProfile


def test_a_stronghold_is_registered_as_the_seed_writes_it(paths: RealmPaths) -> None:
    registry = StorageRegistry(paths.base)
    registry.register_stronghold(name="synology_main", stronghold_type=StrongholdType.NAS, host="192.168.7.20")
    again = StorageRegistry(paths.base)
    assert again.get("synology_main").host == "192.168.7.20"
    assert again.kind_of("synology_main") is StrongholdType.NAS
    assert (again.kind_of("local_vault"), again.kind_of("3090")) == (StrongholdType.LOCAL, StrongholdType.REMOTE)
    written = json.loads((paths.configs / "storage_registry.json").read_text())
    assert written["strongholds"][0]["profile"]["sync_schedule"] == "manual"
    again.remove_stronghold("synology_main")
    assert registry.strongholds() == []
    with pytest.raises(NotFound):
        registry.remove_stronghold("synology_main")


@pytest.mark.parametrize("name", ["", "a/b", "local_vault", "x" * 65, "-x", "a b"])
def test_a_name_that_cannot_be_is_refused(paths: RealmPaths, name: str) -> None:
    with pytest.raises(InvalidInput):
        StorageRegistry(paths.base).register_stronghold(name, StrongholdType.NAS)
    with pytest.raises(InvalidInput, match="absolute"):
        StorageRegistry(paths.base).register_stronghold("nas", StrongholdType.NAS, base_path="relative")


def test_a_damaged_registry_is_not_taken_for_an_empty_one(paths: RealmPaths) -> None:
    (paths.configs / "storage_registry.json").write_text('{"strongholds": [{"name": 5}]}')
    with pytest.raises(Unavailable, match="damaged"):
        StorageRegistry(paths.base).strongholds()


def test_a_storage_that_is_away_is_offline_and_recommended_for_nothing(paths: RealmPaths, tmp_path: Path) -> None:
    registry = StorageRegistry(paths.base)
    mounted = tmp_path / "nas"
    mounted.mkdir()
    never_full = StorageProfile(cleanup_threshold_pct=101, store_logs=False)
    registry.register_stronghold("nas", StrongholdType.NAS, base_path=mounted, profile=never_full)
    registry.register_stronghold("away", StrongholdType.LOCAL, base_path=tmp_path / "away")
    registry.register_stronghold("elsewhere", StrongholdType.CLOUD)
    told = registry.check_all_status()
    assert {name: each["status"] for name, each in told.items()} == {
        "nas": "active", "away": "offline", "elsewhere": "unknown"
    }  # fmt: skip
    assert told["away"]["free_gb"] is None
    chosen = registry.recommend_storage(AssetType.CHECKPOINT)
    assert chosen is not None
    assert chosen.name == "nas"
    assert registry.recommend_storage(AssetType.LOG) is None
    assert registry.recommend_storage(AssetType.CHECKPOINT, size_bytes=10**18) is None

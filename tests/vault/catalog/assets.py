"""A realm with one asset of each kind, and assets made up for catalogs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.paths import RealmPaths
from tests.vault.making import publish
from vault.assets import LOCAL, Asset, AssetType, Location, LocationStatus
from vault.checkpoints import CheckpointStore

EARLY, LATE = "checkpoint-1000-20261121-0900", "checkpoint-20000-20261121-1000"


def furnish(paths: RealmPaths) -> CheckpointStore:
    """Two checkpoints, a model, data in two places, a config and an archive."""
    store = CheckpointStore(paths.current_model)
    publish(store, EARLY, train_loss=0.5, skill_name="bin")
    publish(store, LATE, train_loss=0.7, skill_name="sy")
    make_model(paths.models / "Qwen3-0.6B")
    (paths.lane("high") / "train_syllo_abc.jsonl").write_text("{}\n")
    (paths.validation / "held_out.jsonl").write_text("{}\n")
    (paths.configs / "config.yaml").write_text("hero: seedling\n")
    make_model(paths.archive / "dio-20261101T120000Z")
    return store


def make_model(folder: Path, content: str = "weights") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "qwen3"}')
    (folder / "model.safetensors").write_text(content)
    return folder


def asset(asset_id: str = "checkpoint_7", *, stronghold: str = LOCAL, path: str = "/x/seven", **more: Any) -> Asset:
    """A checkpoint with one location."""
    step = int(asset_id.removeprefix("checkpoint_"))
    status = more.pop("status", LocationStatus.VERIFIED)
    location = Location(stronghold, path, status, checksum=more.pop("checksum", None), size_bytes=1000)
    values: dict[str, Any] = {"size_bytes": 1000, "metadata": {"step": step}, "step": step, **more}
    return Asset(asset_id, AssetType.CHECKPOINT, f"checkpoint-{step}", locations=(location,), **values)

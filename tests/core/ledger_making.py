"""Checkpoints for the ledger's tests: whole directories with sidecar and manifest, and a look into its two files."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from core.checkpoint_records import CheckpointRecord, write_sidecar
from core.paths import RealmPaths
from vault.manifest import write_manifest

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def save(paths: RealmPaths, step: int, clock: str = "0930", **numbers: Any) -> CheckpointRecord:
    """Put a whole checkpoint with its sidecar on disk, as the trainer does, and tell nobody."""
    folder = paths.current_model / f"checkpoint-{step}-20261121-{clock}"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    values: dict[str, Any] = {"timestamp": NOW.isoformat(), "size_bytes": 2_000_000, **numbers}
    record = CheckpointRecord(step=step, path=str(folder), canonical_name=folder.name, **values)
    write_sidecar(folder, record)
    write_manifest(folder)
    return record


def index_of(paths: RealmPaths) -> dict[str, Any]:
    """The ledger's index as it lies on disk."""
    body = json.loads(paths.ledger_index.read_text())
    assert isinstance(body, dict)
    return body


def history_of(paths: RealmPaths) -> list[tuple[str, str]]:
    """Event and checkpoint of each line of the history."""
    lines = [json.loads(line) for line in paths.ledger_history.read_text().splitlines()]
    return [(line["event"], line["canonical_name"]) for line in lines]

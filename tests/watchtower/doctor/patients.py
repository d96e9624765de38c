"""Realms for the doctor to look at."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from core.checkpoint_ledger import CheckpointLedger, CheckpointRecord, checkpoint_name, write_sidecar
from core.paths import RealmPaths
from vault.checkpoints import CheckpointStore
from vault.manifest import write_manifest
from watchtower.doctor.checkup import Patient

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)


def patient(paths: RealmPaths, *, config: str = "", pid: int | None = None, now: datetime = NOW) -> Patient:
    paths.config_file.write_text(config)
    return Patient.at(paths, running_pid=pid, now=now)


def save(paths: RealmPaths, step: int, at: datetime, *, size: int = 10, optimizer: bool = True) -> Path:
    """A small published checkpoint that is the present one."""
    store = CheckpointStore(paths.current_model)
    name = checkpoint_name(step, at)
    staging = store.stage()
    (staging / "model.safetensors").write_bytes(b"x" * size)
    record = CheckpointRecord(
        step=step,
        timestamp=at.isoformat(),
        path=str(store.root / name),
        canonical_name=name,
        size_bytes=size,
        has_optimizer=optimizer,
    )
    write_sidecar(staging, record)
    write_manifest(staging, now=at)
    folder = store.publish(staging, name, now=at)
    store.set_head(name)
    CheckpointLedger.of(paths).reconcile(now=at)
    return folder

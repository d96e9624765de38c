"""Checkpoint directories for tests: small, but complete in every file that the store and the ledger look at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.checkpoint_records import CheckpointRecord, write_sidecar
from core.paths import CHECKOUT
from vault.checkpoints import CheckpointStore


def fill(folder: Path, content: str = "weights") -> None:
    """A model in two files, one of them in a sub-folder."""
    (folder / "model.safetensors").write_text(content * 100)
    (folder / "tokenizer").mkdir(exist_ok=True)
    (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps({"of": content}))


def publish(
    store: CheckpointStore,
    name: str,
    content: str = "weights",
    *,
    more: Mapping[str, str] | None = None,
    **numbers: Any,
) -> Path:
    """Save a checkpoint as the trainer does: stage, fill (and `more` files), sidecar with the final path, publish."""
    staging = store.stage()
    fill(staging, content)
    for file, text in (more or {}).items():
        (staging / file).write_text(text)
    step = int(name.split("-")[1])
    values: dict[str, Any] = {"timestamp": "2026-11-21T09:30:00+00:00", "size_bytes": 1000, **numbers}
    record = CheckpointRecord(step=step, path=str(store.root / name), canonical_name=name, **values)
    write_sidecar(staging, record)
    return store.publish(staging, name)


def killed_at(point: str, code: str, *arguments: str) -> None:
    """Run `code` in a real process that kills itself with SIGKILL at the crash point; fails when it survives."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=CHECKOUT,
        env={"REALM_CRASH_AT": point, "PYTHONPATH": str(CHECKOUT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9, f"not killed at {point}: {done.returncode} {done.stderr}"

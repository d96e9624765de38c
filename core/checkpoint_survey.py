"""What can be told about a checkpoint directory that has no sidecar: from its files and HF's `trainer_state.json`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.checkpoint_records import CheckpointRecord, extract_step, parse_checkpoint_name
from core.files import read_json

OPTIMIZER_FILE = "optimizer.pt"


def survey_folder(folder: Path) -> CheckpointRecord:
    """A record of `folder` under its present name; numbers that its files do not tell are None."""
    history = _log_history(folder)
    return CheckpointRecord(
        step=extract_step(folder),
        timestamp=saved_at(folder).isoformat(),
        path=str(folder),
        canonical_name=folder.name,
        train_loss=_last_number(history, "loss"),
        val_loss=_last_number(history, "eval_loss"),
        learning_rate=_last_number(history, "learning_rate"),
        epoch=_last_number(history, "epoch"),
        size_bytes=folder_size(folder),
        has_optimizer=(folder / OPTIMIZER_FILE).is_file(),
        created_by="adopted",
    )


def folder_size(folder: Path) -> int:
    """Bytes of all regular files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def saved_at(folder: Path) -> datetime:
    """When the checkpoint was saved, UTC: by its canonical name (local time), else by the directory's mtime."""
    parsed = parse_checkpoint_name(folder)
    if parsed["is_canonical"]:
        try:
            return datetime.strptime(f"{parsed['date']}{parsed['time']}", "%Y%m%d%H%M").astimezone().astimezone(UTC)
        except ValueError:
            pass  # digits that are no date
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC)


def _log_history(folder: Path) -> list[dict[str, Any]]:
    state = read_json(folder / "trainer_state.json")
    history = state.get("log_history") if isinstance(state, dict) else None
    return [entry for entry in history if isinstance(entry, dict)] if isinstance(history, list) else []


def _last_number(history: list[dict[str, Any]], key: str) -> float | None:
    numbers = [entry[key] for entry in history if isinstance(entry.get(key), int | float)]
    return float(numbers[-1]) if numbers else None

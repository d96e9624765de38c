"""Taking a checkpoint made elsewhere into the store: what is copied, what is left behind, what is refused.

Copied are files of known names only, links followed where they stay within the directory (or within the blobs of a
hub cache). The copy is staged; the caller fills in what belongs to the realm and publishes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from core.checkpoint_survey import OPTIMIZER_FILE
from core.errors import Conflict, InvalidInput
from core.files import DISK, Files, read_json
from core.finite import finite
from vault.checkpoints import CheckpointStore
from vault.manifest import MANIFEST, check_manifest, listed_files
from vault.weights import check_no_adapter, weight_files

TAKEN = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "*.model",
    "chat_template.jinja",
)
"""What makes a model in Hugging Face format."""

OPTIMIZER_FILES = (OPTIMIZER_FILE, "scheduler.pt")
TRAINER_STATE = "trainer_state.json"
KEPT_LOG_ENTRIES = 100


def check_source(folder: Path, store: CheckpointStore) -> Path:
    """The directory to adopt, links resolved; raises `InvalidInput` or `Conflict` when it cannot be one."""
    source = folder.expanduser().resolve()
    if not source.is_dir():
        raise InvalidInput(f"{folder} is not a directory.")
    root = store.root.resolve()
    if source.is_relative_to(root) or root.is_relative_to(source):
        raise Conflict(
            f"{source} belongs to the present model already.",
            hint="`realm rewind CHECKPOINT` goes back to one of its own.",
        )
    check_no_adapter(source)
    if not isinstance(read_json(source / "config.json"), dict):
        raise InvalidInput(
            f"{source} has no config.json that can be read.", hint="Give a directory in Hugging Face format."
        )
    if (source / MANIFEST).exists() and (problems := check_manifest(source)):
        raise InvalidInput(f"{source} is torn: {'; '.join(problems)}.", hint="Copy it again from where it was made.")
    weight_files(source)
    for name in _names(source):
        _contained(source, source / name)
    return source


def copy_model(source: Path, staging: Path) -> bool:
    """Copy what makes the model, and its optimizer if it has one; returns whether it has.

    Files are copied, never linked: what happens to the source later is no concern of the checkpoint.
    """
    for name in _names(source):
        shutil.copyfile(_contained(source, source / name), staging / name)
    return all((staging / name).is_file() for name in OPTIMIZER_FILES)


def drop_optimizer(staging: Path) -> None:
    """Leave the optimizer out: moments then begin at zero."""
    for name in OPTIMIZER_FILES:
        (staging / name).unlink(missing_ok=True)


def told_step(source: Path) -> int | None:
    """The global step that the directory's own `trainer_state.json` tells."""
    state = read_json(source / TRAINER_STATE)
    step = state.get("global_step") if isinstance(state, dict) else None
    return step if isinstance(step, int) and step >= 0 else None


def write_trainer_state(source: Path, staging: Path, step: int, files: Files = DISK) -> None:
    """The least that a resume asks for; of the source's own state only the latest log entries are taken over."""
    state = read_json(source / TRAINER_STATE)
    history = state.get("log_history") if isinstance(state, dict) else None
    entries: list[Any] = history if isinstance(history, list) else []
    kept = [entry for entry in entries if isinstance(entry, dict)][-KEPT_LOG_ENTRIES:]
    # transformers compares the batch size with its own; here it is one plan of rows.
    body = {"global_step": step, "train_batch_size": 1, "log_history": finite(kept)}
    files.write_json(staging / TRAINER_STATE, body, durable=False)


def find_same_weights(store: CheckpointStore, digest: str) -> str | None:
    """Name of a checkpoint, also of one on a branch, whose weights have this fingerprint (`weights_digest`)."""
    for found in (*store.list(), *store.branches()):
        manifest = read_json(found.path / MANIFEST)
        listed = manifest.get("files") if isinstance(manifest, dict) else None
        if not isinstance(listed, dict):
            continue
        weights = sorted(name for name in listed if name.endswith(".safetensors"))
        if "".join(str(listed[name].get("blake3")) for name in weights) == digest:
            return found.name
    return None


def model_files(names: Iterable[str]) -> list[str]:
    """Those of some names of files that make a model in Hugging Face format."""
    return [name for name in sorted(names) if any(fnmatch(name, pattern) for pattern in TAKEN)]


def _names(source: Path) -> list[str]:
    """Names of the files that are taken, those of the optimizer only together."""
    # Where a manifest tells what was saved, nothing that was dropped beside it comes along.
    there = listed_files(source) if (source / MANIFEST).exists() else (path.name for path in source.iterdir())
    names = set(there)
    return model_files(names) + (list(OPTIMIZER_FILES) if set(OPTIMIZER_FILES) <= names else [])


def _contained(source: Path, file: Path) -> Path:
    """Where a file really lies; raises `InvalidInput` for a link that leads out of what was given."""
    real = file.resolve()
    allowed = [source]
    if source.parent.name == "snapshots":
        # The cache of the hub client: every file of a snapshot is a link into the blobs beside it.
        allowed.append(source.parent.parent / "blobs")
    if not any(real.is_relative_to(root) for root in allowed):
        raise InvalidInput(
            f"{file} is a link that leads out of the directory, to {real}.", hint="Copy the file itself."
        )
    if not real.is_file():
        raise InvalidInput(f"{file} is not a regular file.")
    return real

"""Sends a child of the trainer's room on an errand that needs torch or the hub, and brings its answer back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from arena.heroes import model_folder
from core.errors import InvalidInput, RealmError, Unavailable
from core.files import read_json
from core.paths import CHECKOUT, RealmPaths

LAST_LINES = 5


def fetch_model(paths: RealmPaths, repository: str, *, show: bool) -> Path:
    """Bring a model from the hub to `models/`, unless it is there; its own progress bars appear with `show`.

    Raises `InvalidInput` for a name that the hub does not have, and `Unavailable` when it cannot be reached.
    """
    here = model_folder(repository, paths.models)
    return here if here.is_dir() else Path(_run(paths, "fetch", [repository], show=show)["folder"])


def appraise_model(paths: RealmPaths, folder: Path) -> dict[str, Any]:
    """Load a model as the trainer does: `{parameters, optimizer_misfit}`, the latter a sentence or None.

    Raises `InvalidInput` when it does not load. Takes as long as torch takes to start, and as much memory as the model.
    """
    return _run(paths, "appraise", [str(folder)], show=False)


def compare_checkpoints(paths: RealmPaths, first: Path, second: Path) -> dict[str, Any]:
    """In what the weights and the optimizers of two checkpoints differ, as `arena.trainer.comparison.compare` says."""
    return _run(paths, "compare", [str(first), str(second)], show=False)


def merge_adapter(paths: RealmPaths, adapter: Path, target: Path, base: dict[str, Any]) -> None:
    """Write the model that adapters and base model make together, as `arena.trainer.loading.merging.merge` says.

    Takes as long as torch takes to start, and as much memory as the model in fp32.
    """
    _run(paths, "merge", [str(adapter), str(target), json.dumps(base)], show=False)


def _run(paths: RealmPaths, errand: str, what: list[str], *, show: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="realm-") as scratch:
        answer_file = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "arena.trainer.errands", errand, *what]
        command += ["--models", str(paths.models), "--answer", str(answer_file)]
        ended = subprocess.run(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=None if show else subprocess.PIPE, text=True, errors="replace", check=False,
        )  # fmt: skip
        answer = read_json(answer_file)
    if not isinstance(answer, dict):
        last = " | ".join((ended.stderr or "").splitlines()[-LAST_LINES:])
        raise RealmError(
            f"The process that was to {errand} {' and '.join(what[:2])} ended with code {ended.returncode}. "
            f"{last}".strip()
        )
    if "error" in answer:
        kinds = {kind.code: kind for kind in (InvalidInput, Unavailable)}
        raise kinds.get(answer["error"], RealmError)(answer["message"], hint=answer["hint"])
    return answer

"""`python -m arena.trainer.errands`: what needs torch or the hub once, for a verb that waits for it.

`fetch REPOSITORY` brings a model from the hub to `models/`; `appraise DIRECTORY` loads a model as the trainer does, and
says whether its optimizer fits; `compare DIRECTORY DIRECTORY` says in what two checkpoints differ; `merge ADAPTER
DIRECTORY BASE` writes the model that adapters and base model make together. The answer, or the error, is one JSON
object in the file given by `--answer`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from arena.heroes import model_folder
from arena.trainer.loading.hub import fetch_model
from core.errors import RealmError
from core.files import DISK
from core.lasting_imports import lasting_imports


def main() -> int:
    """Run one errand; exit code 0 when the answer file says how it went, also when it failed as expected."""
    parser = argparse.ArgumentParser(prog="python -m arena.trainer.errands")
    parser.add_argument("errand", choices=("fetch", "appraise", "compare", "merge"))
    parser.add_argument("what", nargs="+")
    parser.add_argument("--models", required=True, type=Path)
    parser.add_argument("--answer", required=True, type=Path)
    options = parser.parse_args()
    try:
        answer = _run(options.errand, options.what, options.models)
    except RealmError as error:
        answer = {"error": error.code, "message": error.message, "hint": error.hint}
    DISK.write_atomic(options.answer, json.dumps(answer).encode(), durable=False)
    return 0


def _run(errand: str, what: list[str], models: Path) -> dict[str, Any]:
    if errand == "fetch":
        return _fetch(what[0], models)
    if errand == "merge":
        return _merge(Path(what[0]), Path(what[1]), models, json.loads(what[2]))
    return _appraise(Path(what[0])) if errand == "appraise" else _compare(Path(what[0]), Path(what[1]))


def _fetch(repository: str, models: Path) -> dict[str, Any]:
    target = model_folder(repository, models)
    fetch_model(repository, target)
    return {"folder": str(target)}


def _appraise(folder: Path) -> dict[str, Any]:
    # Only here is torch needed; it takes seconds to import.
    with lasting_imports():
        from arena.trainer.loading.appraisal import appraise
    return appraise(folder)


def _compare(first: Path, second: Path) -> dict[str, Any]:
    with lasting_imports():
        from arena.trainer.comparison import compare
    return compare(first, second)


def _merge(adapter: Path, target: Path, models: Path, base: dict[str, Any]) -> dict[str, Any]:
    with lasting_imports():
        from arena.trainer.loading.merging import merge
    return merge(adapter, target, models, base)


if __name__ == "__main__":
    sys.exit(main())

"""Checks a file that lies anywhere, at any level, as `realm validate` does it: all gates, nothing queued."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from arena.gatekeepers.gate import inspect_file
from arena.gatekeepers.measures.standard_gate import prove_file
from arena.gatekeepers.measures.yardstick import Yardstick
from arena.quest_names import lineage_dropped_with
from arena.quests import NAMELESS, QuestRecord, dropped_options

MERGED = ("errors", "warnings", "total_errors", "total_warnings")


def check_file(
    path: Path, yardstick_for: Callable[[QuestRecord], Yardstick] | None, sketches: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The verdict of `inspect_file`; where that lets the file in and there is a yardstick, with `prove_file`'s in it.

    The options in the file's sidecar or header count as they do in the inbox; `sketches` are those of `prove_file`.
    Raises `Unavailable` when there is no room to unpack a packed file, and `InvalidInput` when the yardstick cannot be
    used.
    """
    if yardstick_for is None:
        return inspect_file(str(path))
    with tempfile.TemporaryDirectory(prefix="realm-check-") as scratch:
        unpacked = Path(scratch, "rows.jsonl")
        verdict = inspect_file(str(path), str(unpacked))
        if not verdict["accepted"]:
            return verdict
        options = dropped_options(lineage_dropped_with(path), verdict["header"])
        data = unpacked if verdict["container"] else path
        return with_proof(verdict, data, yardstick_for(replace(NAMELESS, **options)), sketches)


def with_proof(
    verdict: dict[str, Any], data: Path, yardstick: Yardstick, sketches: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The verdict of `inspect_file` on an accepted file with that of `prove_file` in it; `data` are its JSON lines."""
    proof = prove_file(str(data), verdict["schema_id"], verdict["rows"], asdict(yardstick), sketches=sketches)
    if "json_array" in ((verdict["container"] or {}).get("kind") or ""):
        # Unpacked, each item of a list is a line.
        for finding in (*proof["errors"], *proof["warnings"]):
            finding["item"], finding["line"] = finding["line"], None
    return {
        **verdict,
        **{key: verdict[key] + proof[key] for key in MERGED},
        "accepted": proof["accepted"],
        "validators": {**verdict["validators"], **proof["validators"]},
        "tokens": proof["tokens"],
        "content": proof["content"],
        "tokenizer": proof["tokenizer"],
    }
